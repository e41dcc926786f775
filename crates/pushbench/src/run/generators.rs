//! The load generators of one subject: usually one; several share the clients by whole rooms.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write, sink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use futures_util::future::{join_all, try_join_all};
use loadgen::Progress;
use results::{Cpu, RunEnd, Slice, TrafficCounts};
use scenario::Share;

use super::conversation::{Command, Order, Reply};
use super::generator_process::GeneratorProcess;
use super::totals::RunTotals;
use crate::precedence::Precedence;

/// Time from the order to start a slice together until its start.
const START_TOGETHER: Duration = Duration::from_millis(100);

/// The load generators of one subject.
pub(crate) struct Generators {
    each: Vec<GeneratorProcess>,
    /// Where the interval log of several is written.
    log: Option<PathBuf>,
}

impl Generators {
    /// Starts as many as the share of `order` says; `fingerprint` is that of the plan they have to make.
    pub(crate) async fn start(order: Order, fingerprint: u64, precedence: Precedence) -> anyhow::Result<Self> {
        let of = order.share.of;
        let starting = (0..of).map(async |index| {
            let order = Order { share: Share { index, of }, ..order.clone() };
            GeneratorProcess::start(&order, fingerprint, precedence).await
        });
        Ok(Self { each: try_join_all(starting).await?, log: order.log })
    }

    /// Time from the order to run a slice until its start.
    pub(crate) fn start_delay(&self) -> Duration {
        if self.each.len() > 1 { START_TOGETHER } else { Duration::ZERO }
    }

    /// Says something to all, and waits for the answers of all, or for the first failure.
    pub(crate) async fn ask(
        &mut self,
        command: Command,
        mut on_progress: impl FnMut(Progress),
    ) -> anyhow::Result<Reply> {
        if let [only] = &mut self.each[..] {
            return only.ask(&command, on_progress).await;
        }
        let command = together(command);
        let seen = RefCell::new((vec![Progress::default(); self.each.len()], &mut on_progress));
        let asking = self.each.iter_mut().enumerate().map(async |(index, generator)| {
            let show = |progress: Progress| {
                let (all, show) = &mut *seen.borrow_mut();
                all[index] = progress;
                show(sum(all));
            };
            match generator.ask(&of_one(&command, index), show).await? {
                Reply::Failed(RunEnd::Failed(why)) => bail!("{}: {why}", generator.name),
                reply => Ok(reply),
            }
        });
        one_reply(&try_join_all(asking).await?)
    }

    /// Ends the run and the processes. `posts` were scheduled in the windows that were run. The data of
    /// a load generator that is lost is missing, and the run has failed.
    pub(crate) async fn finish(self, ended: &RunEnd, posts: u64) -> anyhow::Result<RunTotals> {
        let Self { mut each, log } = self;
        let command = Command::Finish { ended: ended.clone() };
        if each.len() == 1
            && let Some(only) = each.pop()
        {
            return only.finish(&command).await;
        }
        let finishing = each.into_iter().map(async |generator| {
            let lost = |error| RunTotals::empty(RunEnd::Failed(format!("{error:#}")));
            generator.finish(&command).await.unwrap_or_else(lost)
        });
        let parts = join_all(finishing).await;
        let mut log = interval_log(log.as_deref())?;
        let totals = RunTotals::together(&parts, posts, &mut log)?;
        log.flush()?;
        Ok(totals)
    }
}

/// The file of an interval log, or nothing.
pub(crate) fn interval_log(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        Some(path) => Box::new(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?)),
        None => Box::new(sink()),
    })
}

/// A slice that several load generators start at the same time.
fn together(command: Command) -> Command {
    let start_us = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + START_TOGETHER;
    match command {
        Command::Slice { pids, .. } => Command::Slice { pids, start_us: Some(start_us.as_micros() as u64) },
        other => other,
    }
}

/// What one of several load generators is told: the first reads the CPU clocks.
fn of_one(command: &Command, index: usize) -> Command {
    match command {
        Command::Slice { start_us, .. } if index > 0 => Command::Slice { pids: Vec::new(), start_us: *start_us },
        other => other.clone(),
    }
}

/// What the progress line shows of several. Percentiles cannot be added: the largest is shown.
fn sum(all: &[Progress]) -> Progress {
    all.iter().fold(Progress::default(), |sum, one| Progress {
        joined: sum.joined + one.joined,
        delivered: sum.delivered + one.delivered,
        faults: sum.faults + one.faults,
        second: sum.second.max(one.second),
        delivery_us_p99: sum.delivery_us_p99.max(one.delivery_us_p99),
    })
}

/// The answer of all.
fn one_reply(replies: &[Reply]) -> anyhow::Result<Reply> {
    let mut slices = Vec::new();
    let (mut resident, mut connected) = (0, 0);
    for reply in replies {
        match reply {
            Reply::Slice(slice) => slices.push(&**slice),
            Reply::Connected { resident_bytes } => (resident, connected) = (resident + resident_bytes, connected + 1),
            Reply::Opened => {}
            other => bail!("a load generator answered {other:?}"),
        }
    }
    match (slices.len(), connected) {
        (0, 0) => Ok(Reply::Opened),
        (0, all) if all == replies.len() => Ok(Reply::Connected { resident_bytes: resident }),
        (all, 0) if all == replies.len() => Ok(Reply::Slice(Box::new(one_slice(&slices)))),
        _ => bail!("the load generators answered differently: {replies:?}"),
    }
}

/// The same window of several load generators. Its median is not the median of theirs: it is known
/// when the interval logs are.
fn one_slice(slices: &[&Slice]) -> Slice {
    let all = || slices.iter();
    Slice {
        block: 0,
        position: 0,
        dropped: None,
        window_us: all().map(|slice| slice.window_us).max().unwrap_or(0),
        traffic: all().fold(TrafficCounts::default(), |sum, slice| sum.plus(&slice.traffic)),
        generator_cpu: all().fold(Cpu::default(), |sum, slice| sum.plus(slice.generator_cpu)),
        server_cpu_ns: all().find_map(|slice| slice.server_cpu_ns),
        delivery_p50_us: None,
        drain_us: all().map(|slice| slice.drain_us).max().unwrap_or(0),
        drained: all().all(|slice| slice.drained),
    }
}
