//! `pushbench schema`: JSON Schemas of scenario files and results folders.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::print;

/// Print the JSON Schema of scenario files or of results folders
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench schema scenario > scenario.schema.json
  pushbench schema results")]
pub(crate) struct Args {
    /// Files to describe
    kind: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Scenario files, as TOML or JSON
    Scenario,
    /// Results folders: manifest.json, runs/*.json and the columns of the CSV tables
    Results,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let schema = match args.kind {
        Kind::Scenario => scenario::schema(),
        Kind::Results => results::schema(),
    };
    print::out(&(serde_json::to_string_pretty(&schema)? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
