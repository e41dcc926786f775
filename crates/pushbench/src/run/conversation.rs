//! What a job and a load generator process say to each other: JSON, a line each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use loadgen::{Progress, RunMeasurements, SocketCounts, Target};
use report::stats;
use results::{Faults, LatencySummary, LedgerSummary, RunEnd, Second, Series, Slice, TrafficCounts};
use scenario::{Job, Plan, Slicing};
use serde::{Deserialize, Serialize};
use wire::{RoomName, Transport};

use crate::precedence::Precedence;

/// Which plan a load generator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Schedule {
    /// One long window, as the scenario has it.
    OneSlice,
    /// Short slices of this form.
    Slices(Slicing),
    /// Lock-step, with this number of posts.
    LockStep { posts: u32 },
}

impl Schedule {
    /// The plan of a round.
    pub(crate) fn plan(self, plan: &Plan, round: u32) -> Plan {
        match self {
            Self::OneSlice => plan.clone(),
            Self::Slices(slicing) => plan.sliced(slicing, round),
            Self::LockStep { posts } => plan.lock_step(posts, round),
        }
    }

    /// How the processes of the round stand among the programs of the machine. In a long window they
    /// may use all of the CPU, which other programs need then too.
    pub(crate) const fn precedence(self) -> Precedence {
        match self {
            Self::OneSlice => Precedence::Equal,
            Self::Slices(_) | Self::LockStep { .. } => Precedence::First,
        }
    }
}

/// The first line: everything that the generator needs to make its plan and to find the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Name of the scenario's file.
    pub(crate) file: String,
    /// Its text.
    pub(crate) text: String,
    /// The `--set` arguments.
    pub(crate) set: Vec<String>,
    /// Name of the point of the sweep.
    pub(crate) point: String,
    pub(crate) room_prefix: RoomName,
    pub(crate) schedule: Schedule,
    pub(crate) round: u32,
    pub(crate) transport: Transport,
    pub(crate) target: Target,
    pub(crate) cores: Vec<usize>,
    /// Whether it may use its cores without a pause.
    pub(crate) never_sleeps: bool,
    /// Where to write the interval log.
    pub(crate) log: Option<PathBuf>,
}

impl Order {
    /// The plan, made from the text of the scenario.
    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        let set = self.set.iter().map(|set| set.parse()).collect::<Result<Vec<_>, _>>()?;
        let job: Job = scenario::parse(&self.file, &self.text, &set)?;
        let plan = job.plans.into_iter().find(|plan| plan.label == self.point);
        let plan = plan.ok_or_else(|| anyhow::anyhow!("the scenario has no point {:?}", self.point))?;
        let mut plan = self.schedule.plan(&plan, self.round);
        plan.room_prefix = self.room_prefix.clone();
        plan.author_receives = self.target.author_receives();
        Ok(plan)
    }
}

/// What the job asks of the generator after the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Connect all clients and wait for the probe; nothing is sent afterwards.
    Connect,
    /// Run the next slice; `pids` are the processes of the server.
    Slice { pids: Vec<u32> },
    /// End the run. The run has ended this way, unless the generator knows better.
    Finish { ended: RunEnd },
}

/// What the generator answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The fingerprint of the plan it has made.
    Ready {
        fingerprint: u64,
    },
    /// Sent while clients connect and in long slices.
    Progress(Progress),
    /// All clients are connected.
    Connected {
        resident_bytes: u64,
    },
    Slice(Box<Slice>),
    /// The run cannot go on.
    Failed(RunEnd),
    Finished(Box<RunTotals>),
}

/// What a generator measured over a whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunTotals {
    pub(crate) ended: RunEnd,
    pub(crate) latency: BTreeMap<Series, LatencySummary>,
    pub(crate) saturated: u64,
    pub(crate) negative: u64,
    pub(crate) seconds: Vec<Second>,
    pub(crate) set_up: TrafficCounts,
    pub(crate) total: TrafficCounts,
    pub(crate) sockets: Option<SocketCounts>,
    pub(crate) sockets_in_slices: Option<SocketCounts>,
    pub(crate) ledger: LedgerSummary,
    pub(crate) faults: Faults,
    pub(crate) core_usage_max: f64,
    pub(crate) posts_sent_in_window: u64,
}

impl RunTotals {
    /// The totals of a run that could not begin.
    pub(crate) fn empty(ended: RunEnd) -> Self {
        Self::of(&RunMeasurements::empty(ended), 0)
    }

    /// Summarises the histograms. Deliveries of one post depend on each other: only the `posts`
    /// count as independent there.
    pub(crate) fn of(measured: &RunMeasurements, posts: u64) -> Self {
        let independent = |series| match series {
            Series::DeliveryLatency | Series::DeliveryLatencyFromSend => posts,
            Series::SendDelay
            | Series::AckLatency
            | Series::ConnectTime
            | Series::FanoutSpread
            | Series::ReconnectTime
            | Series::UpgradeTime => u64::MAX,
        };
        let recorded = Series::ALL.into_iter().filter(|series| !measured.of(*series).is_empty());
        Self {
            ended: measured.ended.clone(),
            latency: recorded
                .map(|series| (series, stats::latency(measured.of(series), independent(series))))
                .collect(),
            saturated: measured.saturated,
            negative: measured.negative,
            seconds: measured.seconds.clone(),
            set_up: measured.set_up,
            total: measured.total,
            sockets: measured.sockets,
            sockets_in_slices: measured.sockets_in_slices,
            ledger: measured.ledger.clone(),
            faults: measured.faults.clone(),
            core_usage_max: measured.core_usage_max,
            posts_sent_in_window: measured.posts_sent_in_window,
        }
    }
}
