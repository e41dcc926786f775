//! What a server says of its CPU and memory, and what the kernel says of its process.

use wire::{TransportUsage, Usage};

use super::{per_second, ratio};
use crate::{Cpu, RunRecord};

/// What the server counted over the window.
pub(crate) struct ServerWindow {
    /// Whether it counts anything but its CPU.
    pub(crate) metered: bool,
    pub(crate) cpu: Cpu,
    pub(crate) messages: u64,
    pub(crate) batches: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) up: u64,
    pub(crate) down: u64,
}

impl ServerWindow {
    pub(crate) fn of(run: &RunRecord) -> Option<Self> {
        let readings = run.server.as_ref()?;
        let (start, end) = (&readings.window_start, &readings.window_end);
        let transport = |usage: &Usage| usage.transports.get(run.transport.name()).copied().unwrap_or_default();
        let (before, after): (TransportUsage, TransportUsage) = (transport(start), transport(end));
        let grown = |of: fn(&TransportUsage) -> u64| of(&after).saturating_sub(of(&before));
        Some(Self {
            metered: end.metered,
            cpu: Cpu {
                user_us: end.process.cpu_user_us.saturating_sub(start.process.cpu_user_us),
                system_us: end.process.cpu_system_us.saturating_sub(start.process.cpu_system_us),
            },
            // A server without counters has delivered what the clients received.
            messages: if end.metered { grown(|usage| usage.messages) } else { run.window.delivered },
            batches: grown(|usage| usage.batches),
            reads: grown(|usage| usage.socket_reads),
            writes: grown(|usage| usage.socket_writes),
            up: grown(|usage| usage.up.total),
            down: grown(|usage| usage.down.total),
        })
    }

    /// A counter per message; `None` for a server that does not count.
    pub(crate) fn per_message(&self, of: fn(&Self) -> u64) -> Option<f64> {
        ratio(of(self), self.messages).filter(|_| self.metered)
    }
}

/// Server CPU over the window.
pub fn server_cpu_us(run: &RunRecord) -> Option<f64> {
    Some(ServerWindow::of(run)?.cpu.total_us() as f64)
}

pub(super) fn cpu_per_message(run: &RunRecord) -> Option<f64> {
    let window = ServerWindow::of(run)?;
    ratio(window.cpu.total_us(), window.messages)
}

pub(super) fn user_cpu_per_message(run: &RunRecord) -> Option<f64> {
    let window = ServerWindow::of(run)?;
    ratio(window.cpu.user_us, window.messages)
}

pub(super) fn cpu_per_client_second(run: &RunRecord) -> Option<f64> {
    per_second(run, server_cpu_us(run)? / f64::from(run.planned.seats.max(1)))
}

pub(super) fn core_usage(run: &RunRecord) -> Option<f64> {
    per_second(run, server_cpu_us(run)? / 1e6)
}

pub(super) fn memory_per_connection(run: &RunRecord) -> Option<f64> {
    ratio(memory_growth(run)?, connections_opened(run)?)
}

pub(super) fn memory_per_client(run: &RunRecord) -> Option<f64> {
    ratio(memory_growth(run)?, run.planned.seats.into())
}

/// Connections the server had when all clients were connected, less those before; for a server that does not say, one per client.
pub(crate) fn connections_opened(run: &RunRecord) -> Option<u64> {
    let readings = run.server.as_ref()?;
    if !readings.settled.metered {
        return Some(run.planned.seats.into());
    }
    readings.settled.connections_open.checked_sub(readings.begin.connections_open)
}

/// What the server's resident memory grew by for them.
pub(crate) fn memory_growth(run: &RunRecord) -> Option<u64> {
    let readings = run.server.as_ref()?;
    readings.settled.process.resident_bytes.checked_sub(readings.begin.process.resident_bytes)
}
