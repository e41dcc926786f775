//! Runs the real `pushbench` program with a scenario and a results folder, and reads the results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use results::{ResultsFolder, RunRecord, RunVerdict, Series, VerdictKind};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

/// Maximum time of a job. It is generous, because it is never a measurement.
const JOB_MAX: Duration = Duration::from_secs(300);

/// Both HTTP clients, as arguments of `--set`.
pub(crate) const HTTP_CLIENTS: [&str; 2] = ["http_client=built-in", "http_client=reqwest"];

/// Held by the test that measures.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// A scenario and a results folder for one test. No other test measures while this value exists.
pub(crate) struct Bench {
    folder: PathBuf,
    scenario: PathBuf,
    set: Vec<String>,
    _measuring: MutexGuard<'static, ()>,
}

impl Bench {
    /// The scenario `smoke` with these keys set.
    pub(crate) async fn new(set: &[&str]) -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), FOLDERS.fetch_add(1, Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        Self {
            folder,
            scenario: smoke(),
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            _measuring: MEASURING.lock().await,
        }
    }

    /// The same with an external server.
    pub(crate) async fn with_target(set: &[&str], target: &str) -> Self {
        Self::with_lines(set, &format!("[[target]]\n{target}")).await
    }

    /// The same with these lines at the end of the scenario.
    pub(crate) async fn with_lines(set: &[&str], lines: &str) -> Self {
        let mut bench = Self::new(set).await;
        let scenario = bench.folder.with_extension("toml");
        let smoke = std::fs::read_to_string(&bench.scenario).unwrap();
        std::fs::write(&scenario, format!("{smoke}\n{lines}")).unwrap();
        bench.scenario = scenario;
        bench
    }

    /// The path of a file or folder for this test.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command line of `run` or `load` with further arguments.
    pub(crate) fn command_line(&self, command: &str, more: &[&str]) -> Vec<String> {
        let mut args = vec![env!("CARGO_BIN_EXE_pushbench").to_owned(), command.to_owned()];
        args.push(self.scenario.display().to_string());
        if !more.contains(&"--out") {
            args.extend(["--out".to_owned(), self.folder.display().to_string()]);
        }
        args.extend(self.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
        args.extend(more.iter().map(|word| (*word).to_owned()));
        args
    }

    pub(crate) fn start(&self, command: &str, more: &[&str]) -> Job {
        Job::start(&self.command_line(command, more))
    }

    /// `pushbench try` with the scenario.
    pub(crate) fn try_out(&self) -> Job {
        let program = env!("CARGO_BIN_EXE_pushbench").to_owned();
        Job::start(&[program, "try".to_owned(), self.scenario.display().to_string()])
    }

    /// The results folder of the job.
    pub(crate) fn results(&self) -> PathBuf {
        let mut jobs = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let only = jobs.next().expect("the job created a results folder");
        assert!(jobs.next().is_none(), "one job, one folder");
        only
    }

    /// The results folders of two jobs.
    pub(crate) fn two_folders(&self) -> [ResultsFolder; 2] {
        let jobs = std::fs::read_dir(&self.folder).unwrap().map(|entry| results::load(&entry.unwrap().path()).unwrap());
        jobs.collect::<Vec<_>>().try_into().expect("two jobs, two folders")
    }

    /// All saved runs in order.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        let runs = self.results().join("runs");
        let mut files: Vec<_> =
            std::fs::read_dir(runs).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        files.iter().map(read).collect()
    }

    /// The only run of the job.
    pub(crate) fn record(&self) -> RunRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "one run was saved");
        records.remove(0)
    }

    /// The interval log of a run: one histogram per series.
    pub(crate) fn histograms(&self, run: u32) -> BTreeMap<String, Histogram<u64>> {
        let log = std::fs::read(self.results().join(format!("histograms/{run:04}.hlog"))).unwrap();
        let (mut deserializer, mut sums) = (Deserializer::new(), BTreeMap::new());
        for entry in IntervalLogIterator::new(&log) {
            let LogEntry::Interval(interval) = entry.unwrap() else { continue };
            let name = interval.tag().expect("every interval names its series").as_str().to_owned();
            let bytes = base64(interval.encoded_histogram());
            let histogram: Histogram<u64> = deserializer.deserialize(&mut bytes.as_slice()).unwrap();
            match sums.entry(name) {
                std::collections::btree_map::Entry::Vacant(empty) => drop(empty.insert(histogram)),
                std::collections::btree_map::Entry::Occupied(mut sum) => sum.get_mut().add(&histogram).unwrap(),
            }
        }
        sums
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The results of a failed test are kept for inspection.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.folder).ok();
            std::fs::remove_file(self.folder.with_extension("toml")).ok();
        }
    }
}

/// The path of the scenario `smoke`.
pub(crate) fn smoke() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    root.join("scenarios/smoke.toml")
}

/// A running `pushbench` process.
pub(crate) struct Job {
    child: Child,
    stderr: Vec<u8>,
}

impl Job {
    /// Starts a job that does not wait for other jobs on this machine: tests check what is
    /// measured, not how precisely.
    pub(crate) fn start(args: &[String]) -> Self {
        Self::start_in(args, "PUSHBENCH_ANYWAY", "true")
    }

    /// Starts a job with one environment variable.
    pub(crate) fn start_in(args: &[String], variable: &str, value: &str) -> Self {
        let mut command = Command::new(&args[0]);
        for ignored in ["PUSHBENCH_TOKEN", "PUSHBENCH_ANYWAY", "RUST_LOG", "COLUMNS"] {
            command.env_remove(ignored);
        }
        command.args(&args[1..]).env(variable, value);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { child: command.spawn().unwrap_or_else(|error| panic!("{args:?}: {error}")), stderr: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("a job that was not waited for")
    }

    /// Waits until the job has printed a text on standard error.
    pub(crate) async fn until_prints(&mut self, text: &str) {
        let err = self.child.stderr.as_mut().unwrap();
        let reading = async {
            while !String::from_utf8_lossy(&self.stderr).contains(text) {
                assert_ne!(err.read_buf(&mut self.stderr).await.unwrap(), 0, "the job ended without printing {text:?}");
            }
        };
        tokio::time::timeout(JOB_MAX, reading).await.unwrap_or_else(|_| panic!("the job does not print {text:?}"));
    }

    pub(crate) async fn end(mut self) -> Ended {
        let (mut out, mut err) = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        let mut stdout = Vec::new();
        let all = async {
            let (out, err) = tokio::join!(out.read_to_end(&mut stdout), err.read_to_end(&mut self.stderr));
            out.and(err).unwrap();
            self.child.wait().await.unwrap()
        };
        let Ok(status) = tokio::time::timeout(JOB_MAX, all).await else {
            panic!("the job has not ended after {JOB_MAX:?}; it printed {:?}", String::from_utf8_lossy(&self.stderr))
        };
        Ended::of(Output { status, stdout, stderr: self.stderr })
    }
}

/// The exit code and the output of a job.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Whether the text is in the output, which breaks sentences into lines.
    pub(crate) fn prints(&self, text: &str) -> bool {
        self.out.replace("\n  ", " ").contains(text)
    }

    /// Checks that the job ended by itself with valid or invalid runs: noise of the machine may
    /// make runs invalid.
    pub(crate) fn assert_completed(&self) {
        assert!(matches!(self.code, Some(0 | 6)), "{self:#?}");
    }
}

/// The verdict on this run without the noise of the machine: other processes, for example builds,
/// make any run invalid. The rest of the record is judged.
pub(crate) fn verdict_on_a_quiet_machine(record: &RunRecord) -> RunVerdict {
    let mut record = record.clone();
    record.machine.cpu_probe_after = record.machine.cpu_probe_best;
    record.machine.cpu_probe_before = record.machine.cpu_probe_best;
    (record.machine.stolen_share, record.machine.throttled_us) = (0.0, 0);
    record.generator.core_usage_max = 0.0;
    record.latency.remove(&Series::SendDelay);
    results::judge(&record)
}

/// Checks that the run is valid, except for noise of the machine, and that all planned deliveries
/// were received.
pub(crate) fn assert_valid(record: &RunRecord) {
    let verdict = verdict_on_a_quiet_machine(record);
    assert_eq!(verdict.kind, VerdictKind::Valid, "{} {:?} {:#?}", record.transport, verdict.reasons, record.faults);
    assert!(matches!(record.verdict.kind, VerdictKind::Valid | VerdictKind::Invalid), "{:?}", record.verdict);
    let ledger = &record.ledger;
    assert!(ledger.scheduled > 0 && ledger.received == ledger.scheduled, "{} {ledger:?}", record.transport);
}

/// Decodes Base64 (RFC 4648), the encoding of histograms in interval logs.
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} in base64"),
    };
    let digits: Vec<u32> = text.bytes().filter(|c| *c != b'=').map(|c| digit(c).into()).collect();
    let quad = |four: &[u32]| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(quad).collect()
}
