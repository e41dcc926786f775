//! When the outages of a run begin and end.

use std::collections::{BTreeSet, VecDeque};

use nix::sys::signal::Signal;
use scenario::{Outage, OutageKind};
use tokio::time::{Instant, sleep_until};

/// What a step is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A server, from 0.
    Node(usize),
    /// The shared log.
    Log,
    /// The shared log, which is started again with its messages.
    LogAgain,
    /// The shared log, which is started again without them.
    EmptyLog,
}

/// The begin or the end of an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    at: Instant,
    pub(super) part: Part,
    pub(super) signal: Signal,
}

/// The steps that are left, in the order of their instants.
#[derive(Default)]
pub(super) struct Outages {
    left: VecDeque<Step>,
    killed: BTreeSet<usize>,
}

impl Outages {
    /// The window begins at this instant.
    pub(super) fn begin(&mut self, outages: &[Outage], window: Instant) {
        let mut steps: Vec<_> = outages.iter().flat_map(|outage| steps(outage, window)).collect();
        steps.sort_by_key(|step| step.at);
        self.left = steps.into();
    }

    /// Returns when the next step is due.
    pub(super) async fn next(&self) -> Step {
        match self.left.front() {
            Some(step) => {
                sleep_until(step.at).await;
                *step
            }
            None => std::future::pending().await,
        }
    }

    /// The next step, if it is due.
    pub(super) fn due(&self) -> Option<Step> {
        self.left.front().copied().filter(|step| step.at <= Instant::now())
    }

    /// The next step has happened.
    pub(super) fn taken(&mut self) {
        if let Some(Step { part: Part::Node(at), signal: Signal::SIGKILL, .. }) = self.left.pop_front() {
            self.killed.insert(at);
        }
    }

    /// Whether a server was killed.
    pub(super) fn has_killed(&self, node: usize) -> bool {
        self.killed.contains(&node)
    }
}

fn steps(outage: &Outage, window: Instant) -> Vec<Step> {
    let part = if outage.what.is_of_log() { Part::Log } else { Part::Node(outage.node as usize - 1) };
    let begin = window + outage.at();
    let end = outage.lasts().map(|lasts| begin + lasts);
    let (signal, ends) = match outage.what {
        OutageKind::KillNode => (Signal::SIGKILL, None),
        OutageKind::KillLog => (Signal::SIGKILL, Some((Part::LogAgain, Signal::SIGCONT))),
        OutageKind::ForgetLog => (Signal::SIGKILL, Some((Part::EmptyLog, Signal::SIGCONT))),
        OutageKind::StopNode | OutageKind::StopLog => (Signal::SIGSTOP, Some((part, Signal::SIGCONT))),
    };
    let last = ends.zip(end).map(|((part, signal), at)| Step { at, part, signal });
    std::iter::once(Step { at: begin, part, signal }).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_come_in_the_order_of_their_instants() {
        let outage = |what, at_s, node, for_s| Outage { what, at_s, node, for_s };
        let all = [
            outage(OutageKind::StopNode, 1.0, 2, Some(3.0)),
            outage(OutageKind::KillLog, 2.0, 1, Some(1.0)),
            outage(OutageKind::KillNode, 2.5, 3, None),
        ];
        let (mut outages, window) = (Outages::default(), Instant::now());
        outages.begin(&all, window);
        let mut seen = Vec::new();
        for _ in 0..5 {
            assert_eq!(outages.due(), None);
            let step = outages.next().await;
            assert_eq!(outages.due(), Some(step));
            outages.taken();
            seen.push((window.elapsed().as_millis(), step.part, step.signal));
        }
        let expected = [
            (1_000, Part::Node(1), Signal::SIGSTOP),
            (2_000, Part::Log, Signal::SIGKILL),
            (2_500, Part::Node(2), Signal::SIGKILL),
            (3_000, Part::LogAgain, Signal::SIGCONT),
            (4_000, Part::Node(1), Signal::SIGCONT),
        ];
        assert_eq!(seen, expected);
        assert!(outages.has_killed(2) && !outages.has_killed(1));
        let none = tokio::time::timeout(Duration::from_secs(9), outages.next()).await;
        assert!(none.is_err());
    }
}
