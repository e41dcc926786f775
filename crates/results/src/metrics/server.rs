//! What a server says of its CPU and memory, and what the kernel says of its process.

use wire::{BytesUsage, ServerStats, TransportUsage};

use super::{per_second, ratio};
use crate::{Cpu, Direction, RunRecord};

/// Connections that a server has served before a run, as a share of the run's: their memory makes
/// the metric at most this much too small.
const SERVED_BEFORE_SHARE_MAX: f64 = 0.05;
/// Growth that says nothing about the clients. The first connection of a process takes this much,
/// once, and the next ones use the rest.
const SLACK_BYTES: u64 = 64 << 10;
/// Where a server counts what never became a transport's, such as the readings of its stats.
const OTHER: &str = "other";

/// What the server counted from the first slice to the last, lead-ins and drains included.
pub(crate) struct ServerWindow {
    /// Whether it counts anything but its CPU.
    pub(crate) metered: bool,
    /// By ticks of 10 ms, so that it is right for a whole round only.
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
        let samples = run.server.as_ref()?;
        let (start, end) = samples.start.as_ref().zip(samples.end.as_ref())?;
        let grown = |of: &dyn Fn(&ServerStats) -> u64| of(end).saturating_sub(of(start));
        let counted =
            |of: fn(&TransportUsage) -> u64| grown(&|stats| stats.transports.get(run.transport.name()).map_or(0, of));
        let metered = end.metered;
        Some(Self {
            metered,
            cpu: Cpu {
                user_us: grown(&|stats| stats.process.cpu_user_us),
                system_us: grown(&|stats| stats.process.cpu_system_us),
            },
            // A server without counters has delivered what the clients received.
            messages: if metered { counted(|usage| usage.messages) } else { run.total.delivered },
            batches: counted(|usage| usage.batches),
            reads: counted(|usage| usage.socket_reads),
            writes: counted(|usage| usage.socket_writes),
            up: counted(|usage| usage.up.total),
            down: counted(|usage| usage.down.total),
        })
    }

    /// A counter per message; `None` for a server that does not count.
    pub(crate) fn per_message(&self, of: fn(&Self) -> u64) -> Option<f64> {
        ratio(of(self), self.messages).filter(|_| self.metered)
    }
}

/// Server CPU per delivered message: in the windows where the CPU clock of its process could be
/// read, else from its own statistics.
pub(super) fn cpu_per_message(run: &RunRecord) -> Option<f64> {
    match run.server_cpu_ns() {
        Some(ns) => ratio(ns, run.window().delivered).map(|ns| ns / 1e3),
        None => {
            let window = ServerWindow::of(run)?;
            ratio(window.cpu.total_us(), window.messages)
        }
    }
}

/// Server CPU in the windows.
pub fn server_cpu_us(run: &RunRecord) -> Option<f64> {
    run.server_cpu_ns().map(|ns| ns as f64 / 1e3)
}

pub(super) fn user_cpu_per_message(run: &RunRecord) -> Option<f64> {
    let window = ServerWindow::of(run)?;
    ratio(window.cpu.user_us, window.messages)
}

pub(super) fn cpu_per_client_second(run: &RunRecord) -> Option<f64> {
    per_second(run, server_cpu_us(run)? / f64::from(run.planned.clients.max(1)))
}

pub(super) fn core_usage(run: &RunRecord) -> Option<f64> {
    per_second(run, server_cpu_us(run)? / 1e6)
}

pub(super) fn memory_per_connection(run: &RunRecord) -> Option<f64> {
    ratio(run.server_memory_bytes()?.ok()?, connections_opened(run)?)
}

pub(super) fn memory_per_client(run: &RunRecord) -> Option<f64> {
    ratio(run.server_memory_bytes()?.ok()?, run.planned.clients.into())
}

/// Connections the server had when all clients were connected, less those before; for a server that
/// does not say, one per client.
pub(crate) fn connections_opened(run: &RunRecord) -> Option<u64> {
    let readings = run.server.as_ref()?;
    if !readings.settled.metered {
        return Some(run.planned.clients.into());
    }
    readings.settled.connections_open.checked_sub(readings.begin.connections_open)
}

impl RunRecord {
    /// Bytes that the server counted from the first slice to the last, by class; `None` for a server that
    /// does not count.
    pub fn server_bytes(&self, direction: Direction) -> Option<BytesUsage> {
        let samples = self.server.as_ref()?;
        let (start, end) = samples.start.as_ref().zip(samples.end.as_ref().filter(|end| end.metered))?;
        let [start, end] = [start, end].map(|stats| {
            let transport = stats.transports.get(self.transport.name()).copied().unwrap_or_default();
            if direction == Direction::Up { transport.up } else { transport.down }
        });
        Some(BytesUsage {
            total: end.total.saturating_sub(start.total),
            payload: end.payload.saturating_sub(start.payload),
            envelope: end.envelope.saturating_sub(start.envelope),
            framing: end.framing.saturating_sub(start.framing),
            headers: end.headers.saturating_sub(start.headers),
        })
    }

    /// The memory that the server took for the clients, or why it is unknown; `None` where it was
    /// not read. Memory that was freed stays with the process and serves the next connections: only
    /// a process that has served no clients shows what they take.
    pub fn server_memory_bytes(&self) -> Option<Result<u64, &'static str>> {
        let readings = self.server.as_ref()?;
        let (begin, settled) = (&readings.begin, &readings.settled);
        let served = begin.transports.iter().filter(|(name, _)| *name != OTHER).map(|(_, one)| one.connections_opened);
        let served = served.fold(0, u64::saturating_add) as f64;
        let is_fresh = if begin.metered {
            served <= SERVED_BEFORE_SHARE_MAX * connections_opened(self).unwrap_or(0) as f64
        } else {
            readings.started
        };
        if !is_fresh {
            return Some(Err("the server may have served connections before the run, and use their memory again"));
        }
        let idle = readings.idle_resident_bytes.unwrap_or(begin.process.resident_bytes);
        let slack = SLACK_BYTES.max(idle.abs_diff(begin.process.resident_bytes));
        let grown = settled.process.resident_bytes.checked_sub(begin.process.resident_bytes);
        Some(grown.filter(|grown| *grown > slack).ok_or("it grew by no more than what a process may have spare"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with 100 clients and 4,000 bytes per client.
    fn record() -> RunRecord {
        crate::invented::results_folder(&[100]).runs.remove(0).record
    }

    fn known(change: impl Fn(&mut crate::ServerSamples)) -> Option<f64> {
        let mut record = record();
        change(record.server.as_mut().unwrap());
        let memory = record.server_memory_bytes().unwrap();
        assert_eq!(memory_per_client(&record).is_some(), memory.is_ok());
        memory_per_connection(&record)
    }

    #[test]
    fn memory_is_known_of_a_process_without_earlier_connections() {
        let served = |readings: &mut crate::ServerSamples, connections: u64| {
            let used = TransportUsage { connections_opened: connections, ..TransportUsage::default() };
            readings.begin.transports.insert("sse".to_owned(), used);
            readings.begin.transports.insert(OTHER.to_owned(), TransportUsage { connections_opened: 1_000, ..used });
        };
        assert_eq!(known(|_| {}), Some(4_000.0));
        assert_eq!(known(|readings| served(readings, 5)), Some(4_000.0), "too few to matter");
        assert_eq!(known(|readings| served(readings, 6)), None);
        let found = |readings: &mut crate::ServerSamples, metered: bool| {
            readings.started = false;
            (readings.begin.metered, readings.settled.metered) = (metered, metered);
        };
        assert_eq!(
            known(|readings| found(readings, true)),
            Some(4_000.0),
            "the server reports that it had no connections"
        );
        assert_eq!(known(|readings| found(readings, false)), None);
    }

    #[test]
    fn memory_that_a_process_may_have_had_spare_is_not_counted() {
        let grown = |readings: &mut crate::ServerSamples, bytes: u64| {
            readings.settled.process.resident_bytes = readings.begin.process.resident_bytes + bytes;
        };
        assert_eq!(known(|readings| grown(readings, 65_536)), None);
        assert_eq!(known(|readings| grown(readings, 65_600)), Some(656.0));
        assert_eq!(known(|readings| readings.settled.process.resident_bytes = 0), None);
        let idle = |bytes| move |readings: &mut crate::ServerSamples| readings.idle_resident_bytes = Some(bytes);
        let begin = record().server.unwrap().begin.process.resident_bytes;
        assert_eq!(known(idle(begin - 399_999)), Some(4_000.0));
        assert_eq!(known(idle(begin + 400_000)), None, "the memory of the idle server changed by as much");
        let mut unread = record();
        unread.server = None;
        assert_eq!((unread.server_memory_bytes(), memory_per_connection(&unread)), (None, None));
    }
}
