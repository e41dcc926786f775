//! Counts and CPU time at the edges of a window.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use results::{Cpu, TrafficCounts};
use tokio::time::Instant;

use crate::cpu_clock::ServerClocks;
use crate::run_context::RunContext;

/// Counts and CPU time at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeSample {
    pub(crate) at: Instant,
    pub(crate) traffic: TrafficCounts,
    /// Of the thread that samples.
    pub(crate) cpu: Cpu,
    /// The part of it in which the thread asked for input and there was none.
    pub(crate) idle: Duration,
    pub(crate) server_cpu_ns: Option<u64>,
}

impl EdgeSample {
    pub(crate) fn now(run: &RunContext, server: &ServerClocks) -> Self {
        // The server's clock is read right beside the counts that its CPU time is divided by.
        let server_cpu_ns = server.now_ns();
        let traffic = run.counters.borrow().traffic;
        Self { at: Instant::now(), traffic, cpu: thread_cpu(), idle: run.idle(), server_cpu_ns }
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Cpu {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Cpu::default() };
    let micros = |time: TimeVal| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs();
    Cpu { user_us: micros(usage.user_time()), system_us: micros(usage.system_time()) }
}
