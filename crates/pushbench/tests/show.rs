//! `pushbench show` with folders of finished and killed jobs, and with damaged folders.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use results::{ResultsFolder, State, invented};

/// A folder for one test. Dropping this value removes it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("show-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Saves a job and returns its folder.
    fn save(&self, job: &ResultsFolder) -> PathBuf {
        invented::save(&self.0, job).path().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

struct Output {
    code: Option<i32>,
    out: String,
    err: String,
}

fn show(folders: &[&Path]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_pushbench")).arg("show").args(folders).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The heading of the invented job with this state.
fn heading(state: &str) -> String {
    let machine = "Invented CPU (2 cores, 8.6 GB, Linux 6.0.0)";
    report::wrapped(&format!("invented, 2026-01-01 00:00:00 UTC, {machine}, {state}\n"), 2)
}

#[test]
fn a_job_is_shown_from_its_folder_alone() {
    let scratch = Scratch::new("jobs");
    let (one, sweep) = (invented::results_folder(&[100]), invented::results_folder(&[100, 1000]));
    let (first, second) = (scratch.save(&one), scratch.save(&sweep));
    let shown = show(&[&first, &second]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    let (one, sweep) = (report::tables(&one, false), report::tables(&sweep, false));
    assert_eq!(
        shown.out,
        [heading("complete: 3 of 3 rounds"), one, "\n".to_owned(), heading("complete: 3 of 3 rounds"), sweep].concat()
    );
}

#[test]
fn wide_tables_have_more_columns_and_json_is_the_summary_alone() {
    let scratch = Scratch::new("formats");
    let job = invented::results_folder(&[100]);
    let folder = scratch.save(&job);
    let narrow = show(&[&folder]).out;
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    let wide = show(&[&folder, Path::new("--wide")]).out;
    assert!(wide.contains("p99.9") && !narrow.contains("p99.9") && narrow.contains("  p99"), "{wide}");
    let shown = show(&[&folder, Path::new("--json")]);
    let found: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let report = report::build(&[results::load(&folder).unwrap()]);
    let summary = report.files.iter().find(|(name, _)| name == "summary.json").unwrap();
    assert_eq!((shown.code, shown.out.as_bytes()), (Some(0), summary.1.as_slice()));
    assert_eq!(found["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_killed_job_is_partial() {
    let scratch = Scratch::new("killed");
    let mut job = invented::results_folder(&[100]);
    job.manifest.state = State::Running;
    job.runs.truncate(4);
    let folder = scratch.save(&job);
    fs::write(folder.join("runs/0005.json.partial"), "{").unwrap();
    fs::write(folder.join("histograms/0005.hlog.partial"), "#[").unwrap();
    let shown = show(&[&folder]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    assert_eq!(shown.out, heading("partial: 1 of 3 rounds") + &report::tables(&job, false));
}

#[test]
fn folders_that_cannot_be_read_do_not_hide_the_others() {
    let scratch = Scratch::new("bad");
    let mut job = invented::results_folder(&[100]);
    job.runs.truncate(6);
    let (good, newer, damaged) = (scratch.save(&job), scratch.save(&job), scratch.save(&job));
    let manifest = fs::read_to_string(newer.join("manifest.json")).unwrap();
    fs::write(newer.join("manifest.json"), manifest.replacen("\"schema\": 3", "\"schema\": 9", 1)).unwrap();
    fs::write(damaged.join("runs/0002.json"), "\u{1b}]0;garbage").unwrap();
    let shown = show(&[&newer, &good, &damaged, &scratch.0.join("missing")]);
    assert_eq!((shown.code, shown.out), (Some(1), heading("complete: 1 of 3 rounds") + &report::tables(&job, false)));
    let expected = [
        format!(
            "{}/manifest.json: schema version 9, this pushbench reads version 3; read it with the pushbench that wrote it, or measure again",
            newer.display()
        ),
        format!(
            "{}/runs/0002.json:1: expected value; it was changed or damaged: take the folder as the job left it",
            damaged.display()
        ),
        format!(
            "{}/missing is no results folder: it is not there; give one that a job has made, such as results/runs/20260101T000000Z-quick",
            scratch.0.display()
        ),
    ];
    assert_eq!(shown.err, expected.map(|line| format!("pushbench: {line}\n")).concat());
}

#[test]
fn a_path_that_is_no_results_folder_is_bad_usage() {
    let scratch = Scratch::new("usage");
    for (path, why) in [(scratch.0.join("missing"), "it is not there"), (scratch.0.clone(), "it has no manifest.json")]
    {
        let shown = show(&[&path]);
        assert_eq!((shown.code, shown.out.as_str()), (Some(2), ""));
        assert!(shown.err.contains(why), "{}", shown.err);
    }
    assert_eq!(show(&[]).code, Some(2));
}
