//! The files a gate leaves for others to read.

use std::path::Path;

use anyhow::Context;
use report::gate::{Comparison, formats};
use results::Folder;

/// Writes them all.
pub(crate) fn write(folder: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let whole = serde_json::to_string_pretty(comparison).context("a comparison is JSON")? + "\n";
    let files = [
        ("comparison.json", whole),
        ("table.txt", formats::table(comparison)),
        ("summary.md", formats::markdown(comparison)),
        ("junit.xml", formats::junit(comparison)),
        ("bencher.json", formats::bencher(comparison)),
        ("smaller-is-better.json", formats::smaller_is_better(comparison)),
        ("bigger-is-better.json", formats::bigger_is_better(comparison)),
        ("openmetrics.txt", formats::openmetrics(comparison)),
    ];
    let picture = report::exhibits::forest(comparison);
    let pictures = picture.into_iter().flat_map(|forest| {
        [("forest.svg", forest.svg.into_bytes()), ("forest.png", forest.png), ("forest.csv", forest.csv.into_bytes())]
    });
    let files = files.map(|(name, text)| (name, text.into_bytes())).into_iter().chain(pictures);
    let files: Vec<_> = files.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    Folder::at(folder).save_report(&files)?;
    Ok(())
}
