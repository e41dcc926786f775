//! A server of our own, as its own process: started for one run, ended with it, and with us.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::Target;
use scenario::Plan;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use wire::{Listening, Transport};

use super::meter::Meter;

const START_MAX: Duration = Duration::from_secs(10);
const STOP_MAX: Duration = Duration::from_secs(6);
/// Enough for what a slow poller has not fetched yet, at any rate the plan may ask for.
const LOG_MESSAGES: u64 = 16_384;
const LOG_BYTES: u64 = 16 << 20;
/// Besides the crowd's own.
const SPARE_CONNECTIONS: u64 = 100;

pub(crate) struct ServerProcess {
    child: Child,
    /// It ends when this is closed.
    stdin: Option<ChildStdin>,
    pub(crate) target: Target,
    /// None where the system does not let us read other processes.
    pub(crate) meter: Option<Meter>,
}

impl ServerProcess {
    /// Starts the server this program contains, set as the plan says, and waits until it listens.
    pub(crate) async fn start(plan: &Plan, transport: Transport, cores: &[usize]) -> anyhow::Result<Self> {
        let program = program()?;
        let mut command = Command::new(&program);
        command.args(arguments(plan, transport, cores));
        command.env_remove("PUSHBENCH_TOKEN").env("RUST_LOG", "warn");
        // Ctrl-C in a terminal goes to the whole group; the server's end is ours to order.
        command.process_group(0).kill_on_drop(true);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = match tokio::time::timeout(START_MAX, lines.next_line()).await {
            Ok(line) => line.context("cannot read where the server listens")?,
            Err(_) => bail!("the server did not say where it listens within {} s", START_MAX.as_secs()),
        };
        let Some(line) = line else {
            let status = child.wait().await.context("cannot wait for the server")?;
            bail!("the server ended at once ({status}); its message is above");
        };
        let listening: Listening = serde_json::from_str(&line)
            .with_context(|| format!("the server's first line is not its addresses: {line}"))?;
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            target: Target { http: listening.http, tcp: listening.tcp, token: None },
            meter: Meter::attach(listening.pid).ok(),
        })
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Comes back when it has ended by itself, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Ends it by closing its standard input, and makes sure.
    pub(crate) async fn stop(mut self) {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_MAX, self.child.wait()).await.is_err() {
            tracing::warn!("the server did not end in time and is killed");
            self.child.kill().await.ok();
        }
    }
}

fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file, which contains the server")
}

fn arguments(plan: &Plan, transport: Transport, cores: &[usize]) -> Vec<String> {
    let tuning = &plan.tuning;
    let mut arguments: Vec<String> =
        ["serve", "--exit-with-parent", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"]
            .map(str::to_owned)
            .into();
    let mut set = |flag: &str, value: u128| arguments.extend([flag.to_owned(), value.to_string()]);
    set("--connections-max", u128::from(plan.sockets(transport) + SPARE_CONNECTIONS));
    set("--rooms-max", u128::from(plan.rooms) + 1);
    set("--log-messages-max", LOG_MESSAGES.into());
    set("--log-bytes-max", LOG_BYTES.into());
    set("--message-bytes-max", plan.payload_bytes.max(1 << 10) as u128);
    match transport {
        Transport::Tcp | Transport::Polling => {}
        Transport::LongPolling => set("--hold-max-ms", tuning.long_polling.hold.as_millis()),
        Transport::HttpStreaming | Transport::Sse => {
            let streaming = if transport == Transport::Sse { tuning.sse } else { tuning.http_streaming };
            set("--stream-age-ms", streaming.age.as_millis());
            set("--stream-bytes-max", streaming.bytes_max.into());
            set("--heartbeat-ms", streaming.heartbeat.as_millis());
        }
        Transport::Websocket => {
            set("--websocket-age-ms", tuning.websocket.age.as_millis());
            set("--heartbeat-ms", tuning.websocket.heartbeat.as_millis());
        }
        Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
            set("--heartbeat-ms", tuning.socketio.heartbeat.as_millis());
        }
        Transport::Stomp => set("--heartbeat-ms", tuning.stomp.heartbeat.as_millis()),
    }
    if !cores.is_empty() {
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        arguments.extend(["--cores".to_owned(), cores.join(",")]);
    }
    arguments
}
