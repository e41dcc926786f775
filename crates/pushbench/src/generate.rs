//! `pushbench generate`: the load generator of one subject in a process of its own, led over its
//! standard input.

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Parser;
use loadgen::{LockStep, LockStepError, RunConfig, ServerClocks, generate, lock_step_slices};
use results::RunEnd;
use scenario::{Plan, Share};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::machine;
use crate::precedence::{stand_back, take_short_turns};
use crate::run::{Command, LogPlace, Order, Reply, RunTotals, Schedule, log_file};
use crate::signals::runtime;

/// Posts of a lock-step slice before its window, and in it.
pub(crate) const LOCK_STEP_LEAD_IN: u32 = 2;
pub(crate) const LOCK_STEP_POSTS: u32 = 5;

/// Generate the load of one subject, led by a job over standard input
#[derive(Parser)]
#[command(hide = true)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> anyhow::Result<ExitCode> {
    machine::raise_open_files().ok();
    let mut lines = stdin().lock().lines();
    let order = lines.next().context("there is no order on standard input")??;
    let order: Order = serde_json::from_str(&order).context("the first line is no order")?;
    drop(lines);
    let plan = Arc::new(order.plan()?);
    if order.share != Share::ALL {
        // Others share its cores.
        take_short_turns();
    }
    say(&Reply::Ready { fingerprint: plan.fingerprint() })?;
    let config = RunConfig {
        plan: Arc::clone(&plan),
        transport: order.transport,
        target: order.target.clone(),
        cores: order.cores.clone(),
        never_sleeps: order.never_sleeps,
    };
    let totals = runtime()?.block_on(async {
        let commands = read_commands();
        match order.schedule {
            Schedule::LockStep { .. } => in_lock_step(config, commands).await,
            Schedule::OneSlice | Schedule::Slices(_) => under_load(config, &order, commands).await,
        }
    })?;
    say(&Reply::Finished(Box::new(totals)))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes one line. The job that has ended reads no more.
fn say(reply: &Reply) -> anyhow::Result<()> {
    let line = serde_json::to_string(reply)? + "\n";
    let mut out = stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("the job has ended")
}

/// The commands on standard input, read by a thread of its own; the channel closes with it.
fn read_commands() -> mpsc::Receiver<Command> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in stdin().lock().lines() {
            let command = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(command) = command else { return };
            if sender.blocking_send(command).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Under the scenario's load.
async fn under_load(
    config: RunConfig,
    order: &Order,
    mut commands: mpsc::Receiver<Command>,
) -> anyhow::Result<RunTotals> {
    let plan = Arc::clone(&config.plan);
    let mut kept = Vec::new();
    let mut log: Box<dyn Write> = match &order.log {
        LogPlace::Totals => Box::new(&mut kept),
        place => log_file(place)?,
    };
    // No client connects before the job has read the server.
    if !matches!(commands.recv().await, Some(Command::Connect)) {
        return Ok(RunTotals::empty(RunEnd::Interrupted));
    }
    let (mut slices_run, before) = (0, resident_bytes());
    let on_progress = |progress| _ = say(&Reply::Progress(progress));
    let measured = generate(config, &mut log, on_progress, async |generator| {
        if order.share != Share::ALL {
            // Every second this thread adds up histograms, at the same instant as those of the others.
            stand_back();
        }
        let connected = unless_finished(&mut commands, generator.connect()).await;
        let grown = resident_bytes().saturating_sub(before);
        answer(connected.map(|()| Reply::Connected { resident_bytes: grown }))?;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Finish { ended: RunEnd::Complete } => return Ok(()),
                Command::Finish { ended } => return Err(ended),
                Command::Connect => {}
                Command::Open => {
                    let opened = unless_finished(&mut commands, generator.open_for_posts()).await;
                    answer(opened.map(|()| Reply::Opened))?;
                }
                Command::Slice { pids, start_us } => {
                    let clocks = ServerClocks::of(&pids).unwrap_or_default();
                    let start = start_us.map(instant);
                    let slice = unless_finished(&mut commands, generator.slice(slices_run, start, clocks)).await;
                    slices_run += 1;
                    answer(slice.map(|slice| Reply::Slice(Box::new(slice))))?;
                }
            }
        }
        Err(RunEnd::Interrupted)
    });
    let measured = measured.await?;
    log.flush()?;
    drop(log);
    let totals = RunTotals::of(&measured, posts_in_windows(&plan, measured.slices_run));
    Ok(RunTotals { interval_log: String::from_utf8(kept)?, ..totals })
}

/// The instant of a time in microseconds since 1970; now, if it has passed.
fn instant(time_us: u64) -> Instant {
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(time_us);
    Instant::now() + time.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Says how something went; a failure ends the run.
fn answer(done: Result<Reply, RunEnd>) -> Result<(), RunEnd> {
    let failed = done.as_ref().err().cloned();
    say(&done.unwrap_or_else(Reply::Failed)).map_err(|_| RunEnd::Interrupted)?;
    failed.map_or(Ok(()), Err)
}

/// Does something, unless the job ends the run before it is done.
async fn unless_finished<T>(
    commands: &mut mpsc::Receiver<Command>,
    doing: impl Future<Output = Result<T, RunEnd>>,
) -> Result<T, RunEnd> {
    tokio::select! {
        biased;
        done = doing => done,
        command = commands.recv() => Err(match command {
            Some(Command::Finish { ended }) => ended,
            Some(Command::Connect | Command::Open | Command::Slice { .. }) | None => RunEnd::Interrupted,
        }),
    }
}

/// Posts scheduled in the windows of the first slices.
fn posts_in_windows(plan: &Plan, slices: u32) -> u64 {
    plan.scheduled_by_slice().iter().take(slices as usize).map(|load| load.posts_in_window).sum()
}

async fn in_lock_step(config: RunConfig, mut commands: mpsc::Receiver<Command>) -> anyhow::Result<RunTotals> {
    let run = lock_step_slices(&config, async |steps| follow(steps, &mut commands).await);
    Ok(match run.await {
        Ok(measured) => RunTotals::of(&measured, 0),
        Err(error) => {
            let ended = RunEnd::Failed(error.to_string());
            say(&Reply::Failed(ended.clone()))?;
            RunTotals::empty(ended)
        }
    })
}

/// Memory of this process.
fn resident_bytes() -> u64 {
    machine::resident_bytes("self").unwrap_or(0)
}

async fn follow(steps: &LockStep, commands: &mut mpsc::Receiver<Command>) -> Result<(), LockStepError> {
    while let Some(command) = commands.recv().await {
        let reply = match command {
            Command::Finish { .. } => return Ok(()),
            Command::Connect => {
                steps.join().await?;
                Reply::Connected { resident_bytes: resident_bytes() }
            }
            Command::Open => Reply::Opened,
            Command::Slice { pids, .. } => {
                let clocks = ServerClocks::of(&pids).unwrap_or_default();
                Reply::Slice(Box::new(steps.slice(LOCK_STEP_LEAD_IN, LOCK_STEP_POSTS, &clocks).await?))
            }
        };
        if say(&reply).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
