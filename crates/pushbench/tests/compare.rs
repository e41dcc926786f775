//! `pushbench compare` and `pushbench history` with the real program on finished folders: their
//! output, their files and their errors.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use results::{ResultsFolder, invented};

/// A folder for one test. Dropping this value removes it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compare-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Saves a job and returns its folder.
    fn save(&self, job: &ResultsFolder) -> String {
        text(invented::save(&self.0, job).path())
    }

    fn file(&self, name: &str) -> String {
        text(&self.0.join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pushbench")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_job_against_a_copy_is_no_regression_and_leaves_a_forest_plot() {
    let scratch = Scratch::new("itself");
    let reference = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/reference"));
    let (copy, reports) = (scratch.file("copy"), scratch.file("reports"));
    assert!(Command::new("cp").args(["-r", &reference, &copy]).status().unwrap().success());
    let (code, out, err) = run(&["compare", &reference, &copy, "--reports", &reports]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains(" 0 regression") && out.contains(" 0 improved"), "{out}");
    for file in ["comparison.json", "summary.md", "junit.xml", "forest.svg", "forest.png", "forest.csv"] {
        assert!(Path::new(&reports).join(file).exists(), "{file}");
    }
}

#[test]
fn three_rounds_are_too_few_for_the_verdict_same() {
    let scratch = Scratch::new("few");
    let (base, head) =
        (scratch.save(&invented::results_folder(&[100])), scratch.save(&invented::results_folder(&[100])));
    let (code, out, _) = run(&["compare", &base, &head]);
    assert!(code == Some(0) && out.contains(" 0 same"), "{out}");
    assert_eq!(run(&["compare", &base, &head, "--strict"]).0, Some(4));
    let json: serde_json::Value = serde_json::from_str(&run(&["compare", &base, &head, "--json"]).1).unwrap();
    assert_eq!(json["scenario"], "invented");
    let linked = scratch.file("linked");
    std::os::unix::fs::symlink(&base, &linked).unwrap();
    for same in [&base, &linked] {
        let (code, out, err) = run(&["compare", &base, same]);
        assert!(
            code == Some(2) && out.is_empty() && err.contains("is given twice; compare the folders of two jobs"),
            "{err}"
        );
    }
}

#[test]
fn folders_that_cannot_be_compared_are_an_error_and_no_verdict() {
    let scratch = Scratch::new("refused");
    let (mut other, mut none) = (invented::results_folder(&[100]), invented::results_folder(&[100]));
    let good = scratch.save(&other);
    "another".clone_into(&mut other.manifest.scenario.name);
    none.runs.clear();
    let newer = scratch.save(&invented::results_folder(&[100]));
    let manifest = fs::read_to_string(Path::new(&newer).join("manifest.json")).unwrap();
    fs::write(Path::new(&newer).join("manifest.json"), manifest.replacen("\"schema\": 3", "\"schema\": 9", 1)).unwrap();
    for (head, expected) in [
        (scratch.save(&other), "the scenarios differ: invented and another"),
        (scratch.save(&invented::results_folder(&[200])), "the settings of invented differ: clients, rooms"),
        (scratch.save(&none), "no transport has a valid run in both folders"),
        (newer, "schema version 9"),
        (scratch.file("missing"), "is no results folder: it is not there"),
    ] {
        let (code, out, err) = run(&["compare", &good, &head]);
        assert!(code == Some(2) && out.is_empty() && err.contains(expected), "{head}: {code:?} {out} {err}");
    }
}

#[test]
fn different_hosts_are_noted() {
    let scratch = Scratch::new("hosts");
    let mut other = invented::results_folder(&[100]);
    let base = scratch.save(&other);
    "Another CPU".clone_into(&mut other.manifest.host.cpu_model);
    let (code, out, _) = run(&["compare", &base, &scratch.save(&other)]);
    assert!(code == Some(0) && out.contains("different machines"), "{out}");
    let same = scratch.save(&invented::results_folder(&[100]));
    assert!(!run(&["compare", &base, &same]).1.contains("different machines"));
}

#[test]
fn a_history_is_plotted_beside_its_table_and_never_fails() {
    let scratch = Scratch::new("history");
    let row = |at: usize| format!("t,c{at},{}\n", if at < 15 { 100 + at % 4 } else { 110 + at % 4 });
    let rows = "time,commit,q.sse.delivery_p50_ms\n".to_owned() + &(0..30).map(row).collect::<String>();
    fs::write(scratch.file("history.csv"), rows).unwrap();
    let (code, out, err) = run(&["history", "show", &scratch.file("")]);
    assert!(code == Some(0) && out.contains("c15 (+9.") && out.contains("history-plot.png"), "{out}");
    assert!(err.contains("metrics that changed: 1;"), "{err}");
    for ending in ["png", "svg", "csv"] {
        assert!(Path::new(&scratch.file(&format!("history-plot.{ending}"))).exists(), "{ending}");
    }
    fs::write(scratch.file("empty.csv"), "").unwrap();
    let (code, _, err) = run(&["history", "show", &scratch.file("empty.csv")]);
    assert!(code == Some(0) && err.contains("no value to plot"), "{err}");
    fs::write(scratch.file("bad.csv"), "time,commit,a\nt,c,1\nt,d,NaN\n").unwrap();
    let (code, _, err) = run(&["history", "show", &scratch.file("bad.csv")]);
    assert!(code == Some(2) && err.contains("line 3: \"NaN\""), "{err}");
    assert_eq!(run(&["history", "show", &scratch.file("missing.csv")]).0, Some(2));
}
