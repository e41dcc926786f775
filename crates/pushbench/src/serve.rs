//! `pushbench serve`: runs the chat server until a signal stops it.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use server::{Access, Config, Log, ServerLimits, Slowdown};
use wire::ServerAddresses;

use crate::machine;
use crate::signals::{Signals, stdin_closed};
use crate::values::whole_number;

/// Time for the runtime to end after the server has shut down.
const RUNTIME_END_MAX: Duration = Duration::from_millis(500);

/// Serve one chat over all transports
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address for HTTP and WebSocket; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Address for raw TCP, the baseline; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    tcp_listen: SocketAddr,

    /// Number of further free ports for HTTP, for the columns of the chat page: a browser opens six
    /// connections to a port
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole_number(0..=16))]
    page_ports: u64,

    /// Number of threads [default: one for each core that the process may use]
    #[arg(long, value_name = "N", value_parser = whole_number(1..=256))]
    threads: Option<u64>,

    /// Cores to run on, such as 0 or 0,1 [default: all that the process may use]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cores: Vec<usize>,

    /// Stop when standard input closes, so that the server does not outlive the program that
    /// started it
    #[arg(long)]
    exit_with_parent: bool,

    /// Allow addresses that other machines can reach; requires a token
    #[arg(long)]
    allow_remote: bool,

    /// Token that reads, posts and requests for statistics must carry
    #[arg(long, env = "PUSHBENCH_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = parse_token)]
    token: Option<String>,

    /// Origin whose web pages may read and post, such as `https://chat.example`; may be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    allow_origin: Vec<String>,

    /// Host name that requests may use, such as chat.example; may be repeated. Without a token
    /// other names are refused, so that no web page can reach the server by DNS rebinding. IP
    /// addresses, localhost and the hosts of --allow-origin are always allowed
    #[arg(long, value_name = "NAME", value_parser = parse_host)]
    allow_host: Vec<String>,

    /// Where messages get their order and are kept: memory, or a Redis that all servers of a chat
    /// share: redis://HOST:PORT or unix:///PATH
    #[arg(long, env = "PUSHBENCH_LOG", hide_env_values = true, value_name = "LOG", default_value = "memory", value_parser = parse_log)]
    log: String,

    /// Name of the chat in a shared log. Servers with the same name are one chat
    #[arg(long, value_name = "NAME", default_value = server::CHAT, value_parser = parse_chat)]
    chat: String,

    #[command(flatten)]
    limits: ServerLimits,

    /// Additional cost of each delivered message, to test a comparison: cpu=5us, allocs=2 or both,
    /// separated by a comma
    #[arg(long, value_name = "COSTS", requires = "allow_slowdown", hide = true)]
    slowdown: Option<Slowdown>,

    /// Allow --slowdown
    #[arg(long, hide = true)]
    allow_slowdown: bool,
}

const EXAMPLES: &str = "\
Examples:
  pushbench serve                                  # then open http://127.0.0.1:8080/ in a browser
  pushbench serve --page-ports 4
  pushbench serve --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0
  pushbench serve --log redis://127.0.0.1:6379     # again on other ports: two servers, one chat
  curl -s --json '{\"author\":1,\"ordinal\":1,\"text\":\"hello\"}' \\
    http://127.0.0.1:8080/rooms/lobby/polling
  curl -N 'http://127.0.0.1:8080/rooms/lobby/sse?after=0'";

fn parse_token(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if text.len() >= 8 && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("a token needs at least 8 characters of A-Z a-z 0-9 - . _ ~, so that it fits into a URL".to_owned())
}

fn parse_origin(text: &str) -> Result<String, String> {
    let authority = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, authority)| authority);
    if authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' '])) {
        return Ok(text.to_owned());
    }
    Err("an origin is a scheme and a host, with or without a port and without a path: https://chat.example".to_owned())
}

fn parse_host(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if !text.is_empty() && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("a host name has neither a scheme nor a port: chat.example".to_owned())
}

fn parse_log(text: &str) -> Result<String, String> {
    if text == "memory" || ["redis://", "unix://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(text.to_owned());
    }
    Err("a log is memory, redis://HOST:PORT or unix:///PATH".to_owned())
}

fn parse_chat(text: &str) -> Result<String, String> {
    text.parse()
        .map(|name: wire::RoomName| name.into())
        .map_err(|error| format!("not a name of a chat: {}", error.hint))
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    check_exposure(&args)?;
    if !args.cores.is_empty() {
        machine::pin(&args.cores).with_context(|| format!("cannot run on cores {:?}", args.cores))?;
    }
    let threads = args.threads.map_or_else(default_threads, |threads| threads as usize);
    raise_open_files(args.limits.connections_max);
    let exit_with_parent = args.exit_with_parent;
    let config = Config {
        listen: args.listen,
        tcp_listen: args.tcp_listen,
        access: Access { token: args.token, origins: args.allow_origin, hosts: args.allow_host, ..Access::default() },
        page_ports: args.page_ports as usize,
        limits: args.limits,
        log: match args.log.as_str() {
            "memory" => Log::Memory,
            _ => Log::Redis { url: args.log, chat: args.chat },
        },
        slowdown: args.slowdown,
    };
    let runtime = runtime(threads).context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(config, exit_with_parent));
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config, exit_with_parent: bool) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let running = server::start(config).await?;
    announce(&ServerAddresses {
        http: running.http,
        tcp: running.tcp,
        page: running.page.clone(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    tracing::info!(http = %running.http, tcp = %running.tcp, "serving; a browser shows the chat at http://{}/", running.http);
    let why = tokio::select! {
        why = signals.next() => why,
        () = stdin_closed(), if exit_with_parent => "the parent has exited",
    };
    tracing::info!(why, "stopping");
    running.shutdown().await;
    Ok(())
}

/// Prints the addresses on standard output as JSON, for programs; nothing else is printed there.
fn announce(listening: &ServerAddresses) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, listening).context("cannot write the addresses to standard output")?;
    writeln!(out).and_then(|()| out.flush()).context("cannot write the addresses to standard output")
}

fn check_exposure(args: &Args) -> anyhow::Result<()> {
    let exposed = [args.listen, args.tcp_listen].into_iter().find(|address| !address.ip().is_loopback());
    match (exposed, args.allow_remote, &args.token) {
        (None, ..) | (Some(_), true, Some(_)) => Ok(()),
        (Some(address), false, _) => bail!(
            "other machines can reach {address}; listen on a loopback address, or give --allow-remote and a token"
        ),
        (Some(address), true, None) => {
            bail!("other machines can reach {address}; set PUSHBENCH_TOKEN to a token that clients must send")
        }
    }
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

/// Raises the limit of open files, and warns when it is lower than the number of connections.
fn raise_open_files(connections_max: usize) {
    let open_files = machine::raise_open_files().unwrap_or(0);
    if open_files < connections_max as u64 {
        tracing::warn!(
            open_files,
            connections_max,
            "the limit of open files is lower than --connections-max; see ulimit -n"
        );
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
}
