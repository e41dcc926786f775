//! Puts the workers' reports together: seconds into rows and interval logs, remains into the ledger.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};
use scenario::Plan;

use crate::crowd::{EdgeSample, SecondSample, WorkerEvent, WorkerTotals};
use crate::posts::PostTable;
use crate::recorder::Histograms;
use crate::recording::RunMeasurements;
use crate::tcp_info::SocketCounts;
use results::Series;
use results::TrafficCounts;
use results::{Cpu, Faults, RunEnd, Second};
use results::{INCIDENTS_KEPT_MAX, Incident, IncidentKind, LedgerSummary};

/// Percentile that is shown while a run goes on.
const SHOWN: f64 = 0.99;

pub(crate) struct Collector<'a, W: Write> {
    workers: usize,
    log: IntervalLogWriter<'a, 'a, W, V2DeflateSerializer>,
    log_broken: Option<String>,
    open: BTreeMap<i64, Vec<SecondSample>>,
    whole: Histograms,
    seconds: Vec<Second>,
    set_up: TrafficCounts,
    edges: Vec<EdgeSample>,
    totals: Vec<WorkerTotals>,
}

impl<'a, W: Write> Collector<'a, W> {
    pub(crate) fn new(
        workers: usize,
        log: &'a mut W,
        serializer: &'a mut V2DeflateSerializer,
    ) -> std::io::Result<Self> {
        let log = IntervalLogWriterBuilder::new()
            .with_start_time(std::time::SystemTime::now())
            .with_max_value_divisor(1000.0)
            .begin_log_with(log, serializer)?;
        Ok(Self {
            workers,
            log,
            log_broken: None,
            open: BTreeMap::new(),
            whole: Histograms::new(),
            seconds: Vec::new(),
            set_up: TrafficCounts::default(),
            edges: Vec::new(),
            totals: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, report: WorkerEvent) {
        match report {
            WorkerEvent::Second(part) => {
                let second = part.second;
                self.open.entry(second).or_default().push(*part);
                if self.open[&second].len() == self.workers {
                    // Whoever left an earlier one open has gone past it and will not come back to it.
                    let done: Vec<_> = self.open.range(..=second).map(|(second, _)| *second).collect();
                    done.into_iter().for_each(|second| self.close_second(second));
                }
            }
            WorkerEvent::Edge(reading) => self.edges.push(*reading),
            WorkerEvent::Done(remains) => self.totals.push(*remains),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.totals.len() == self.workers
    }

    /// Whether every worker has read both ends of the window.
    pub(crate) fn has_window(&self) -> bool {
        self.edges.len() == 2 * self.workers
    }

    pub(crate) fn latest_p99(&self) -> Option<u64> {
        self.seconds.last()?.delivery_us_p99
    }

    fn close_second(&mut self, second: i64) {
        let parts = self.open.remove(&second).unwrap_or_default();
        let (mut recorder, mut tally, mut joined, mut faults) = (Histograms::new(), TrafficCounts::default(), 0, 0);
        for part in &parts {
            recorder.merge(&part.recorder);
            tally = tally.plus(&part.tally);
            joined += part.joined;
            faults += part.faults;
        }
        self.write_log(second, &recorder);
        self.whole.merge(&recorder);
        let Ok(number) = u32::try_from(second) else {
            self.set_up = tally;
            return;
        };
        let delivery = recorder.of(Series::DeliveryLatency);
        let quantile = |q| (!delivery.is_empty()).then(|| delivery.value_at_quantile(q));
        self.seconds.push(Second {
            second: number,
            delivered: tally.delivered,
            posted: tally.posted,
            requests: tally.requests,
            joined,
            faults,
            delivery_us_p50: quantile(0.5),
            delivery_us_p99: quantile(SHOWN),
            delivery_us_max: (!delivery.is_empty()).then(|| delivery.max()),
            server: None,
        });
    }

    /// A log that cannot be written ends nothing: it is said at the end.
    fn write_log(&mut self, second: i64, recorder: &Histograms) {
        let start = Duration::from_secs(u64::try_from(second + 1).unwrap_or(0));
        for series in Series::ALL {
            let histogram = recorder.of(series);
            if histogram.is_empty() {
                continue;
            }
            let written = self.log.write_histogram(histogram, start, Duration::from_secs(1), Tag::new(series.name()));
            if let Err(error) = written {
                self.log_broken.get_or_insert_with(|| format!("{error:?}"));
            }
        }
    }

    pub(crate) fn finish(mut self, plan: &Plan, posts: &PostTable, ended: RunEnd) -> RunMeasurements {
        let left: Vec<_> = self.open.keys().copied().collect();
        left.into_iter().for_each(|second| self.close_second(second));
        if let Some(error) = self.log_broken {
            tracing::warn!(error, "the interval log is not complete");
        }
        let (window, window_us, cpu, worker_busy_max) = window_of(&self.edges, self.workers);
        let sockets = self.totals.iter().fold(SocketCounts::default(), |sum, remains| sum.plus(&remains.sockets));
        let mut faults = Faults::default();
        self.totals.iter().for_each(|remains| faults.merge(&remains.faults));
        let total = self.totals.iter().fold(TrafficCounts::default(), |sum, remains| sum.plus(&remains.tally));
        RunMeasurements {
            ended,
            window_us,
            saturated: self.whole.saturated,
            negative: self.whole.negative,
            histograms: self.whole.into_histograms(),
            seconds: self.seconds,
            set_up: self.set_up,
            window,
            total,
            kernel_window: sockets_in_window(&self.edges, self.workers),
            kernel_total: Some(sockets),
            ledger: compare_ledgers(plan, posts, &self.totals),
            faults,
            cpu,
            core_usage_max: worker_busy_max,
            posts_sent_in_window: posts_sent_in_window(plan, posts),
        }
    }
}

/// What happened between the two edges; each worker reports both, the first edge first.
fn window_of(edges: &[EdgeSample], workers: usize) -> (TrafficCounts, u64, Cpu, f64) {
    let (starts, ends) = edges.split_at(workers.min(edges.len()));
    if ends.len() != workers {
        return (TrafficCounts::default(), 0, Cpu::default(), 0.0);
    }
    let sum = |readings: &[EdgeSample]| readings.iter().fold(TrafficCounts::default(), |sum, r| sum.plus(&r.tally));
    let cpu = |of: fn(&Cpu) -> u64| {
        let total = |readings: &[EdgeSample]| readings.iter().map(|r| of(&r.cpu)).sum::<u64>();
        total(ends).saturating_sub(total(starts))
    };
    let first = starts.iter().map(|r| r.at).min();
    let last = ends.iter().map(|r| r.at).max();
    let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first));
    let window_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    // Reports of different workers come in any order: the busiest is bounded by the largest end and the smallest start.
    let busiest = ends.iter().map(|r| r.cpu.total_us()).max().unwrap_or(0);
    let least = starts.iter().map(|r| r.cpu.total_us()).min().unwrap_or(0);
    let busy = busiest.saturating_sub(least) as f64 / (window_us.max(1) as f64);
    let cpu = Cpu { user_us: cpu(|cpu| cpu.user_us), system_us: cpu(|cpu| cpu.system_us) };
    (sum(ends).since(&sum(starts)), window_us, cpu, busy)
}

fn sockets_in_window(edges: &[EdgeSample], workers: usize) -> Option<SocketCounts> {
    let (starts, ends) = edges.split_at_checked(workers).filter(|(_, ends)| ends.len() == workers)?;
    let sum = |readings: &[EdgeSample]| readings.iter().fold(SocketCounts::default(), |sum, r| sum.plus(&r.sockets));
    Some(sum(ends).since(&sum(starts)))
}

/// Holds what every client saw against what the server had.
fn compare_ledgers(plan: &Plan, posts: &PostTable, remains: &[WorkerTotals]) -> LedgerSummary {
    let mut summary = LedgerSummary::default();
    remains.iter().for_each(|remains| summary.merge(&remains.ledger));
    let mut real = vec![0_u64; plan.rooms as usize];
    for author in 0..plan.clients {
        let Some(first) = plan.post_index(author, 1) else { continue };
        let own = first..first + plan.posts_of(author) as usize;
        real[plan.room_of(author) as usize] += own.filter(|index| posts.is_on_server(*index)).count() as u64;
    }
    for (client, seen, missing) in remains.iter().flat_map(|remains| &remains.clients) {
        let room = plan.room_of(*client);
        let planned = plan.posts_in_room(room);
        // A server that gives one post two seqs is told on by the order; it must not make up for a lost one here.
        let seen = u64::from(*seen).min(planned);
        let lost = real[room as usize].saturating_sub(seen);
        summary.scheduled += planned;
        summary.received += seen;
        summary.lost += lost;
        summary.undelivered_posts += planned - seen - lost;
        if lost > 0 && summary.incidents.len() < INCIDENTS_KEPT_MAX {
            summary.incidents.push(Incident { kind: IncidentKind::Lost, client: *client, seq: *missing });
        }
    }
    summary
}

fn posts_sent_in_window(plan: &Plan, posts: &PostTable) -> u64 {
    let total = usize::try_from(plan.posts_total()).unwrap_or(usize::MAX);
    let in_window = |index: &usize| plan.in_window(Duration::from_micros(plan.due_us(*index).into()));
    (0..total).filter(in_window).filter(|index| posts.sent_us(*index).is_some()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan() -> Plan {
        let text = "name = \"t\"\nquestion = \"?\"\nclients = 7\nrooms = 3\n[posts]\nper_client_per_s = 3.0\n[phases]\nwarm_up_s = 0.5\nwindow_s = 2.0\n";
        scenario::parse("t.toml", text, &[]).unwrap().plans.remove(0)
    }

    fn remains(clients: Vec<(u32, u32, u64)>) -> WorkerTotals {
        let sockets = SocketCounts::default();
        WorkerTotals {
            tally: TrafficCounts::default(),
            sockets,
            ledger: LedgerSummary::default(),
            faults: Faults::default(),
            clients,
        }
    }

    fn part(second: i64, delivered: u64, latency_us: i64) -> WorkerEvent {
        let mut recorder = Histograms::new();
        (0..delivered).for_each(|_| recorder.record(Series::DeliveryLatency, latency_us));
        let mut tally = TrafficCounts::default();
        (tally.delivered, tally.posted) = (delivered, 1);
        WorkerEvent::Second(Box::new(SecondSample { second, recorder, tally, joined: 1, faults: 2 }))
    }

    #[test]
    fn a_worker_that_is_a_second_behind_at_the_end_changes_no_sum() {
        let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut collector = Collector::new(2, &mut log, &mut serializer).unwrap();
        for (second, delivered) in [(-1, 0), (0, 5), (1, 7)] {
            collector.add(part(second, delivered, 100));
            collector.add(part(second, delivered + 1, 300));
        }
        // One closes second 2 and begins 3; the other is stopped before it closes 2.
        collector.add(part(2, 10, 100));
        collector.add(part(3, 1, 100));
        collector.add(part(3, 20, 100));
        let plan = plan();
        let posts = PostTable::new(usize::try_from(plan.posts_total()).unwrap());
        let recording = collector.finish(&plan, &posts, RunEnd::Complete);
        let rows: Vec<_> =
            recording.seconds.iter().map(|row| (row.second, row.delivered, row.posted, row.faults)).collect();
        assert_eq!(rows, [(0, 11, 2, 4), (1, 15, 2, 4), (2, 10, 1, 2), (3, 21, 2, 4)]);
        assert_eq!(recording.of(Series::DeliveryLatency).len(), 1 + 11 + 15 + 10 + 21);
        assert_eq!(recording.set_up.delivered, 1);
    }

    #[test]
    fn what_is_lost_is_named_by_its_seat_and_its_first_seq() {
        let plan = plan();
        let posts = PostTable::new(usize::try_from(plan.posts_total()).unwrap());
        (0..usize::try_from(plan.posts_total()).unwrap()).for_each(|index| posts.mark_accepted(index));
        let all = |client| u32::try_from(plan.posts_in_room(plan.room_of(client))).unwrap();
        let clients =
            (0..plan.clients).map(|client| (client, all(client) - if client == 4 { 2 } else { 0 }, 9)).collect();
        let summary = compare_ledgers(&plan, &posts, &[remains(clients)]);
        assert_eq!((summary.lost, summary.undelivered_posts, summary.received), (2, 0, summary.scheduled - 2));
        assert_eq!(summary.incidents, [Incident { kind: IncidentKind::Lost, client: 4, seq: 9 }]);
    }

    proptest! {
        /// Whatever was confirmed, seen by anybody, and counted by each client: every planned delivery is exactly one of three.
        #[test]
        fn planned_is_seen_lost_and_faulted(
            states in proptest::collection::vec(0_u8..4, 200),
            seen in proptest::collection::vec(0_u32..40, 7),
            workers in 1_u32..4,
        ) {
            let plan = plan();
            let total = usize::try_from(plan.posts_total()).unwrap();
            let posts = PostTable::new(total);
            for (index, state) in (0..total).zip(states.iter().cycle()) {
                if state & 1 == 1 {
                    posts.mark_accepted(index);
                }
                if state & 2 == 2 {
                    posts.mark_received(index);
                }
            }
            let share = |worker| plan.clients_of_worker(worker, workers).map(|client| (client, seen[client as usize], 1)).collect();
            let all: Vec<_> = (0..workers).map(|worker| remains(share(worker))).collect();
            let summary = compare_ledgers(&plan, &posts, &all);
            let planned: u64 = (0..plan.rooms).map(|room| plan.posts_in_room(room) * u64::from(plan.room_size(room))).sum();
            prop_assert_eq!(summary.scheduled, planned);
            prop_assert_eq!(summary.scheduled, summary.received + summary.lost + summary.undelivered_posts);
        }
    }
}
