//! What a job and a load generator process say to each other: JSON, a line each.

use std::path::PathBuf;

use loadgen::{Progress, Target};
use results::{RunEnd, Slice};
use scenario::{Job, Plan, Share, Slicing};
use serde::{Deserialize, Serialize};
use wire::{RoomName, Transport};

use super::totals::RunTotals;
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
    /// Its part of the clients.
    pub(crate) share: Share,
    pub(crate) cores: Vec<usize>,
    /// Whether it may use its cores without a pause.
    pub(crate) never_sleeps: bool,
    pub(crate) log: LogPlace,
}

/// Where a load generator writes its interval log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LogPlace {
    Nowhere,
    File(PathBuf),
    /// With its totals: it is added to those of others.
    Totals,
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
        plan.share = self.share;
        Ok(plan)
    }
}

/// What the job asks of the generator after the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Connect all clients and wait for the probe; nothing is sent afterwards.
    Connect,
    /// Open the connections that authors post with.
    Open,
    /// Run the next slice; `pids` are the processes of the server. It starts now, or at this time in
    /// microseconds since 1970.
    Slice { pids: Vec<u32>, start_us: Option<u64> },
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
    Opened,
    Slice(Box<Slice>),
    /// The run cannot go on.
    Failed(RunEnd),
    Finished(Box<RunTotals>),
}
