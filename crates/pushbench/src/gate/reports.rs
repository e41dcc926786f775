//! The files of `gate --reports` and `compare --reports`.

use std::path::Path;

use anyhow::Context;
use report::gate::{Comparison, formats};
use results::Folder;

const TABLE: &str = "table.txt";
const COMPARISON: &str = "comparison.json";
/// Largest file that is read back.
const BYTES_MAX: u64 = 8 << 20;

/// A comparison as its folder holds it.
pub(crate) struct SavedComparison {
    pub(crate) table: String,
    pub(crate) json: String,
}

/// Reads the comparison in a folder of `--reports`.
pub(crate) fn saved(folder: &Path) -> Option<SavedComparison> {
    let read = |name| {
        let path = folder.join(name);
        let is_ours = path.metadata().is_ok_and(|file| file.is_file() && file.len() <= BYTES_MAX);
        if is_ours { std::fs::read_to_string(path).ok() } else { None }
    };
    Some(SavedComparison { table: read(TABLE)?, json: read(COMPARISON)? })
}

/// The text of `comparison.json`.
pub(crate) fn json(comparison: &Comparison) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(comparison).context("cannot write the comparison as JSON")? + "\n")
}

/// Writes all formats.
pub(crate) fn write(folder: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let files = [
        (COMPARISON, json(comparison)?),
        (TABLE, formats::table(comparison, false)),
        ("summary.md", formats::markdown(comparison)),
        ("junit.xml", formats::junit(comparison)),
        ("bencher.json", formats::bencher(comparison)),
        ("smaller-is-better.json", formats::smaller_is_better(comparison)),
        ("bigger-is-better.json", formats::bigger_is_better(comparison)),
        ("openmetrics.txt", formats::openmetrics(comparison)),
    ];
    let plot = report::plots::forest(comparison);
    let plots = plot.into_iter().flat_map(|forest| {
        [("forest.svg", forest.svg.into_bytes()), ("forest.png", forest.png), ("forest.csv", forest.csv.into_bytes())]
    });
    let files = files.map(|(name, text)| (name, text.into_bytes())).into_iter().chain(plots);
    let files: Vec<_> = files.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    Folder::at(folder).save_report(&files)?;
    Ok(())
}
