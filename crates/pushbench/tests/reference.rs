//! The tables and the plot in the README are those of the reference results, and the script in
//! results/README.md recomputes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLOT: &str = "plots/01-latency-by-percentile.png";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tables of a Markdown text, in order.
fn tables(markdown: &str) -> Vec<String> {
    let is_row = |line: &&str| line.starts_with('|');
    let lines: Vec<&str> = markdown.split_inclusive('\n').collect();
    let blocks = lines.chunk_by(|one, next| is_row(one) == is_row(next));
    blocks.filter(|block| block.first().is_some_and(is_row)).map(<[&str]>::concat).collect()
}

/// The script in results/README.md comes to the same ratios as the report.
#[test]
fn the_script_recomputes_the_headline() {
    let reference = root().join("results/reference");
    let readme = fs::read_to_string(root().join("results/README.md")).unwrap();
    let script = readme.split("```python\n").find(|block| block.starts_with("import csv")).unwrap();
    let script = script.split("```").next().unwrap();
    let output = Command::new("python3").args(["-c", script]).arg(&reference).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let report = report::build(&[results::load(&reference).unwrap()]);
    let (_, summary) = report.files.iter().find(|(found, _)| found == "summary.json").unwrap();
    let summary: serde_json::Value = serde_json::from_slice(summary).unwrap();
    let subjects = summary["jobs"][0]["points"][0]["subjects"].as_array().unwrap();
    let mut compared = 0;
    for subject in subjects.iter().filter(|subject| subject["transport"] != "tcp") {
        let transport = subject["transport"].as_str().unwrap();
        let reported = &subject["times_baseline"]["back_to_back_cpu_us_per_message"];
        let end = |index: usize| reported["interval"][index].as_f64().unwrap();
        let line = printed.lines().find(|line| line.starts_with(&format!("{transport}: "))).unwrap();
        let found: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        // The script is simpler than the report: it takes medians of rounds.
        assert!((end(0) * 0.995..=end(1) * 1.005).contains(&found), "{line}, but the report has {reported}");
        compared += 1;
    }
    assert_eq!(compared, 5, "{printed}");
}

#[test]
fn the_readme_shows_the_reference_set() {
    let reference = root().join("results/reference");
    let report = report::build(&[results::load(&reference).unwrap()]);
    let made = |name: &str| &report.files.iter().find(|(found, _)| found == name).unwrap().1;
    let markdown = String::from_utf8(made("report.md").clone()).unwrap();
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- reference -->").unwrap();
    let (shown, after) = rest.split_once("<!-- /reference -->").unwrap();
    let (known, found) = (tables(shown), tables(&markdown));
    assert!(known.len() >= 2, "the README shows no tables");
    if std::env::var_os("BLESS").is_some() {
        let blessed =
            known.iter().zip(&found).fold(shown.to_owned(), |shown, (known, found)| shown.replace(known, found));
        fs::write(&path, [before, "<!-- reference -->", &blessed, "<!-- /reference -->", after].concat()).unwrap();
    } else {
        assert_eq!(known, found[..known.len()], "README.md differs from the reference set; BLESS=1 accepts it");
    }
    assert!(shown.contains(&format!("results/reference/report/{PLOT}")), "the README shows another plot");
    let kept = fs::read(reference.join("report").join(PLOT)).unwrap();
    assert!(kept == *made(PLOT), "the plot differs from the report: run `pushbench report results/reference`");
}
