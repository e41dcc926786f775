//! What the benches share: a server in a process of its own, a run of the whole instrument against it, and the table at the end.

#![allow(dead_code, reason = "each bench uses its part")]

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Order, Recording, Target};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::unistd::Pid;
use scenario::Plan;
use wire::{Listening, Transport};

/// The server has a core to itself, and so has whoever is measured.
const SERVER_CORE: usize = 0;
const OUR_CORE: usize = 1;

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
        let listening: Listening = serde_json::from_str(&line)?;
        Ok(Self { target: Target { http: listening.http, tcp: listening.tcp, token: None }, process })
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
pub(crate) fn run(plan: &Arc<Plan>, transport: Transport) -> io::Result<Recording> {
    let server = Server::start()?;
    let order = Order { plan: Arc::clone(plan), transport, target: server.target.clone(), cores: vec![OUR_CORE] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (never, mut log) = (std::future::pending(), io::sink());
    let run = loadgen::execute(order, never, &mut log, |_| {}, async |_| {});
    let recording = runtime.block_on(run)?;
    let right = recording.ended == results::Ended::Complete && recording.ledger.is_clean();
    if !right || recording.ledger.seen != recording.ledger.planned {
        return Err(io::Error::other(format!("{:?} {:?} {:?}", recording.ended, recording.ledger, recording.faults)));
    }
    Ok(recording)
}

/// Puts this thread, and those it starts, where the measured ones are; takes all the open files there are.
pub(crate) fn settle_down() -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(OUR_CORE)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// CPU of this thread.
pub(crate) fn thread_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(Duration::from_micros((micros(usage.user_time()) + micros(usage.system_time())).unsigned_abs()))
}

/// `--name value` from the command line.
pub(crate) fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.next().and_then(|_| arguments.next())
}

/// A number from the command line, or what is measured by default.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    argument(name).map_or(default, |text| text.parse().expect("a whole number"))
}

/// The load of the machine, to be read beside every figure.
pub(crate) fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// Several measurements of the same thing: `median (least–most)`.
pub(crate) fn shown(values: &[f64], decimals: usize) -> String {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let median = f64::midpoint(values[(n - 1) / 2], values[n / 2]);
    format!("{median:.decimals$} ({:.decimals$}–{:.decimals$})", values[0], values[n - 1])
}
