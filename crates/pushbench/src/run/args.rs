//! Command lines of `run` and `load`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use loadgen::{Node, Target};
use scenario::{Job, Override, Plan};
use wire::Transport;

use crate::core_locks::LockArgs;
use crate::scenarios;
use crate::values::{Agents, agents, duration, percent, target_url};

/// Port of raw TCP unless `serve --tcp-listen` says otherwise.
const TCP_PORT: u16 = 8081;

/// What `run` and `load` have in common.
#[derive(clap::Args)]
pub(crate) struct JobArgs {
    /// Name of a shipped scenario (`pushbench scenarios` lists them) or path of a TOML file
    #[arg(required_unless_present = "clients")]
    scenario: Option<PathBuf>,

    /// Set a key of the scenario, such as posts.per_client_per_s=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Override>,

    /// Time for the whole job, such as 90s or 5m, in place of the scenario's budget_s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,

    /// End the job as soon as the intervals of all ratios are this narrow, such as 2%; the budget is
    /// the limit
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) until: Option<f64>,

    /// Load generators that share the clients by whole rooms: local:N are processes on this machine,
    /// which hold more sockets than one process may open; N are agents on other machines (load
    /// --redis)
    #[arg(long, value_name = "local:N|N", value_parser = agents, default_value = "local:1")]
    pub(crate) agents: Agents,

    /// Show the job on a page while it runs, on this port of 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    pub(crate) watch: Option<u16>,

    /// Print the load, the duration and the number of sockets, and measure nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Folder in which the results folder is created
    #[arg(long, value_name = "DIR", default_value = "results/runs")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) lock: LockArgs,

    #[command(flatten)]
    flags: ScenarioFlags,
}

/// How results are printed.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct OutputArgs {
    /// Print tables with all columns; without it they fit 80 columns
    #[arg(long)]
    pub(crate) wide: bool,

    /// Print JSON (summary.json, or comparison.json of a comparison) and nothing else on standard
    /// output
    #[arg(long, conflicts_with = "wide")]
    pub(crate) json: bool,
}

/// A scenario in flags.
#[derive(clap::Args)]
#[command(next_help_heading = "Instead of a scenario")]
struct ScenarioFlags {
    /// Number of simulated clients
    #[arg(long, value_name = "N", conflicts_with = "scenario", requires_all = ["rooms", "rate"])]
    clients: Option<u64>,

    /// Number of rooms; every client is in one
    #[arg(long, value_name = "N", conflicts_with = "scenario", requires = "clients")]
    rooms: Option<u64>,

    /// Posts per client per second
    #[arg(long, value_name = "PER_S", conflicts_with = "scenario", requires = "clients")]
    rate: Option<f64>,

    /// Bytes of text in a post [default: that of scenario files]
    #[arg(long, value_name = "BYTES", conflicts_with = "scenario", requires = "clients")]
    payload: Option<u64>,

    /// Transports to measure [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "scenario", requires = "clients",
          value_parser = PossibleValuesParser::new(Transport::ALL.map(Transport::name)))]
    transports: Vec<String>,
}

impl JobArgs {
    /// Everything decided.
    pub(crate) fn job(&self) -> anyhow::Result<Job> {
        let mut job = match (&self.scenario, self.flags.toml()) {
            (Some(scenario), _) => scenarios::load(scenario, &self.set)?,
            (None, Some(text)) => scenario::parse("flags", &text, &self.set)?,
            (None, None) => return None.context("give a scenario, or --clients, --rooms and --rate"),
        };
        job.budget = self.budget.unwrap_or(job.budget);
        job.generators = self.agents.count();
        check_agents(&job, self.agents)?;
        Ok(job)
    }
}

/// Every load generator has a room at least. Short slices are measured by one, which reads the clock
/// of the server beside its own counts.
fn check_agents(job: &Job, agents: Agents) -> anyhow::Result<()> {
    let count = job.generators;
    ensure!(
        agents == Agents::Local(1) || job.has_one_slice(),
        "--agents {agents} needs one long window: add --set slices=1, or leave it out"
    );
    for Plan { rooms, label, .. } in &job.plans {
        let at = if label.is_empty() { String::new() } else { format!(" at {label}") };
        ensure!(
            count <= *rooms,
            "--agents {agents} is more than the rooms{at}, which are {rooms}: each has whole rooms; give at most \
             {rooms}, or set more rooms"
        );
    }
    Ok(())
}

impl LoadArgs {
    /// The servers.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let (http, tcp, remote) = (&self.target, &self.target_tcp, matches!(self.job.agents, Agents::Remote(_)));
        ensure!(
            tcp.is_empty() || tcp.len() == http.len(),
            "--target-tcp is there {} times and --target {}: give both for each server, or no --target-tcp",
            tcp.len(),
            http.len()
        );
        ensure!(
            remote == self.redis.is_some(),
            "--agents N and --redis URL belong together: give both, or --agents local:N"
        );
        for address in http.iter().chain(tcp) {
            ensure!(
                remote || address.ip().is_loopback(),
                "--target {address} is no loopback address: run the server on this machine, or give --agents N and \
                 --redis URL"
            );
        }
        ensure!(self.pid.is_none() || http.len() == 1, "--pid is that of one server, but there are {}", http.len());
        let node = |(at, http): (usize, &SocketAddr)| Node {
            http: *http,
            tcp: tcp.get(at).copied().unwrap_or(SocketAddr::new(http.ip(), TCP_PORT)),
        };
        let nodes = http.iter().enumerate().map(node).collect();
        Ok(Target { nodes, token: self.token.clone(), protocol: None })
    }
}

impl ScenarioFlags {
    /// The file that says the same.
    fn toml(&self) -> Option<String> {
        let (clients, rooms, rate) = (self.clients?, self.rooms?, self.rate?);
        let transports =
            if self.transports.is_empty() { String::new() } else { format!("transports = {:?}\n", self.transports) };
        let payload = self.payload.map_or_else(String::new, |bytes| format!("payload_bytes = {bytes}\n"));
        Some(format!(
            "name = \"flags\"\n\
             question = \"What do {clients} clients in {rooms} rooms with {rate} posts per client per second cost?\"\n\
             {transports}clients = {clients}\nrooms = {rooms}\n\n[posts]\nper_client_per_s = {rate:?}\n{payload}"
        ))
    }
}

/// Measure every transport of a scenario, each run on a server of its own
#[derive(Parser)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

/// Measure a server that is running already
#[derive(Parser)]
#[command(after_help = LOAD_EXAMPLES)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// URL of its HTTP and WebSocket port, such as `http://127.0.0.1:8080`; repeated for each server of
    /// one chat. Only loopback addresses are measured, and private ones by agents
    #[arg(long, value_name = "URL", required = true, value_parser = target_url)]
    pub(crate) target: Vec<SocketAddr>,

    /// Address of its raw TCP port [default: port 8081 of the same host]
    #[arg(long, value_name = "ADDRESS", value_parser = target_url)]
    pub(crate) target_tcp: Vec<SocketAddr>,

    /// Redis over which `pushbench agent` on other machines makes the load, such as
    /// redis://10.0.0.5:6379; needs --agents N
    #[arg(long, env = "PUSHBENCH_REDIS", hide_env_values = true, value_name = "URL")]
    pub(crate) redis: Option<String>,

    /// Process id of the server, or of the process that started all its processes: CPU and memory
    /// are then read from the kernel. Memory per connection is not known this way: for that, start
    /// the server as a `[[target]]` of the scenario
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Token that the server requires
    #[arg(long, env = "PUSHBENCH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

const RUN_EXAMPLES: &str = "\
Examples:
  pushbench run quick
  pushbench run chat --budget 5m --set transports=sse,websocket
  pushbench run quick --until 2% --budget 10m
  pushbench run --clients 500 --rooms 50 --rate 0.2 --transports sse,websocket
  pushbench run quick --watch                      # open the page that it names
  pushbench run scale --dry-run
  pushbench run nodes --agents local:3
  pushbench run mine.toml --json > summary.json";

const LOAD_EXAMPLES: &str = "\
Examples:
  pushbench serve --cores 0 &
  pushbench load quick --target http://127.0.0.1:8080 \\
    --target-tcp 127.0.0.1:8081
  pushbench load quick --target http://127.0.0.1:3000 \\
    --set transports=websocket --pid $(pgrep -n node)
  pushbench load scale --agents 2 --redis redis://10.0.0.5:6379 \\
    --target http://10.0.0.6:8080 --set slices=1 --set clients=40000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_make_the_scenario_that_a_file_would() {
        let words = "run --clients 500 --rooms 50 --rate 0.2 --payload 200 --transports sse,websocket --set seed=7";
        let job = RunArgs::parse_from(words.split(' ')).job.job().unwrap();
        let plan = &job.plans[0];
        assert_eq!((plan.clients, plan.rooms, plan.payload_bytes, job.seed), (500, 50, 200, 7));
        assert_eq!(plan.transports_asked(), [Transport::Sse, Transport::Websocket]);
        let file = scenario::parse("flags", &job.text, &[]).unwrap();
        assert_eq!((job.name.as_str(), file.plans.len()), ("flags", 1), "the manifest has an equal scenario file");
        let all = RunArgs::parse_from("run --clients 1 --rooms 1 --rate 1".split(' ')).job.job().unwrap();
        assert_eq!(all.plans[0].transports, Transport::ALL);
    }

    #[test]
    fn agents_have_whole_rooms_and_one_long_window() {
        let job = |words: &str| RunArgs::parse_from(words.split(' ')).job.job();
        assert_eq!(job("run nodes --agents local:10").unwrap().generators, 10);
        assert_eq!(job("run nodes --agents 3").unwrap().generators, 3);
        for (words, why) in [
            ("run nodes --agents local:11", "--agents local:11 is more than the rooms, which are 10"),
            ("run quick --agents local:2", "--agents local:2 needs one long window"),
        ] {
            let error = job(words).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn flags_are_complete_and_never_beside_a_scenario() {
        for words in [
            "run",
            "run quick --rooms 5",
            "run quick --clients 5 --rooms 1 --rate 1",
            "run --clients 5",
            "run --rooms 5",
            "run --clients 5 --rooms 1 --rate 1 --transports carrier-pigeon",
        ] {
            assert!(RunArgs::try_parse_from(words.split(' ')).is_err(), "{words}");
        }
        let none = RunArgs::parse_from("run --clients 0 --rooms 1 --rate 1".split(' ')).job.job();
        assert!(none.unwrap_err().to_string().contains("clients is 0; it takes a whole number from 1"));
    }
}
