//! The load generators of one subject: usually one; several share the clients by whole rooms.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write, sink};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use futures_util::future::{join_all, try_join_all};
use loadgen::Progress;
use results::{Cpu, RunEnd, Slice, TrafficCounts};
use scenario::Share;

use super::conversation::{Command, LogPlace, Order, Reply};
use super::generator_process::GeneratorProcess;
use super::totals::RunTotals;
use crate::agents::crew::Crew;
use crate::precedence::Precedence;

/// Time from the order to start a slice together until its start, on one machine and on several.
const START_TOGETHER: Duration = Duration::from_millis(100);
const AGENTS_START_TOGETHER: Duration = Duration::from_secs(2);

/// The load generators of one subject.
pub(crate) struct Generators {
    each: Vec<GeneratorProcess>,
    /// Where their interval log is written.
    log: LogPlace,
    /// The agents, if they are on other machines.
    crew: Option<Arc<Crew>>,
}

impl Generators {
    /// Starts as many as the share of `order` says; `fingerprint` is that of the plan they have to make.
    pub(crate) async fn start(
        order: Order,
        fingerprint: u64,
        crew: Option<&Arc<Crew>>,
        precedence: Precedence,
    ) -> anyhow::Result<Self> {
        let of = order.share.of;
        let is_alone = of == 1 && crew.is_none();
        let starting = (0..of).map(async |index| {
            let log = if is_alone { order.log.clone() } else { LogPlace::Totals };
            let order = Order { share: Share { index, of }, log, ..order.clone() };
            let agent = match crew {
                Some(crew) => Some(crew.link(index as usize).await?),
                None => None,
            };
            GeneratorProcess::start(&order, fingerprint, agent, precedence).await
        });
        Ok(Self { each: try_join_all(starting).await?, log: order.log, crew: crew.cloned() })
    }

    /// Whether there is one, on this machine.
    fn is_alone(&self) -> bool {
        self.each.len() == 1 && self.crew.is_none()
    }

    /// Time from the order to run a slice until its start.
    pub(crate) fn start_delay(&self) -> Duration {
        match &self.crew {
            Some(_) => AGENTS_START_TOGETHER,
            None if self.each.len() > 1 => START_TOGETHER,
            None => Duration::ZERO,
        }
    }

    /// Says something to all, and waits for the answers of all, or for the first failure.
    pub(crate) async fn ask(
        &mut self,
        command: Command,
        mut on_progress: impl FnMut(Progress),
    ) -> anyhow::Result<Reply> {
        if self.is_alone() {
            return self.each[0].ask(&command, on_progress).await;
        }
        let command = self.together(command);
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

    /// A slice that all start at the same time, by the clock of Redis if they are on several machines.
    fn together(&self, command: Command) -> Command {
        let Command::Slice { pids, .. } = command else { return command };
        let now_us = match &self.crew {
            Some(crew) => crew.now_us(),
            None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as u64,
        };
        Command::Slice { pids, start_us: Some(now_us + self.start_delay().as_micros() as u64) }
    }

    /// Ends the run and the processes. `posts` were scheduled in the windows that were run. The data of
    /// a load generator that is lost is missing, and the run has failed.
    pub(crate) async fn finish(self, ended: &RunEnd, posts: u64) -> anyhow::Result<RunTotals> {
        let (is_alone, Self { mut each, log, .. }) = (self.is_alone(), self);
        let command = Command::Finish { ended: ended.clone() };
        if is_alone && let Some(only) = each.pop() {
            return only.finish(&command).await;
        }
        let finishing = each.into_iter().map(async |generator| {
            let lost = |error| RunTotals::empty(RunEnd::Failed(format!("{error:#}")));
            generator.finish(&command).await.unwrap_or_else(lost)
        });
        let parts = join_all(finishing).await;
        let mut log = log_file(&log)?;
        let totals = RunTotals::together(&parts, posts, &mut log)?;
        log.flush()?;
        Ok(totals)
    }
}

/// The file of an interval log, or nothing.
pub(crate) fn log_file(place: &LogPlace) -> anyhow::Result<Box<dyn Write>> {
    Ok(match place {
        LogPlace::File(path) => {
            Box::new(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?))
        }
        LogPlace::Nowhere | LogPlace::Totals => Box::new(sink()),
    })
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
