//! Folders of finished and killed jobs, and changed or damaged folders.

use std::sync::LazyLock;

use hdrhistogram::Histogram;
use proptest::prelude::*;

use super::*;
use crate::{Distribution, Interval, State, invented};

/// A folder for one test. Dropping this value removes it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pushbench-results-{}-{name}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The same folder with latencies rounded to histogram buckets.
fn in_buckets(mut job: ResultsFolder) -> ResultsFolder {
    let empty = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
    for interval in job.runs.iter_mut().flat_map(|run| run.intervals.values_mut()).flatten() {
        let counts = interval.distribution.counts().iter();
        interval.distribution =
            Distribution::new(counts.map(|(value, count)| (empty.highest_equivalent(*value), *count)).collect());
    }
    job
}

#[test]
fn a_saved_folder_is_loaded_unchanged() {
    let scratch = Scratch::new("saved");
    let job = in_buckets(invented::results_folder(&[100, 1000]));
    let folder = invented::save(&scratch.0, &job);
    assert_eq!(load(folder.path()).unwrap(), job);
}

/// The files of a folder with one run.
static ONE_RUN: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let scratch = Scratch::new("one-run");
    let mut job = invented::results_folder(&[20]);
    job.runs.truncate(1);
    let folder = invented::save(&scratch.0, &job);
    [MANIFEST, "runs/0001.json", "histograms/0001.hlog"].map(|name| fs::read(folder.path().join(name)).unwrap())
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_record_is_loaded_unchanged(
        floats in proptest::collection::vec(any::<f64>().prop_filter("JSON has only finite numbers", |float| float.is_finite()), 6),
        numbers in proptest::collection::vec(0..NUMBER_MAX, 8),
        text in any::<String>(),
        seconds in proptest::collection::btree_map(-1_i64..3_000, proptest::collection::vec((0_u64..60_000_000, 1_u64..1 << 30), 1..9), 0..6),
    ) {
        let scratch = Scratch::new("any");
        let mut job = invented::results_folder(&[20]);
        job.runs.truncate(1);
        let run = &mut job.runs[0];
        let record = &mut run.record;
        record.machine.cpu_probe_before = floats[0];
        record.machine.cpu_probe_after = floats[1];
        record.machine.cpu_probe_best = floats[2];
        record.machine.stolen_share = floats[3];
        record.generator.core_usage_max = floats[4];
        record.http_client = text.clone();
        record.verdict.reasons = vec![text.clone()];
        record.ended = crate::RunEnd::Failed(text);
        (record.negative, record.slices[0].traffic.requests, record.ledger.unexpected) = (numbers[0], numbers[1], numbers[2]);
        record.faults.note(crate::FaultKind::BadBytes, record.http_client.clone());
        record.tcp = None;
        run.intervals = std::iter::once((Series::ConnectTime, seconds)).filter(|(_, seconds)| !seconds.is_empty()).map(|(series, seconds)| {
            let intervals = seconds.into_iter().map(|(second, counts)| Interval { second, distribution: Distribution::new(counts) });
            (series, intervals.collect())
        }).collect();
        job.manifest.host.cpu_quota = Some(floats[5]);
        let mut job = in_buckets(job);
        let run = &mut job.runs[0];
        let samples = run.whole(Series::ConnectTime).len();
        let latency = run.record.latency.remove(&Series::DeliveryLatency).unwrap();
        run.record.latency = [(Series::ConnectTime, crate::LatencySummary { samples, ..latency })].into();
        run.record.latency.retain(|_, latency| latency.samples > 0);
        let folder = invented::save(&scratch.0, &job);
        prop_assert_eq!(load(folder.path()).unwrap(), job);
    }

    /// A folder with one changed byte or a shortened file is loaded or refused.
    #[test]
    fn a_damaged_folder_causes_no_panic(file in 0_usize..3, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let names = [MANIFEST, "runs/0001.json", "histograms/0001.hlog"];
        let scratch = Scratch::new("damaged");
        for (name, bytes) in names.iter().zip(&*ONE_RUN) {
            let path = scratch.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let path = scratch.0.join(names[file]);
        let mut bytes = ONE_RUN[file].clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        [crate::fuzz::manifest, crate::fuzz::record, crate::fuzz::interval_log][file](&bytes);
        fs::write(&path, bytes).unwrap();
        if let Err(error) = load(&scratch.0) {
            prop_assert!(error.to_string().contains(path.to_str().unwrap()), "{}", error);
        }
    }
}

#[test]
fn the_saved_runs_of_a_killed_job_are_loaded() {
    let scratch = Scratch::new("killed");
    let mut job = in_buckets(invented::results_folder(&[20]));
    job.manifest.state = State::Running;
    job.runs.truncate(2);
    let folder = invented::save(&scratch.0, &job);
    fs::write(folder.log_path(3).unwrap(), b"#[Start").unwrap();
    for half in ["runs/0003.json.partial", "manifest.json.partial", "runs/notes.txt"] {
        fs::write(folder.path().join(half), "{\"sch").unwrap();
    }
    assert_eq!(load(folder.path()).unwrap(), job);
    let before = Scratch::new("killed-before-the-first-run");
    job.runs.clear();
    assert_eq!(load(invented::save(&before.0, &job).path()).unwrap(), job);
}

#[test]
fn a_path_that_is_no_results_folder_is_an_error() {
    let scratch = Scratch::new("none");
    let error_of = |path: &Path| load(path).unwrap_err();
    for (path, why) in [(scratch.0.clone(), "it has no manifest.json"), (scratch.0.join("x"), "it is not there")] {
        let error = error_of(&path);
        assert!(matches!(error, LoadError::NoResults { .. }), "{error}");
        let expected = format!(
            "{} is no results folder: {why}; give one that a job has made, such as results/runs/20260101T000000Z-quick",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
    }
    fs::write(scratch.0.join("file"), "").unwrap();
    assert!(error_of(&scratch.0.join("file")).to_string().contains("it is a file"));
    fs::create_dir(scratch.0.join(MANIFEST)).unwrap();
    assert!(
        error_of(&scratch.0)
            .to_string()
            .ends_with("manifest.json: it is no file; it was changed or damaged: take the folder as the job left it")
    );
}

/// The error of a folder with two runs of which one file was changed.
fn changed(file: &str, change: impl Fn(String) -> String) -> String {
    let scratch = Scratch::new(&format!("changed-{:?}", std::thread::current().id()));
    let mut job = invented::results_folder(&[20]);
    job.runs.truncate(2);
    let folder = invented::save(&scratch.0, &job);
    let path = folder.path().join(file);
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    let error = load(folder.path()).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn changed_files_are_refused_with_the_line() {
    let swap = |file, from: &'static str, to: &'static str| {
        let error = changed(file, |text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        error
            .strip_suffix("; it was changed or damaged: take the folder as the job left it")
            .map(str::to_owned)
            .unwrap_or(error)
    };
    let run = "runs/0002.json";
    assert_eq!(
        swap(run, "\"schema\":3", "\"schema\":1"),
        "runs/0002.json: schema version 1, this pushbench reads version 3; read it with the pushbench that wrote it, or measure again"
    );
    assert_eq!(swap(run, "\"schema\":3,", ""), "runs/0002.json: no schema version");
    assert_eq!(
        swap(MANIFEST, "\"complete\"", "\"perfect\""),
        "manifest.json:4: unknown variant `perfect`, expected one of `running`, `complete`, `interrupted`, `failed`"
    );
    assert_eq!(swap(run, "\"run\":2", "\"run\":7"), "runs/0002.json: it says that it is run 7");
    assert_eq!(swap(run, "\"run\":2", "\"run\":-2"), "runs/0002.json:1: invalid value: integer `-2`, expected u32");
    assert_eq!(
        swap(run, "\"point\":\"\"", "\"point\":\"a\\u001b\""),
        "runs/0002.json: its point \"a\\u{1b}\" is none of those in manifest.json"
    );
    assert_eq!(
        swap(run, "\"negative\":0", "\"negative\":281474976710657"),
        "runs/0002.json: the number 281474976710657, larger than anything measured (281474976710656)"
    );
    let log = "histograms/0002.hlog";
    assert_eq!(
        swap(log, "Tag=delivery_latency,", "Tag=deliver,"),
        "histograms/0002.hlog:3: the tag Tag=deliver of no series"
    );
    let without = changed(log, |text| text.lines().take(3).collect::<Vec<_>>().join("\n"));
    assert!(
        without.starts_with("histograms/0002.hlog: 200 values of delivery_latency, but 0002.json says 2000; "),
        "{without}"
    );
}

#[test]
fn a_removed_run_is_an_error() {
    let scratch = Scratch::new("taken");
    let mut job = invented::results_folder(&[20]);
    job.runs.truncate(3);
    let folder = invented::save(&scratch.0, &job);
    fs::remove_file(folder.path().join("histograms/0003.hlog")).unwrap();
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.ends_with("histograms/0003.hlog"), "{error}");
    fs::remove_file(folder.path().join("runs/0002.json")).unwrap();
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("runs: run 3 is there, but there are only 2 files of runs; "), "{error}");
}
