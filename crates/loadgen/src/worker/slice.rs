//! One slice of a worker: lead-in, window and drain.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::checkpoints::EdgeSample;
use super::events::{SliceSample, WorkerEvent, second_sample};
use super::{PUBLISH_EVERY, Worker, idle, publish_progress};
use crate::clock::micros;
use crate::cpu_clock::ServerClocks;
use crate::progress::ProgressCounters;
use crate::timer::PreciseTimer;

/// Slices of this length or more are reported second by second, and their connections are checked.
const LONG: Duration = Duration::from_secs(2);
/// Longest drain of a short slice, or two poll intervals.
const DRAIN_MAX: Duration = Duration::from_millis(200);
const DRAIN_POLL: Duration = Duration::from_millis(1);
/// Nothing is on its way when nothing has arrived for this time …
const QUIET: Duration = Duration::from_micros(100);
/// … for which the edge of a short window is moved by this much at most, or a twentieth of the window.
const EDGE_MAX: Duration = Duration::from_millis(1);

/// What a worker needs for its slices.
pub(super) struct Slices<'a> {
    worker: &'a Worker,
    timer: Rc<PreciseTimer>,
    events: &'a mpsc::Sender<WorkerEvent>,
    progress: &'a Arc<ProgressCounters>,
    /// Deliveries to the clients of this worker that are scheduled in each slice.
    scheduled: Vec<u64>,
    /// The second that is reported next; -1 is everything before the first slice.
    second: i64,
}

impl<'a> Slices<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        timer: PreciseTimer,
        events: &'a mpsc::Sender<WorkerEvent>,
        progress: &'a Arc<ProgressCounters>,
    ) -> Self {
        let scheduled = scheduled_deliveries(worker);
        Self { worker, timer: Rc::new(timer), events, progress, scheduled, second: -1 }
    }

    /// Runs a slice; afterwards nothing is sent until the next one.
    pub(super) async fn run(&mut self, index: u32, start: Instant, server: &ServerClocks) {
        let (worker, run) = (self.worker, &self.worker.run);
        if self.second < 0 {
            self.report_second(0).await;
        }
        let slicing = run.plan.slicing;
        let end_us = i64::from(index + 1) * micros(slicing.slice());
        let delivered = run.delivered();
        run.begin_slice(index, micros(start.saturating_duration_since(run.clock.base())));
        worker.scheduler.set_end_us(end_us);
        worker.tasks.spawn(send_scheduled(worker.clone(), Rc::clone(&self.timer)));
        let awake = Rc::clone(run);
        worker.tasks.spawn(async move { awake.stay_awake().await });
        self.until(start + slicing.lead_in).await;
        let first = self.edge(server).await;
        self.until(start + slicing.slice()).await;
        let edges = [first, self.edge(server).await];
        let scheduled = self.scheduled.get(index as usize).copied().unwrap_or(0);
        let begun = Instant::now();
        let drained = self.drain(delivered + scheduled).await;
        run.rest();
        if slicing.slice() < LONG {
            let second = end_us.div_euclid(1_000_000);
            if second > self.second {
                self.report_second(second).await;
            }
        }
        let delivery = run.counters.borrow().slice_delivery.clone();
        let drain_us = begun.elapsed().as_micros() as u64;
        let sample = SliceSample { edges, delivery, drain_us, drained };
        self.events.send(WorkerEvent::Slice(Box::new(sample))).await.ok();
    }

    /// Reads counts and clocks. In a short slice it waits until no message is on its way: a message
    /// cut by the edge would be a large share of the few in the window, and the CPU clock of a server
    /// that is running is late, see [`ServerClocks`].
    async fn edge(&self, server: &ServerClocks) -> EdgeSample {
        let run = &self.worker.run;
        let begun = Instant::now();
        let (mut last, mut since) = (run.traffic(), begun);
        let longest = EDGE_MAX.max(run.plan.slicing.window / 20);
        while run.plan.slicing.slice() < LONG && begun.elapsed() < longest {
            tokio::task::yield_now().await;
            let traffic = run.traffic();
            if traffic != last {
                (last, since) = (traffic, Instant::now());
            }
            if traffic.posted <= traffic.accepted && since.elapsed() >= QUIET {
                break;
            }
        }
        EdgeSample::now(run, server)
    }

    /// Reports what was counted since the last report; the next one is about `next`.
    async fn report_second(&mut self, next: i64) {
        self.events.send(second_sample(self.worker, self.second)).await.ok();
        self.second = next;
    }

    /// Reports the rest when the run ends.
    pub(super) async fn finish(&mut self) {
        self.report_second(self.second).await;
    }

    /// Waits for an instant. In a long slice the seconds are reported, and idle connections closed.
    async fn until(&mut self, end: Instant) {
        let run = &self.worker.run;
        while run.plan.slicing.slice() >= LONG && Instant::now() < end {
            let publish = Instant::now() + PUBLISH_EVERY;
            let next_second = run.clock.instant(Duration::from_secs(u64::try_from(self.second + 1).unwrap_or(0)));
            sleep_until(end.min(publish).min(next_second)).await;
            publish_progress(run, self.progress);
            if Instant::now() >= next_second {
                self.report_second(self.second + 1).await;
                self.worker.tasks.spawn(idle::check_clients(self.worker.clone()));
            }
        }
        sleep_until(end).await;
    }

    /// Waits until this many messages have been delivered. Gives up when none has arrived for a
    /// while, or after the longest drain.
    async fn drain(&mut self, delivered: u64) -> bool {
        let run = &self.worker.run;
        let phases = run.plan.phases;
        let short = DRAIN_MAX.max(run.tuning().interval.unwrap_or_default() * 2);
        let is_long = run.plan.slicing.slice() >= LONG;
        let (idle_max, drain_max) = if is_long { (phases.drain_idle(), phases.drain_max()) } else { (short, short) };
        let (begun, mut last, mut rose) = (Instant::now(), 0, Instant::now());
        while run.delivered() < delivered {
            if run.delivered() > last {
                (last, rose) = (run.delivered(), Instant::now());
            }
            if rose.elapsed() > idle_max || begun.elapsed() > drain_max {
                return false;
            }
            if is_long {
                self.until(Instant::now() + PUBLISH_EVERY).await;
            } else {
                sleep(DRAIN_POLL).await;
            }
        }
        true
    }
}

/// Deliveries to the clients of a worker, by slice.
fn scheduled_deliveries(worker: &Worker) -> Vec<u64> {
    let plan = &worker.run.plan;
    let mut members = vec![0_u64; plan.rooms as usize];
    let mut is_here = vec![false; plan.clients as usize];
    for client in &worker.scheduler.clients {
        members[client.room as usize] += 1;
        is_here[client.id as usize] = true;
    }
    let mut scheduled = vec![0; plan.slicing.count as usize];
    for author in 0..plan.authors {
        let is_left_out = is_here[author as usize] && !plan.author_receives;
        let receivers = members[plan.room_of(author) as usize] - u64::from(is_left_out);
        let Some(first) = plan.post_index(author, 1) else { continue };
        for index in first..first + plan.posts_of(author) as usize {
            if let Some(slice) = scheduled.get_mut(plan.slicing.slice_of(plan.due_us(index)) as usize) {
                *slice += receivers;
            }
        }
    }
    scheduled
}

/// Sends posts when they are due.
async fn send_scheduled(worker: Worker, timer: Rc<PreciseTimer>) {
    while let Some(wait) = worker.scheduler.until_next_post(&worker.run) {
        if let Err(error) = timer.sleep(wait).await {
            return worker.run.fault(error.into());
        }
        worker.scheduler.send_scheduled(&worker.run);
    }
}
