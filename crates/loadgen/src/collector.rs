//! Combines what the workers report: seconds into rows and the interval log, totals into the
//! ledger.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use results::{
    Cpu, Faults, INCIDENTS_KEPT_MAX, Incident, IncidentKind, LedgerSummary, RunEnd, Second, Series, Slice,
    TrafficCounts,
};
use scenario::Plan;

use crate::interval_log::{IntervalLog, set_quantiles};
use crate::measure::histograms::Histograms;
use crate::measure::post_table::PostTable;
use crate::measurements::RunMeasurements;
use crate::net::tcp_info::SocketCounts;
use crate::worker::events::{SecondSample, SliceSample, WorkerEvent, WorkerTotals};

pub(crate) struct Collector<'a, W: Write> {
    workers: usize,
    log: IntervalLog<'a, W>,
    /// Seconds that not all workers have reported.
    open: BTreeMap<i64, Vec<SecondSample>>,
    whole: Histograms,
    seconds: Vec<Second>,
    set_up: TrafficCounts,
    /// The current slice, one sample a worker.
    slice: Vec<SliceSample>,
    /// Slices that have begun, and those that are over.
    slices_begun: u32,
    slices_run: u32,
    core_usage_max: f64,
    sockets_before: Vec<SocketCounts>,
    /// Workers whose connections for posts are open.
    open_for_posts: usize,
    totals: Vec<WorkerTotals>,
}

impl<'a, W: Write> Collector<'a, W> {
    pub(crate) fn new(
        workers: usize,
        log: &'a mut W,
        serializer: &'a mut V2DeflateSerializer,
    ) -> std::io::Result<Self> {
        Ok(Self {
            workers,
            log: IntervalLog::new(log, serializer)?,
            open: BTreeMap::new(),
            whole: Histograms::new(),
            seconds: Vec::new(),
            set_up: TrafficCounts::default(),
            slice: Vec::new(),
            slices_begun: 0,
            slices_run: 0,
            core_usage_max: 0.0,
            sockets_before: Vec::new(),
            open_for_posts: 0,
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
            WorkerEvent::Slice(sample) => self.slice.push(*sample),
            WorkerEvent::Sockets(sockets) => self.sockets_before.push(*sockets),
            WorkerEvent::OpenForPosts => self.open_for_posts += 1,
            WorkerEvent::Done(totals) => self.totals.push(*totals),
        }
    }

    /// Whether all workers have reported their totals.
    pub(crate) fn is_done(&self) -> bool {
        self.totals.len() == self.workers
    }

    /// Whether all workers have counted their sockets before the first slice.
    pub(crate) fn has_sockets(&self) -> bool {
        self.sockets_before.len() == self.workers
    }

    /// Whether the connections for posts of all workers are open.
    pub(crate) fn is_open_for_posts(&self) -> bool {
        self.open_for_posts == self.workers
    }

    pub(crate) fn begin_slice(&mut self) {
        self.slices_begun += 1;
    }

    /// The slice, once all workers have reported it.
    pub(crate) fn take_slice(&mut self) -> Option<Slice> {
        if self.slice.len() < self.workers {
            return None;
        }
        let samples = std::mem::take(&mut self.slice);
        self.slices_run += 1;
        let measured = slice_of(&samples);
        let busiest = samples.iter().map(|sample| sample.core_usage()).fold(0.0, f64::max);
        self.core_usage_max = self.core_usage_max.max(busiest);
        Some(measured)
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
        Series::ALL.into_iter().for_each(|series| self.log.write(second, series, histograms.of(series)));
        self.whole.merge(&histograms);
        let Ok(number) = u32::try_from(second) else {
            self.set_up = traffic;
            return;
        };
        let mut row = Second {
            second: number,
            delivered: traffic.delivered,
            posted: traffic.posted,
            requests: traffic.requests,
            connected: joined,
            faults,
            ..Second::default()
        };
        set_quantiles(&mut row, histograms.of(Series::DeliveryLatency));
        self.seconds.push(row);
    }

    pub(crate) fn finish(mut self, plan: &Plan, posts: &PostTable, ended: RunEnd) -> RunMeasurements {
        let open: Vec<_> = self.open.keys().copied().collect();
        open.into_iter().for_each(|second| self.close_second(second));
        self.log.finish();
        let before = self.sockets_before.iter().fold(SocketCounts::default(), |sum, sockets| sum.plus(sockets));
        let sockets = self.totals.iter().fold(SocketCounts::default(), |sum, totals| sum.plus(&totals.sockets));
        let mut faults = Faults::default();
        self.totals.iter().for_each(|totals| faults.merge(&totals.faults));
        let total = self.totals.iter().fold(TrafficCounts::default(), |sum, totals| sum.plus(&totals.traffic));
        RunMeasurements {
            ended,
            saturated: self.whole.saturated,
            negative: self.whole.negative,
            histograms: self.whole.into_histograms(),
            seconds: self.seconds,
            set_up: self.set_up,
            total,
            sockets: Some(sockets),
            sockets_in_slices: Some(sockets.since(&before)),
            ledger: compare_ledgers(plan, posts, &self.totals, self.slices_begun),
            faults,
            core_usage_max: self.core_usage_max,
            slices_run: self.slices_run,
            posts_sent_in_window: posts_sent_in_window(plan, posts, self.slices_run),
        }
    }
}

impl SliceSample {
    /// Share of a core that the worker used in the window.
    fn core_usage(&self) -> f64 {
        let [start, end] = &self.edges;
        let elapsed = end.at.saturating_duration_since(start.at);
        let idle = end.idle.saturating_sub(start.idle).as_micros() as u64;
        let busy = end.cpu.total_us().saturating_sub(start.cpu.total_us()).saturating_sub(idle);
        busy as f64 / (elapsed.as_micros() as f64).max(1.0)
    }
}

/// The sum of what the workers report. The window reaches from the first to the last sample at its
/// edges; the CPU clock of the server is the same for all workers and is read by the first.
fn slice_of(samples: &[SliceSample]) -> Slice {
    let all = |edge: usize| samples.iter().map(move |sample| &sample.edges[edge]);
    let traffic = |edge| all(edge).fold(TrafficCounts::default(), |sum, sample| sum.plus(&sample.traffic));
    let cpu = |of: fn(&Cpu) -> u64| {
        let total = |edge: usize| all(edge).map(|sample| of(&sample.cpu)).sum::<u64>();
        total(1).saturating_sub(total(0))
    };
    let (used, idle) = (cpu(|cpu| cpu.total_us()), |edge| all(edge).map(|sample| sample.idle).sum::<Duration>());
    let idle = idle(1).saturating_sub(idle(0)).as_micros() as u64;
    // How much of the idle time is the kernel's is not known: as much as of all the time.
    let busy = |us: u64| us - (u128::from(us) * u128::from(idle.min(used)) / u128::from(used.max(1))) as u64;
    let (first, last) = (all(0).map(|sample| sample.at).min(), all(1).map(|sample| sample.at).max());
    let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first));
    let server = |edge: usize| all(edge).find_map(|sample| sample.server_cpu_ns);
    let mut delivery = Histograms::empty();
    samples.iter().for_each(|sample| delivery.add(&sample.delivery).expect("all histograms have the same bounds"));
    Slice {
        block: 0,
        position: 0,
        dropped: None,
        window_us: elapsed.as_micros() as u64,
        traffic: traffic(1).since(&traffic(0)),
        generator_cpu: Cpu { user_us: busy(cpu(|cpu| cpu.user_us)), system_us: busy(cpu(|cpu| cpu.system_us)) },
        server_cpu_ns: server(0).zip(server(1)).map(|(start, end)| end.saturating_sub(start)),
        delivery_p50_us: (!delivery.is_empty()).then(|| delivery.value_at_quantile(0.5)),
        drain_us: samples.iter().map(|sample| sample.drain_us).max().unwrap_or(0),
        drained: samples.iter().all(|sample| sample.drained),
    }
}

/// Compares what every client received with what the server accepted, over the slices that have
/// begun.
pub(crate) fn compare_ledgers(
    plan: &Plan,
    posts: &PostTable,
    totals: &[WorkerTotals],
    slices_begun: u32,
) -> LedgerSummary {
    let mut summary = LedgerSummary::default();
    totals.iter().for_each(|totals| summary.merge(&totals.ledger));
    let rooms = plan.rooms as usize;
    let (mut on_server, mut planned) = (vec![0_u64; rooms], vec![0_u64; rooms]);
    // Where an author does not receive its messages: how many of them the server has, and planned ones.
    let mut own = vec![(0_u64, 0_u64); if plan.author_receives { 0 } else { plan.clients as usize }];
    for author in 0..plan.clients {
        let Some(first) = plan.post_index(author, 1) else { continue };
        let room = plan.room_of(author) as usize;
        for index in first..first + plan.posts_of(author) as usize {
            let counted = (
                u64::from(posts.is_on_server(index)),
                u64::from(plan.slicing.slice_of(plan.due_us(index)) < slices_begun),
            );
            (on_server[room], planned[room]) = (on_server[room] + counted.0, planned[room] + counted.1);
            if let Some(own) = own.get_mut(author as usize) {
                *own = (own.0 + counted.0, own.1 + counted.1);
            }
        }
    }
    for client in totals.iter().flat_map(|totals| &totals.clients) {
        let room = plan.room_of(client.client);
        let own = own.get(client.client as usize).copied().unwrap_or_default();
        let planned = planned[room as usize] - own.1;
        // Cap at the planned count: a duplicate under a second seq is reported by the order check
        // and must not hide a lost message.
        let received = u64::from(client.received).min(planned);
        let lost = (on_server[room as usize] - own.0).saturating_sub(received);
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

fn posts_sent_in_window(plan: &Plan, posts: &PostTable, slices_run: u32) -> u64 {
    let total = usize::try_from(plan.posts_total()).unwrap_or(usize::MAX);
    let in_window = |index: &usize| plan.slicing.window_of(plan.due_us(*index)).is_some_and(|slice| slice < slices_run);
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
        let summary = compare_ledgers(&plan, &table, &[totals(received)], 1);
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
            let summary = compare_ledgers(&plan, &table, &all, 1);
            let planned: u64 = (0..plan.rooms).map(|room| plan.posts_in_room(room) * u64::from(plan.room_size(room))).sum();
            prop_assert_eq!(summary.scheduled, planned);
            prop_assert_eq!(summary.scheduled, summary.received + summary.lost + summary.undelivered_posts);
        }
    }
}
