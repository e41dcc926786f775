//! Writes results folders. Files are never changed: each is written under a temporary name and
//! renamed when it is complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::tables::TABLES;
use crate::{Manifest, RunRecord};

/// File of the manifest.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Folder of the run records.
pub(crate) const RUNS: &str = "runs";

/// Why a folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct StoreError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A results folder on disk.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a new folder below `parent`, named after the time and the scenario; if the name is
    /// taken, a number is added.
    pub fn create(parent: &Path, stamp: &str, scenario: &str) -> Result<Self, StoreError> {
        fs::create_dir_all(parent).map_err(|source| StoreError { doing: "make", path: parent.to_owned(), source })?;
        for attempt in 1.. {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let path = parent.join(format!("{stamp}-{scenario}{suffix}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {}
                Err(source) => return Err(StoreError { doing: "make", path, source }),
            }
        }
        unreachable!("the loop ends with its hundredth attempt")
    }

    /// The folder of a job that was [loaded](crate::load), or any other, to save a report in.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Checks that a report can be saved here, before anything is measured.
    pub fn prepare_report(&self) -> Result<(), StoreError> {
        let probe = self.aside("report");
        let wrote = fs::create_dir_all(&self.path).and_then(|()| File::create(&probe)).map(drop);
        let wrote = wrote.and_then(|()| fs::remove_file(&probe));
        wrote.map_err(|source| StoreError { doing: "write to", path: self.path.clone(), source })
    }

    /// Saves a report, each file with its path below the folder, and returns the path of the first.
    pub fn save_report(&self, files: &[(String, Vec<u8>)]) -> Result<PathBuf, StoreError> {
        files.iter().try_for_each(|(name, bytes)| self.save(name, bytes))?;
        Ok(files.first().map_or_else(|| self.path.clone(), |(name, _)| self.path.join(name)))
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the interval log of a run while it is written; [`Folder::save_run`] renames it.
    pub fn log_path(&self, run: u32) -> Result<PathBuf, StoreError> {
        let path = self.aside(&log_name(run));
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.map(|()| path.clone()).map_err(|source| StoreError { doing: "write", path, source })
    }

    /// Saves a run: its interval log, if one was written, then its record.
    pub fn save_run(&self, record: &RunRecord) -> Result<(), StoreError> {
        let name = log_name(record.run);
        let (aside, path) = (self.aside(&name), self.path.join(&name));
        let broken = |source| StoreError { doing: "write", path: path.clone(), source };
        let log = File::options().append(true).create(true).open(&aside).map_err(broken)?;
        log.sync_all().and_then(|()| fs::rename(&aside, &path)).map_err(broken)?;
        self.save_json(&format!("{RUNS}/{}", run_name(record.run)), record, serde_json::to_vec)
    }

    /// Saves the CSV files of these runs, replacing earlier ones.
    pub fn save_tables(&self, records: &[RunRecord]) -> Result<(), StoreError> {
        for table in &TABLES {
            let broken = |error| StoreError {
                doing: "write",
                path: self.path.join(table.file),
                source: io::Error::other(error),
            };
            self.save(table.file, &table.csv(records).map_err(broken)?)?;
        }
        Ok(())
    }

    /// Saves the manifest: once at the start of the job, once at its end.
    pub fn save_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        self.save_json(MANIFEST, manifest, serde_json::to_vec_pretty)
    }

    fn save_json<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        written: fn(&T) -> serde_json::Result<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let bytes = written(value).map_err(|error| StoreError {
            doing: "write",
            path: self.path.join(name),
            source: io::Error::other(error),
        })?;
        self.save(name, &[&bytes[..], b"\n"].concat())
    }

    /// Writes a file under a temporary name, and renames it when it is on disk.
    fn save(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (aside, path) = (self.aside(name), self.path.join(name));
        let write = || {
            let folder = aside.parent().unwrap_or(&self.path);
            fs::create_dir_all(folder)?;
            let mut file = File::create(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            // The name is in the folder, and is kept when that is.
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| StoreError { doing: "write", path: path.clone(), source })
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.partial"))
    }
}

/// File name of a run record, in [`RUNS`].
pub(crate) fn run_name(run: u32) -> String {
    format!("{run:04}.json")
}

/// File name of an interval log.
pub(crate) fn log_name(run: u32) -> String {
    format!("histograms/{run:04}.hlog")
}
