//! A server process for one run: how it is started, watched and stopped. It never outlives this
//! program.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::{Node, Target};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use results::Crash;
use scenario::Plan;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wire::{ServerAddresses, Transport};

use super::output::Output;
use super::process_usage::ProcessUsageReader;
use crate::machine;
use crate::precedence::Precedence;

const START_MAX: Duration = Duration::from_secs(10);
const STOP_MAX: Duration = Duration::from_secs(6);
/// Log of a room: enough for what a slow polling client has not fetched yet, at any rate of posts.
const LOG_MESSAGES: u64 = 16_384;
const LOG_BYTES: u64 = 16 << 20;
/// Connections that the server accepts beyond those of the clients.
const SPARE_CONNECTIONS: u64 = 100;

/// When a server crashed that did not become ready.
pub(super) const BEFORE_READY: &str = "before it was ready";

/// A started server.
pub(crate) struct ServerProcess {
    pub(super) child: Child,
    /// The server ends when this is closed.
    pub(super) stdin: Option<ChildStdin>,
    pub(crate) target: Target,
    /// `None` where the system does not allow to read other processes.
    pub(crate) process: Option<ProcessUsageReader>,
    /// Whether it has `/stats`, the statistics of the built-in server.
    pub(crate) reports_stats: bool,
    pub(super) output: Output,
}

/// Command line of a build of pushbench, to which ports and limits of the plan are added.
#[derive(Debug, Clone)]
pub(crate) struct ServerCommand {
    pub(crate) words: Vec<String>,
}

impl ServerCommand {
    /// The server inside this program.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Ok(Self { words: vec![program()?.display().to_string(), "serve".to_owned()] })
    }

    /// Parses a command line; a program alone gets the word `serve`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = shlex::split(text).ok_or_else(|| format!("{text:?} has an unclosed quote"))?;
        match words.len() {
            0 => return Err("a command line is needed".to_owned()),
            1 => words.push("serve".to_owned()),
            _ => {}
        }
        Ok(Self { words })
    }
}

impl ServerProcess {
    /// Starts a build of pushbench for a plan and waits until it listens. `log` is the address of the
    /// log that it shares.
    pub(crate) async fn launch(
        command: &ServerCommand,
        plan: &Plan,
        transport: Transport,
        (cores, precedence): (&[usize], Precedence),
        log: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (program, words) = command.words.split_first().context("the command line of a server is empty")?;
        let mut process = Command::new(program);
        process.args(words).args(arguments(plan, transport, cores));
        if let Some(url) = log {
            process.args(["--log", url]);
        }
        process.env_remove("PUSHBENCH_TOKEN").env("RUST_LOG", "warn");
        process.kill_on_drop(true);
        let (mut child, stdout, mut output) =
            spawn(process, precedence).await.with_context(|| format!("cannot start {program}"))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = match tokio::time::timeout(START_MAX, lines.next_line()).await {
            Ok(line) => line.context("cannot read where the server listens")?,
            Err(_) => bail!(not_ready(START_MAX, &format!("{program} did not print its addresses"), &output)),
        };
        let Some(line) = line else {
            bail!(crash(&mut child, &mut output, BEFORE_READY).await);
        };
        let listening: ServerAddresses = serde_json::from_str(&line)
            .with_context(|| format!("the first line of output of {program} is not its addresses: {line}"))?;
        output.follow(lines.into_inner());
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            target: Target::of(Node { http: listening.http, tcp: listening.tcp }),
            process: ProcessUsageReader::attach(listening.pid).ok(),
            reports_stats: true,
            output,
        })
    }

    /// Sends a signal to its process, if that is known and has not ended.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(process) = self.process.as_ref().filter(|process| !process.has_ended()) {
            kill(Pid::from_raw(process.pid().cast_signed()), signal).ok();
        }
    }

    /// Returns when the server has ended by itself.
    pub(crate) async fn wait_for_crash(&mut self) -> Crash {
        crash(&mut self.child, &mut self.output, "during the run").await
    }

    /// Its crash, if it has ended by itself or does so within `time`.
    pub(crate) async fn crashes_within(&mut self, time: Duration) -> Option<Crash> {
        tokio::time::timeout(time, self.child.wait()).await.ok()?.ok()?;
        Some(self.wait_for_crash().await)
    }

    /// Stops it by closing its standard input, and kills it when that takes too long.
    pub(crate) async fn stop(mut self) {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_MAX, self.child.wait()).await.is_err() {
            tracing::warn!("the server did not end in time and is killed");
            self.child.kill().await.ok();
        }
        self.output.end().await;
    }
}

/// Starts a process and passes on its standard error; the caller reads its standard output.
pub(super) async fn spawn(
    mut command: Command,
    precedence: Precedence,
) -> anyhow::Result<(Child, ChildStdout, Output)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = precedence.spawn(&mut command).await?;
    let mut output = Output::default();
    output.pass_on(child.stderr.take().context("it has no standard error")?);
    let stdout = child.stdout.take().context("it has no standard output")?;
    Ok((child, stdout, output))
}

/// Waits until a server has ended; returns how.
pub(super) async fn crash(child: &mut Child, output: &mut Output, when: &str) -> Crash {
    let status = child.wait().await;
    output.end().await;
    let how = status.map_or_else(|error| format!("ended, but its status cannot be read ({error})"), ended);
    Crash { how: format!("the server {how} {when}"), last_output: output.last_lines() }
}

/// The crash of a server that did not become ready in time.
pub(super) fn not_ready(within: Duration, why: &str, output: &Output) -> Crash {
    let how = format!("the server was not ready within {} s: {why}", within.as_secs_f64());
    Crash { how, last_output: output.last_lines() }
}

fn ended(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exited with status {}", status.code().unwrap_or_default());
    };
    let name = Signal::try_from(signal).map_or_else(|_| String::new(), |signal| format!(" ({signal})"));
    format!("was killed by signal {signal}{name}")
}

pub(super) fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find the file of this program, which contains the server")
}

/// Of several servers each takes over the clients of others, as far as it may open files for them.
fn connections_max(plan: &Plan, transport: Transport) -> u64 {
    let all = plan.sockets(transport) + SPARE_CONNECTIONS;
    match (plan.nodes, machine::raise_open_files()) {
        (2.., Ok(files)) => all.min(files),
        _ => all,
    }
}

fn arguments(plan: &Plan, transport: Transport, cores: &[usize]) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["--exit-with-parent", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"].map(str::to_owned).into();
    let mut set = |flag: &str, value: u128| arguments.extend([flag.to_owned(), value.to_string()]);
    set("--connections-max", connections_max(plan, transport).into());
    set("--rooms-max", u128::from(plan.rooms) + 1);
    set("--log-messages-max", LOG_MESSAGES.into());
    set("--log-bytes-max", LOG_BYTES.into());
    set("--message-bytes-max", plan.payload_bytes.max(1 << 10) as u128);
    for (flag, value) in plan.tuning.of(transport).server_flags() {
        set(flag, value);
    }
    if !cores.is_empty() {
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        arguments.extend(["--cores".to_owned(), cores.join(",")]);
    }
    arguments
}
