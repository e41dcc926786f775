//! The tables and the plot in the README are those of the reference results.

use std::fs;
use std::path::{Path, PathBuf};

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
