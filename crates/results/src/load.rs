//! Reads a results folder. A folder may come from anywhere: content that does not fit is refused,
//! with file and line.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::store::{MANIFEST, RUNS, log_name, run_name};
use crate::{Manifest, ResultsFolder, Run, RunRecord, SCHEMA, Series, interval_log};

/// Most bytes a file of a folder may have; an hour over six transports is a tenth of it.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Most runs a folder may have.
const RUNS_MAX: u32 = 9_999;
/// Largest whole number a record may hold: nine years in µs, 280 TB. Sums of them fit.
const NUMBER_MAX: u64 = 1 << 48;
/// Most seconds a record may have.
const SECONDS_MAX: usize = 7_201;

/// Threads that read a folder.
const THREADS_MAX: usize = 8;

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such folder, or it never was a results folder.
    #[error("{} is no results folder: {why}; give one that a job has made, such as results/runs/20260101T000000Z-quick", path.display())]
    NoResults {
        /// What was given.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// The system does not let us read it.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It says something that a results folder does not say.
    #[error("{}{}: {found}; {advice}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Where in it, from 1.
        line: Option<usize>,
        /// What stands there.
        found: String,
        /// What to do.
        advice: &'static str,
    },
}

const CHANGED: &str = "it was changed or damaged: take the folder as the job left it";
const OTHER_VERSION: &str = "read it with the pushbench that wrote it, or measure again";

/// Reads the folder of a job, also of one that was killed or goes on: what has no final name yet is
/// left out.
pub fn load(path: &Path) -> Result<ResultsFolder, LoadError> {
    let no_results = |why| LoadError::NoResults { path: path.to_owned(), why };
    if !path.is_dir() {
        return Err(no_results(if path.exists() { "it is a file" } else { "it is not there" }));
    }
    if !path.join(MANIFEST).exists() {
        return Err(no_results("it has no manifest.json"));
    }
    let whole = path.canonicalize().map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    let manifest: Manifest = json(&path.join(MANIFEST), u64::MAX)?;
    Ok(ResultsFolder {
        name: whole.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        runs: runs(path, &manifest)?,
        manifest,
    })
}

fn runs(folder: &Path, manifest: &Manifest) -> Result<Vec<Run>, LoadError> {
    let count = count_runs(&folder.join(RUNS))?;
    let numbers: Vec<u32> = (1..=count).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let share = numbers.len().div_ceil(threads).max(1);
    let read = |share: &[u32]| share.iter().map(|number| run(folder, manifest, *number)).collect::<Result<Vec<_>, _>>();
    std::thread::scope(|scope| {
        let shares: Vec<_> = numbers.chunks(share).map(|share| scope.spawn(move || read(share))).collect();
        let mut all = Vec::new();
        for share in shares {
            all.extend(share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

/// Runs are numbered from 1 without a gap; whatever has another name than theirs is not ours.
fn count_runs(folder: &Path) -> Result<u32, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: folder.to_owned(), source };
    if !folder.exists() {
        return Ok(0);
    }
    let (mut count, mut last) = (0, 0);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u32>().ok());
        let Some(number) = number.filter(|number| name.to_str() == Some(&run_name(*number))) else { continue };
        count += 1;
        last = last.max(number);
    }
    if count != last {
        let found = format!("run {last} is there, but there are only {count} files of runs");
        return Err(LoadError::Content { path: folder.to_owned(), line: None, found, advice: CHANGED });
    }
    if count > RUNS_MAX {
        let found = format!("{count} runs, more than {RUNS_MAX}");
        return Err(LoadError::Content { path: folder.to_owned(), line: None, found, advice: CHANGED });
    }
    Ok(count)
}

fn run(folder: &Path, manifest: &Manifest, number: u32) -> Result<Run, LoadError> {
    let path = folder.join(RUNS).join(run_name(number));
    let record: RunRecord = json(&path, NUMBER_MAX)?;
    let wrong = |found| Err(LoadError::Content { path: path.clone(), line: None, found, advice: CHANGED });
    if record.run != number {
        return wrong(format!("it says that it is run {}", record.run));
    }
    if manifest.points.iter().all(|point| point.name != record.point) {
        return wrong(format!("its point {:?} is none of those in {MANIFEST}", record.point));
    }
    if record.seconds.len() > SECONDS_MAX {
        return wrong(format!("{} seconds, more than {SECONDS_MAX}", record.seconds.len()));
    }
    let path = folder.join(log_name(number));
    let bytes = contents(&path)?;
    let bad = |line, found| LoadError::Content { path: path.clone(), line, found, advice: CHANGED };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        bad(Some(line), "bytes that are no UTF-8".to_owned())
    })?;
    let intervals = interval_log::read(text).map_err(|(line, found)| bad(Some(line), found))?;
    let run = Run { record, intervals };
    for series in Series::ALL {
        let (logged, recorded) =
            (run.logged(series), run.record.latency.get(&series).map_or(0, |latency| latency.samples));
        if logged != recorded.into() {
            let found = format!("{logged} values of {}, but {} says {recorded}", series.name(), run_name(number));
            return Err(bad(None, found));
        }
    }
    Ok(run)
}

impl Run {
    fn logged(&self, series: Series) -> u128 {
        self.intervals.get(&series).into_iter().flatten().map(|interval| u128::from(interval.distribution.len())).sum()
    }
}

/// A JSON file of ours, without whole numbers beyond `number_max`.
fn json<T: DeserializeOwned>(path: &Path, number_max: u64) -> Result<T, LoadError> {
    parse(path, &contents(path)?, number_max)
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8], number_max: u64) -> Result<T, LoadError> {
    let bad = |line, found: String, advice| LoadError::Content { path: path.to_owned(), line, found, advice };
    let not_json = |error: serde_json::Error| {
        // The place stands in front already.
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default().escape_debug().to_string();
        bad(Some(error.line()), text, CHANGED)
    };
    let value: Value = serde_json::from_slice(bytes).map_err(not_json)?;
    match value.get("schema").map(|schema| (schema.as_u64(), schema)) {
        Some((Some(version), _)) if version == u64::from(SCHEMA) => {}
        Some((_, found)) => {
            let found = format!("schema version {found}, this pushbench reads version {SCHEMA}");
            return Err(bad(None, found, OTHER_VERSION));
        }
        None => return Err(bad(None, "no schema version".to_owned(), CHANGED)),
    }
    if let Some(number) = largest(&value).filter(|number| *number > number_max) {
        return Err(bad(None, format!("the number {number}, larger than anything measured ({number_max})"), CHANGED));
    }
    serde_json::from_slice(bytes).map_err(not_json)
}

/// A record's bytes, as [`load`] reads them.
#[cfg(any(test, fuzzing))]
pub(crate) fn record(bytes: &[u8]) -> Result<RunRecord, LoadError> {
    parse(Path::new(RUNS), bytes, NUMBER_MAX)
}

/// A manifest's bytes, as [`load`] reads them.
#[cfg(any(test, fuzzing))]
pub(crate) fn manifest(bytes: &[u8]) -> Result<Manifest, LoadError> {
    parse(Path::new(MANIFEST), bytes, u64::MAX)
}

/// Largest whole number anywhere; serde_json lets nothing in that is nested so deep that this would
/// matter.
fn largest(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::Array(items) => items.iter().filter_map(largest).max(),
        Value::Object(items) => items.values().filter_map(largest).max(),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

/// A file's bytes, if it is a file of a size that one of ours could have.
fn contents(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let bad = |found| LoadError::Content { path: path.to_owned(), line: None, found, advice: CHANGED };
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(bad("it is no file".to_owned()));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(bad(format!("{} bytes, more than {FILE_BYTES_MAX}", about.len())));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
