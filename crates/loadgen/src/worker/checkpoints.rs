//! Counts and CPU time at the edges of the measurement window.

use std::rc::Rc;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use results::Cpu;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::events::{EdgeSample, WorkerEvent};
use crate::run_context::RunContext;

/// Reports both edges of the window. The CPU time for reading the kernel's socket counts is left
/// out.
pub(super) async fn sample_edges(run: Rc<RunContext>, events: mpsc::Sender<WorkerEvent>, cpu_now: impl Fn() -> Cpu) {
    let phases = run.plan.phases;
    let mut left_out = Cpu::default();
    for edge in [phases.warm_up(), phases.posting()] {
        sleep_until(run.clock.instant(edge)).await;
        let (at, traffic, mut begun) = (Instant::now(), run.counters.borrow().traffic, cpu_now());
        let cpu = Cpu { user_us: begun.user_us - left_out.user_us, system_us: begun.system_us - left_out.system_us };
        let sockets = run.connections.total(async || {
            let ended = cpu_now();
            left_out.user_us += ended.user_us - begun.user_us;
            left_out.system_us += ended.system_us - begun.system_us;
            tokio::task::yield_now().await;
            begun = cpu_now();
        });
        let sockets = sockets.await;
        events.send(WorkerEvent::Edge(Box::new(EdgeSample { at, traffic, cpu, sockets }))).await.ok();
    }
}

/// CPU time of this thread.
pub(super) fn thread_cpu() -> Cpu {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Cpu::default() };
    let micros = |time: TimeVal| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs();
    Cpu { user_us: micros(usage.user_time()), system_us: micros(usage.system_time()) }
}
