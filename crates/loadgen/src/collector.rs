//! Combines what the workers report: seconds into rows and the interval log, totals into the
//! ledger.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};
use results::{
    Cpu, Faults, INCIDENTS_KEPT_MAX, Incident, IncidentKind, LedgerSummary, RunEnd, Second, Series, TrafficCounts,
};
use scenario::Plan;

use crate::measure::histograms::Histograms;
use crate::measure::post_table::PostTable;
use crate::measurements::RunMeasurements;
use crate::net::tcp_info::SocketCounts;
use crate::worker::events::{EdgeSample, SecondSample, WorkerEvent, WorkerTotals};

/// Percentile that the progress line shows.
const PROGRESS_PERCENTILE: f64 = 0.99;

pub(crate) struct Collector<'a, W: Write> {
    workers: usize,
    log: IntervalLogWriter<'a, 'a, W, V2DeflateSerializer>,
    log_broken: Option<String>,
    /// Seconds that not all workers have reported.
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

    pub(crate) fn add(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Second(sample) => {
                let second = sample.second;
                self.open.entry(second).or_default().push(*sample);
                if self.open[&second].len() == self.workers {
                    // A worker reports its seconds in order: earlier ones that are open stay
                    // incomplete.
                    let done: Vec<_> = self.open.range(..=second).map(|(second, _)| *second).collect();
                    done.into_iter().for_each(|second| self.close_second(second));
                }
            }
            WorkerEvent::Edge(sample) => self.edges.push(*sample),
            WorkerEvent::Done(totals) => self.totals.push(*totals),
        }
    }

    /// Whether all workers have reported their totals.
    pub(crate) fn is_done(&self) -> bool {
        self.totals.len() == self.workers
    }

    /// Whether all workers have sampled both edges of the window.
    pub(crate) fn has_window(&self) -> bool {
        self.edges.len() == 2 * self.workers
    }

    pub(crate) fn latest_p99(&self) -> Option<u64> {
        self.seconds.last()?.delivery_p99_us
    }

    fn close_second(&mut self, second: i64) {
        let samples = self.open.remove(&second).unwrap_or_default();
        let (mut histograms, mut traffic, mut joined, mut faults) = (Histograms::new(), TrafficCounts::default(), 0, 0);
        for sample in &samples {
            histograms.merge(&sample.histograms);
            traffic = traffic.plus(&sample.traffic);
            joined += sample.joined;
            faults += sample.faults;
        }
        self.write_log(second, &histograms);
        self.whole.merge(&histograms);
        let Ok(number) = u32::try_from(second) else {
            self.set_up = traffic;
            return;
        };
        let delivery = histograms.of(Series::DeliveryLatency);
        let quantile = |q| (!delivery.is_empty()).then(|| delivery.value_at_quantile(q));
        self.seconds.push(Second {
            second: number,
            delivered: traffic.delivered,
            posted: traffic.posted,
            requests: traffic.requests,
            connected: joined,
            faults,
            delivery_p50_us: quantile(0.5),
            delivery_p99_us: quantile(PROGRESS_PERCENTILE),
            delivery_max_us: (!delivery.is_empty()).then(|| delivery.max()),
            server: None,
        });
    }

    /// Writes a second to the interval log. An error does not end the run; it is reported at its
    /// end.
    fn write_log(&mut self, second: i64, histograms: &Histograms) {
        let start = Duration::from_secs(u64::try_from(second + 1).unwrap_or(0));
        for series in Series::ALL {
            let histogram = histograms.of(series);
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
        let open: Vec<_> = self.open.keys().copied().collect();
        open.into_iter().for_each(|second| self.close_second(second));
        if let Some(error) = self.log_broken {
            tracing::warn!(error, "the interval log is incomplete");
        }
        let (window, window_us, cpu, core_usage_max) = window_of(&self.edges, self.workers);
        let sockets = self.totals.iter().fold(SocketCounts::default(), |sum, totals| sum.plus(&totals.sockets));
        let mut faults = Faults::default();
        self.totals.iter().for_each(|totals| faults.merge(&totals.faults));
        let total = self.totals.iter().fold(TrafficCounts::default(), |sum, totals| sum.plus(&totals.traffic));
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
            core_usage_max,
            posts_sent_in_window: posts_sent_in_window(plan, posts),
        }
    }
}

/// Counts between the edges, the length of the window in microseconds, the CPU time of all workers
/// and the largest share of a core that one of them used. Each worker reports both edges in order.
fn window_of(edges: &[EdgeSample], workers: usize) -> (TrafficCounts, u64, Cpu, f64) {
    let (starts, ends) = edges.split_at(workers.min(edges.len()));
    if ends.len() != workers {
        return (TrafficCounts::default(), 0, Cpu::default(), 0.0);
    }
    let sum = |samples: &[EdgeSample]| samples.iter().fold(TrafficCounts::default(), |sum, r| sum.plus(&r.traffic));
    let cpu = |of: fn(&Cpu) -> u64| {
        let total = |samples: &[EdgeSample]| samples.iter().map(|r| of(&r.cpu)).sum::<u64>();
        total(ends).saturating_sub(total(starts))
    };
    let first = starts.iter().map(|r| r.at).min();
    let last = ends.iter().map(|r| r.at).max();
    let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first));
    let window_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    // The samples do not name their worker: its CPU time is at most the largest end minus the
    // smallest start.
    let busiest = ends.iter().map(|r| r.cpu.total_us()).max().unwrap_or(0);
    let least = starts.iter().map(|r| r.cpu.total_us()).min().unwrap_or(0);
    let busy = busiest.saturating_sub(least) as f64 / (window_us.max(1) as f64);
    let cpu = Cpu { user_us: cpu(|cpu| cpu.user_us), system_us: cpu(|cpu| cpu.system_us) };
    (sum(ends).since(&sum(starts)), window_us, cpu, busy)
}

fn sockets_in_window(edges: &[EdgeSample], workers: usize) -> Option<SocketCounts> {
    let (starts, ends) = edges.split_at_checked(workers).filter(|(_, ends)| ends.len() == workers)?;
    let sum = |samples: &[EdgeSample]| samples.iter().fold(SocketCounts::default(), |sum, r| sum.plus(&r.sockets));
    Some(sum(ends).since(&sum(starts)))
}

/// Compares what every client received with what the server accepted.
fn compare_ledgers(plan: &Plan, posts: &PostTable, totals: &[WorkerTotals]) -> LedgerSummary {
    let mut summary = LedgerSummary::default();
    totals.iter().for_each(|totals| summary.merge(&totals.ledger));
    let mut on_server = vec![0_u64; plan.rooms as usize];
    for author in 0..plan.clients {
        let Some(first) = plan.post_index(author, 1) else { continue };
        let mut own = first..first + plan.posts_of(author) as usize;
        let room = plan.room_of(author) as usize;
        on_server[room] += own.by_ref().filter(|index| posts.is_on_server(*index)).count() as u64;
    }
    for client in totals.iter().flat_map(|totals| &totals.clients) {
        let room = plan.room_of(client.client);
        let planned = plan.posts_in_room(room);
        // Cap at the planned count: a duplicate under a second seq is reported by the order check
        // and must not hide a lost message.
        let received = u64::from(client.received).min(planned);
        let lost = on_server[room as usize].saturating_sub(received);
        summary.scheduled += planned;
        summary.received += received;
        summary.lost += lost;
        summary.undelivered_posts += planned - received - lost;
        if lost > 0 && summary.incidents.len() < INCIDENTS_KEPT_MAX {
            let (client, seq) = (client.client, client.first_missing);
            summary.incidents.push(Incident { kind: IncidentKind::Lost, client, seq });
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
    use proptest::prelude::*;

    use super::*;
    use crate::worker::events::ClientTotals;

    fn plan() -> Plan {
        let text = "name = \"t\"\nquestion = \"?\"\nclients = 7\nrooms = 3\n[posts]\nper_client_per_s = 3.0\n[phases]\n\
                    warm_up_s = 0.5\nwindow_s = 2.0\n";
        scenario::parse("t.toml", text, &[]).unwrap().plans.remove(0)
    }

    fn posts(plan: &Plan) -> usize {
        usize::try_from(plan.posts_total()).unwrap()
    }

    /// Totals with what each of these clients received.
    fn totals(received: impl Iterator<Item = (u32, u32)>) -> WorkerTotals {
        let clients = received.map(|(client, received)| ClientTotals { client, received, first_missing: 9 });
        WorkerTotals {
            traffic: TrafficCounts::default(),
            sockets: SocketCounts::default(),
            ledger: LedgerSummary::default(),
            faults: Faults::default(),
            clients: clients.collect(),
        }
    }

    fn sample(second: i64, delivered: u64, latency_us: i64) -> WorkerEvent {
        let mut histograms = Histograms::new();
        (0..delivered).for_each(|_| histograms.record(Series::DeliveryLatency, latency_us));
        let mut traffic = TrafficCounts::default();
        (traffic.delivered, traffic.posted) = (delivered, 1);
        WorkerEvent::Second(Box::new(SecondSample { second, histograms, traffic, joined: 1, faults: 2 }))
    }

    #[test]
    fn a_worker_that_is_a_second_behind_at_the_end_changes_no_sum() {
        let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut collector = Collector::new(2, &mut log, &mut serializer).unwrap();
        for (second, delivered) in [(-1, 0), (0, 5), (1, 7)] {
            collector.add(sample(second, delivered, 100));
            collector.add(sample(second, delivered + 1, 300));
        }
        // One worker ends in second 3, the other in second 2.
        collector.add(sample(2, 10, 100));
        collector.add(sample(3, 1, 100));
        collector.add(sample(3, 20, 100));
        let plan = plan();
        let measurements = collector.finish(&plan, &PostTable::new(posts(&plan)), RunEnd::Complete);
        let rows = measurements.seconds.iter().map(|row| (row.second, row.delivered, row.posted, row.faults));
        assert_eq!(rows.collect::<Vec<_>>(), [(0, 11, 2, 4), (1, 15, 2, 4), (2, 10, 1, 2), (3, 21, 2, 4)]);
        assert_eq!(measurements.of(Series::DeliveryLatency).len(), 1 + 11 + 15 + 10 + 21);
        assert_eq!(measurements.set_up.delivered, 1);
    }

    #[test]
    fn a_loss_has_its_client_and_its_first_seq() {
        let plan = plan();
        let table = PostTable::new(posts(&plan));
        (0..posts(&plan)).for_each(|index| table.mark_accepted(index));
        let all = |client| u32::try_from(plan.posts_in_room(plan.room_of(client))).unwrap();
        let received = (0..plan.clients).map(|client| (client, all(client) - if client == 4 { 2 } else { 0 }));
        let summary = compare_ledgers(&plan, &table, &[totals(received)]);
        assert_eq!((summary.lost, summary.undelivered_posts, summary.received), (2, 0, summary.scheduled - 2));
        assert_eq!(summary.incidents, [Incident { kind: IncidentKind::Lost, client: 4, seq: 9 }]);
    }

    proptest! {
        /// Every planned delivery is either received, lost or undelivered, whatever was accepted
        /// and received.
        #[test]
        fn scheduled_is_received_lost_and_undelivered(
            states in proptest::collection::vec(0_u8..4, 200),
            received in proptest::collection::vec(0_u32..40, 7),
            workers in 1_u32..4,
        ) {
            let plan = plan();
            let table = PostTable::new(posts(&plan));
            for (index, state) in (0..posts(&plan)).zip(states.iter().cycle()) {
                if state & 1 == 1 {
                    table.mark_accepted(index);
                }
                if state & 2 == 2 {
                    table.mark_received(index);
                }
            }
            let of_worker = |worker| plan.clients_of_worker(worker, workers).map(|client| (client, received[client as usize]));
            let all: Vec<_> = (0..workers).map(|worker| totals(of_worker(worker))).collect();
            let summary = compare_ledgers(&plan, &table, &all);
            let planned: u64 = (0..plan.rooms).map(|room| plan.posts_in_room(room) * u64::from(plan.room_size(room))).sum();
            prop_assert_eq!(summary.scheduled, planned);
            prop_assert_eq!(summary.scheduled, summary.received + summary.lost + summary.undelivered_posts);
        }
    }
}
