//! What the README shows is what the reference set says: its tables line by line, its plot byte by byte.

use std::fs;
use std::path::{Path, PathBuf};

const PLOT: &str = "plots/01-latency-by-percentile.png";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_readme_shows_the_reference_set() {
    let reference = root().join("results/reference");
    let report = report::build(&[results::load(&reference).unwrap()]);
    let made = |name: &str| &report.files.iter().find(|(found, _)| found == name).unwrap().1;
    let markdown = String::from_utf8(made("report.md").clone()).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown = readme.split("<!-- reference -->").nth(1).unwrap().split("<!-- /reference -->").next().unwrap();
    let lines: Vec<_> = shown.lines().filter(|line| line.starts_with('|')).collect();
    assert!(lines.len() > 6, "the README shows no tables");
    for line in lines {
        assert!(markdown.lines().any(|found| found == line), "not in the reference set: {line}");
    }
    assert!(shown.contains(&format!("results/reference/report/{PLOT}")), "the README shows another plot");
    let kept = fs::read(reference.join("report").join(PLOT)).unwrap();
    assert!(kept == *made(PLOT), "the plot is another one now: run `pushbench report results/reference`");
}
