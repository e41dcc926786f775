//! What the benches share: a server in a process of its own, a run of the whole instrument against it.

#[path = "../../../server/benches/common/machine.rs"]
pub(crate) mod machine;

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use machine::{CROWD_CORE, SERVER_CORE, argument};

use loadgen::{RunConfig, RunMeasurements, Target};
use scenario::Plan;
use wire::{ServerAddresses, Transport};

/// A `pushbench serve` that ends with this value.
pub(crate) struct Server {
    pub(crate) target: Target,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> io::Result<Self> {
        let program = program()?;
        let mut command = Command::new(program);
        command.args(["serve", "--exit-with-parent", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"]);
        command.args(["--heartbeat-ms", "120000", "--cores", &SERVER_CORE.to_string()]).env("RUST_LOG", "warn");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
        let listening: ServerAddresses = serde_json::from_str(&line)?;
        Ok(Self {
            target: Target {
                http: listening.http,
                tcp: listening.tcp,
                token: None,
                protocol: scenario::Protocol::Pushbench,
            },
            process,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// `--server PATH`, or what a release build left.
fn program() -> io::Result<PathBuf> {
    let built = std::env::current_exe()?.ancestors().nth(2).map(|folder| folder.join("pushbench"));
    let path = argument("--server").map(PathBuf::from).or(built).unwrap_or_default();
    if path.is_file() {
        return Ok(path);
    }
    Err(io::Error::other(format!("{} is not there: cargo build --release, or --server PATH", path.display())))
}

/// The only plan of a scenario.
pub(crate) fn plan(scenario: &str) -> io::Result<Arc<Plan>> {
    let mut job = scenario::parse("bench", scenario, &[]).map_err(io::Error::other)?;
    Ok(Arc::new(job.plans.remove(0)))
}

/// One run of the whole instrument, against a server of its own.
pub(crate) fn run(plan: &Arc<Plan>, transport: Transport) -> io::Result<RunMeasurements> {
    let server = Server::start()?;
    let order = RunConfig { plan: Arc::clone(plan), transport, target: server.target.clone(), cores: vec![CROWD_CORE] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (never, mut log) = (std::future::pending(), io::sink());
    let run = loadgen::execute(order, never, &mut log, |_| {}, async |_| {});
    let recording = runtime.block_on(run)?;
    let right = recording.ended == results::RunEnd::Complete && recording.ledger.is_clean();
    if !right || recording.ledger.received != recording.ledger.scheduled {
        return Err(io::Error::other(format!("{:?} {:?} {:?}", recording.ended, recording.ledger, recording.faults)));
    }
    Ok(recording)
}
