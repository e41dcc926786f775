//! `pushbench counters`: exact counts per message and per connection, compared with a lock file.

mod count;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use report::counters::{Check, LOCK_SCHEMA, Lock, Outcome, table};
use scenario::Override;

use self::count::{count, has_valgrind};
use crate::exit::{INTERRUPTED, REGRESSION, USAGE};
use crate::run::ServerCommand;
use crate::signals::stoppable;
use crate::{print, scenarios};

/// Most deliveries of a scenario; more would take minutes.
const DELIVERIES_MAX: u64 = 200_000;

/// Count requests, frames, writes and bytes per message on every transport, exactly: one message at
/// a time, no timing
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench counters counters
  pushbench counters counters --check counters.lock.json --bless
  pushbench counters counters --check counters.lock.json

Allocations need a server built with --features count-allocations;
instructions need valgrind.")]
pub(crate) struct Args {
    /// Name of a shipped scenario or path of a TOML file; its clients, rooms and posts are used,
    /// its times are not
    scenario: PathBuf,

    /// Set a key of the scenario, such as clients=3; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Override>,

    /// Compare with this lock file: counts must be equal, allocations and instructions within 1 %.
    /// What the server or the compiler does not allow to compare is reported as skipped
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Write the lock file instead of comparing with it
    #[arg(long, requires = "check")]
    bless: bool,

    /// Command line of another build of the server, or of the built-in one with other settings
    #[arg(long, value_name = "CMD", value_parser = ServerCommand::parse)]
    server: Option<ServerCommand>,

    /// Count the server's instructions too, under valgrind; takes about a minute
    #[arg(long)]
    instructions: bool,

    /// Print the table with all columns; without it the table fits 80 columns
    #[arg(long)]
    wide: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let job = match scenarios::load(&args.scenario, &args.set) {
        Ok(job) => job,
        Err(error) => return usage(&error),
    };
    let [plan] = job.plans.as_slice() else {
        return usage(&anyhow::anyhow!(
            "{} has a sweep, but counters take one point; give the swept key one value with --set",
            job.name
        ));
    };
    let deliveries = plan.deliveries_in_window();
    if deliveries == 0 || deliveries > DELIVERIES_MAX {
        return usage(&anyhow::anyhow!(
            "{} has {deliveries} deliveries, 1 to {DELIVERIES_MAX} can be counted; change clients or posts.per_client_per_s",
            job.name
        ));
    }
    let locked = match args.check.as_deref().map(read_lock).transpose() {
        Ok(locked) => locked.flatten(),
        Err(error) => return usage(&error),
    };
    let valgrind = args.instructions && has_valgrind();
    if args.instructions && !valgrind {
        print::warn("instructions are not counted: valgrind is not installed");
    }
    let command = args.server.clone().map_or_else(ServerCommand::own, Ok)?;
    let found = stoppable(async |stop| count(&command, &job.name, plan, valgrind, stop).await)?;
    print::out(&table(&found, args.wide))?;
    let (counted, asked) = (found.transports.len(), plan.transports.len());
    if counted < asked {
        print::warn(&format!("interrupted after {counted} of {asked} transports; nothing was compared or locked"));
        return Ok(INTERRUPTED.into());
    }
    let near = if args.instructions { &["allocations", "instructions"][..] } else { &["allocations"] };
    match (&args.check, locked) {
        (None, _) => Ok(ExitCode::SUCCESS),
        (Some(path), locked) if args.bless => bless(path, locked, found),
        (Some(path), None) => {
            usage(&anyhow::anyhow!("the lock file {} does not exist; --bless writes it", path.display()))
        }
        (Some(path), Some(locked)) if !locked.same_question(&found) => usage(&anyhow::anyhow!(
            "the lock file {} is of another scenario or other settings; --bless writes it again",
            path.display()
        )),
        (Some(_), Some(locked)) => compare(&locked, &found, near),
    }
}

fn usage(error: &anyhow::Error) -> anyhow::Result<ExitCode> {
    print::error(error);
    Ok(USAGE.into())
}

fn read_lock(path: &Path) -> anyhow::Result<Option<Lock>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock: Lock = serde_json::from_str(&text).with_context(|| format!("{} is not a lock file", path.display()))?;
    if lock.schema != LOCK_SCHEMA {
        bail!(
            "{} has schema {}, but this pushbench reads only {LOCK_SCHEMA}; --bless writes it again",
            path.display(),
            lock.schema
        );
    }
    Ok(Some(lock))
}

fn bless(path: &Path, locked: Option<Lock>, found: Lock) -> anyhow::Result<ExitCode> {
    let lock = match locked {
        Some(locked) => locked.blessed(found),
        None => found,
    };
    let text = serde_json::to_string_pretty(&lock).context("cannot write the lock as JSON")? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    print::out(&format!("\nlocked in {}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a line for each difference and each reason for skipping, and a last line that test
/// scripts add up.
fn compare(locked: &Lock, found: &Lock, near: &[&str]) -> anyhow::Result<ExitCode> {
    let checks = locked.checks(found, near);
    let (mut failed, mut skipped) = (0, BTreeMap::<_, usize>::new());
    for Check { transport, outcome } in &checks {
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(differences) => {
                failed += 1;
                differences.iter().try_for_each(|difference| print::out(&format!("{transport} {difference}\n")))?;
            }
            Outcome::Skipped(why) => *skipped.entry(why).or_default() += 1,
        }
    }
    skipped.iter().try_for_each(|(why, transports)| print::out(&format!("{transports} transports: {why}\n")))?;
    if failed > 0 {
        print::out("If the change is intended, update the lock file with --bless\n")?;
    }
    let skipped: usize = skipped.values().sum();
    print::out(&format!("\n{} passed, {failed} failed, {skipped} skipped\n", checks.len() - failed - skipped))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { REGRESSION.into() })
}
