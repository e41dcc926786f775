//! What the benches share: a server in its own process, and a run of the load generator against it.

#[path = "../../../server/benches/common/machine.rs"]
pub(crate) mod machine;

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use machine::{CLIENT_CORE, SERVER_CORE, argument};

use loadgen::{Node, RunConfig, RunMeasurements, Target};
use results::Slice;
use scenario::Plan;
use wire::{ServerAddresses, Transport};

/// A `pushbench serve` process, which is killed when this value is dropped.
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
        let mut first_line = String::new();
        BufReader::new(process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut first_line)?;
        let listening: ServerAddresses = serde_json::from_str(&first_line)?;
        Ok(Self { target: Target::of(Node { http: listening.http, tcp: listening.tcp }), process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The program in `--server PATH`, or the release build.
fn program() -> io::Result<PathBuf> {
    let built = std::env::current_exe()?.ancestors().nth(2).map(|folder| folder.join("pushbench"));
    let path = argument("--server").map(PathBuf::from).or(built).unwrap_or_default();
    if path.is_file() {
        return Ok(path);
    }
    Err(io::Error::other(format!("there is no {}: run `cargo build --release`, or give --server PATH", path.display())))
}

/// The only plan of a scenario.
pub(crate) fn plan(scenario: &str) -> io::Result<Arc<Plan>> {
    let mut job = scenario::parse("bench", scenario, &[]).map_err(io::Error::other)?;
    Ok(Arc::new(job.plans.remove(0)))
}

/// One run of the load generator against a new server.
pub(crate) fn run(plan: &Arc<Plan>, transport: Transport) -> io::Result<(RunMeasurements, Slice)> {
    let server = Server::start()?;
    let config = RunConfig {
        plan: Arc::clone(plan),
        transport,
        target: server.target.clone(),
        cores: vec![CLIENT_CORE],
        never_sleeps: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (measurements, slices) = runtime.block_on(loadgen::execute(config, &mut io::sink()))?;
    let RunMeasurements { ended, ledger, faults, .. } = &measurements;
    let is_right = *ended == results::RunEnd::Complete && ledger.is_clean();
    if !is_right || ledger.received != ledger.scheduled {
        return Err(io::Error::other(format!("{ended:?} {ledger:?} {faults:?}")));
    }
    let slice = slices.into_iter().next().ok_or_else(|| io::Error::other("there was no slice"))?;
    Ok((measurements, slice))
}
