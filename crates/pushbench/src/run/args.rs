//! What can be said on the command line of `run` and `load`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use scenario::Override;

use crate::core_locks::LockArgs;
use crate::exit;

/// What both commands know.
#[derive(clap::Args)]
pub(crate) struct JobArgs {
    /// The scenario: what to measure, as a TOML file
    pub(crate) scenario: PathBuf,

    /// Set any key of the scenario, as in posts.per_client_per_s=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Override>,

    /// Print what would be run, how long it takes and how many sockets it needs, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Folder below which the results folder is made
    #[arg(long, value_name = "DIR", default_value = "results/runs")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

/// Measure every transport of a scenario, each against a server of its own
#[derive(Parser)]
#[command(after_help = format!("{RUN_EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

/// Measure a server that somebody else started
#[derive(Parser)]
#[command(after_help = format!("{LOAD_EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// Where it serves HTTP and WebSocket, as in http://127.0.0.1:8080; loopback only
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) target: SocketAddr,

    /// Where it serves raw TCP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) target_tcp: SocketAddr,

    /// Its process, or the one that started all of its processes, to be metered from outside: its CPU and memory are then known whatever it
    /// says of itself. Memory per connection is not: for that, let the scenario start it as a `[[target]]`
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// The secret it wants
    #[arg(long, env = "PUSHBENCH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

const RUN_EXAMPLES: &str = "\
Examples:
  pushbench run scenarios/quick.toml
  pushbench run scenarios/chat.toml --set repetitions=3 --set 'transports=[\"sse\",\"websocket\"]'
  pushbench run scenarios/scale.toml --dry-run";

const LOAD_EXAMPLES: &str = "\
Examples:
  pushbench serve --cores 0 &
  pushbench load scenarios/quick.toml --target http://127.0.0.1:8080 --target-tcp 127.0.0.1:8081
  pushbench load scenarios/quick.toml --target http://127.0.0.1:3000 --set 'transports=[\"websocket\"]' --pid $(pgrep -n node)";

fn parse_url(text: &str) -> Result<SocketAddr, String> {
    let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let address: SocketAddr = authority
        .replace("localhost", "127.0.0.1")
        .parse()
        .map_err(|_| "write it as http://127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("load is only sent to loopback addresses".to_owned()) }
}
