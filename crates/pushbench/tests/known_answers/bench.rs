//! The real program as a test uses it: a scenario on the command line, a folder for results, and what was found in it.

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

/// How long a job may take before a test gives up. Generous: it is never a measurement.
const JOB_MAX: Duration = Duration::from_secs(120);

/// Both HTTP clients, as words for `--set`.
pub(crate) const HTTP_CLIENTS: [&str; 2] = ["http_client=built-in", "http_client=reqwest"];

/// Held by whoever measures.
static TURN: Mutex<()> = Mutex::const_new(());

/// A scenario and a results folder of its own, and the machine to itself as far as our tests go.
pub(crate) struct Bench {
    folder: PathBuf,
    scenario: PathBuf,
    set: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    /// The smoke scenario with these keys set.
    pub(crate) async fn new(set: &[&str]) -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), FOLDERS.fetch_add(1, Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        Self {
            folder,
            scenario: smoke(),
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            _turn: TURN.lock().await,
        }
    }

    /// The same with somebody else's server in it.
    pub(crate) async fn with_target(set: &[&str], target: &str) -> Self {
        let mut bench = Self::new(set).await;
        let scenario = bench.folder.with_extension("toml");
        let smoke = std::fs::read_to_string(&bench.scenario).unwrap();
        std::fs::write(&scenario, format!("{smoke}\n[[target]]\n{target}")).unwrap();
        bench.scenario = scenario;
        bench
    }

    /// A file or folder of the test's own.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command line of `run` or `load` with what else it needs, as words.
    pub(crate) fn words(&self, command: &str, more: &[&str]) -> Vec<String> {
        let mut words = vec![env!("CARGO_BIN_EXE_pushbench").to_owned(), command.to_owned()];
        words.push(self.scenario.display().to_string());
        if !more.contains(&"--out") {
            words.extend(["--out".to_owned(), self.folder.display().to_string()]);
        }
        words.extend(self.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    pub(crate) fn start(&self, command: &str, more: &[&str]) -> Job {
        Job::start(&self.words(command, more))
    }

    /// Where the job put its results.
    pub(crate) fn results(&self) -> PathBuf {
        let mut jobs = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let only = jobs.next().expect("the job made a results folder");
        assert!(jobs.next().is_none(), "one job, one folder");
        only
    }

    /// What two jobs left.
    pub(crate) fn both(&self) -> [ResultsFolder; 2] {
        let jobs = std::fs::read_dir(&self.folder).unwrap().map(|entry| results::load(&entry.unwrap().path()).unwrap());
        jobs.collect::<Vec<_>>().try_into().expect("two jobs, two folders")
    }

    /// Every run that was saved, in order.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        let runs = self.results().join("runs");
        let mut files: Vec<_> =
            std::fs::read_dir(runs).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        files.iter().map(read).collect()
    }

    /// The one run there must be.
    pub(crate) fn record(&self) -> RunRecord {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "one run was saved");
        records.remove(0)
    }

    /// A run's interval log, put together again series by series.
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
        // What a failed test found is worth looking at.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.folder).ok();
            std::fs::remove_file(self.folder.with_extension("toml")).ok();
        }
    }
}

/// The scenario every test begins with.
pub(crate) fn smoke() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    root.join("scenarios/smoke.toml")
}

/// A `pushbench` that runs.
pub(crate) struct Job {
    child: Child,
    heard: Vec<u8>,
}

impl Job {
    /// Beside whatever else measures on this machine: tests ask what is measured, not how well.
    pub(crate) fn start(words: &[String]) -> Self {
        Self::start_in(words, "PUSHBENCH_ANYWAY", "true")
    }

    /// With one variable of the environment set.
    pub(crate) fn start_in(words: &[String], variable: &str, value: &str) -> Self {
        let mut command = Command::new(&words[0]);
        for ours in ["PUSHBENCH_TOKEN", "PUSHBENCH_ANYWAY", "RUST_LOG", "COLUMNS"] {
            command.env_remove(ours);
        }
        command.args(&words[1..]).env(variable, value);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { child: command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}")), heard: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("a job that was not waited for")
    }

    /// Waits until it has said something on standard error.
    pub(crate) async fn until_says(&mut self, words: &str) {
        let err = self.child.stderr.as_mut().unwrap();
        let hearing = async {
            while !String::from_utf8_lossy(&self.heard).contains(words) {
                assert_ne!(err.read_buf(&mut self.heard).await.unwrap(), 0, "it ended without saying {words:?}");
            }
        };
        tokio::time::timeout(JOB_MAX, hearing).await.unwrap_or_else(|_| panic!("it does not say {words:?}"));
    }

    pub(crate) async fn end(mut self) -> Ended {
        let output = tokio::time::timeout(JOB_MAX, self.child.wait_with_output()).await;
        let mut output = output.expect("the job ends in time").unwrap();
        self.heard.append(&mut output.stderr);
        Ended::of(Output { stderr: self.heard, ..output })
    }
}

/// How a job ended, and what it said.
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

    /// It ran to its end; whether the machine was quiet enough for its figures is another question.
    pub(crate) fn ran(&self) {
        assert!(matches!(self.code, Some(0 | 6)), "{self:#?}");
    }
}

/// The verdict on the same run had the machine been quiet: a machine that is busy with something else, builds for example, makes any run
/// invalid, and rightly so. Everything else in the record counts.
pub(crate) fn on_a_quiet_machine(record: &RunRecord) -> RunVerdict {
    let mut record = record.clone();
    record.machine.cpu_probe_after = record.machine.cpu_probe_best;
    record.machine.cpu_probe_before = record.machine.cpu_probe_best;
    record.generator.core_usage_max = 0.0;
    record.latency.remove(&Series::SendDelay);
    results::judge(&record)
}

/// Nothing is wrong but what a noisy machine does; and every planned delivery is accounted for.
pub(crate) fn assert_sound(record: &RunRecord) {
    let verdict = on_a_quiet_machine(record);
    assert_eq!(verdict.kind, VerdictKind::Valid, "{} {:?} {:#?}", record.transport, verdict.reasons, record.faults);
    assert!(matches!(record.verdict.kind, VerdictKind::Valid | VerdictKind::Invalid), "{:?}", record.verdict);
    let ledger = &record.ledger;
    assert!(ledger.scheduled > 0 && ledger.received == ledger.scheduled, "{} {ledger:?}", record.transport);
}

/// The alphabet of RFC 4648, as interval logs use it.
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
