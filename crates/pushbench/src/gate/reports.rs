//! The files a gate leaves for others to read.

use std::path::Path;

use anyhow::Context;
use report::gate::{Comparison, formats};
use results::Folder;

/// The table as people read it.
const TABLE: &str = "table.txt";
/// A larger file is none of ours.
const TABLE_BYTES_MAX: u64 = 1 << 20;

/// The table in a folder of reports, where it is one.
pub(crate) fn saved_table(folder: &Path) -> Option<String> {
    let path = folder.join(TABLE);
    let ours = path.metadata().is_ok_and(|file| file.is_file() && file.len() <= TABLE_BYTES_MAX);
    if ours { std::fs::read_to_string(path).ok() } else { None }
}

/// Writes them all.
pub(crate) fn write(folder: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let whole = serde_json::to_string_pretty(comparison).context("a comparison is JSON")? + "\n";
    let files = [
        ("comparison.json", whole),
        (TABLE, formats::table(comparison)),
        ("summary.md", formats::markdown(comparison)),
        ("junit.xml", formats::junit(comparison)),
        ("bencher.json", formats::bencher(comparison)),
        ("smaller-is-better.json", formats::smaller_is_better(comparison)),
        ("bigger-is-better.json", formats::bigger_is_better(comparison)),
        ("openmetrics.txt", formats::openmetrics(comparison)),
    ];
    let picture = report::plots::forest(comparison);
    let pictures = picture.into_iter().flat_map(|forest| {
        [("forest.svg", forest.svg.into_bytes()), ("forest.png", forest.png), ("forest.csv", forest.csv.into_bytes())]
    });
    let files = files.map(|(name, text)| (name, text.into_bytes())).into_iter().chain(pictures);
    let files: Vec<_> = files.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    Folder::at(folder).save_report(&files)?;
    Ok(())
}
