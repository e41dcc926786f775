//! `pushbench schema`: the shape of our files, for editors and other programs.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::print;

/// Print the JSON Schema of a kind of file
#[derive(Parser)]
pub(crate) struct Args {
    /// Which
    kind: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Scenario files, as TOML or JSON
    Scenario,
    /// Results folders: manifest, runs, and the columns of their tables
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
