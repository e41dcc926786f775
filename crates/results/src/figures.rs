//! The headline figures of one run, each from its readings. What was not measured is `None`.

use wire::{Transport, TransportUsage, Usage};

use crate::{Cpu, Direction, Kernel, Quantile, RunRecord, Series};

/// What one run says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Messages that arrived in a second of the window.
    pub delivered_per_s: f64,
    /// Server CPU for each of them.
    pub server_cpu_us_per_message: Option<f64>,
    /// The part of it in user mode.
    pub server_user_us_per_message: Option<f64>,
    /// Generator CPU for each of them.
    pub generator_cpu_us_per_message: Option<f64>,
    /// Bytes to the clients, everything included, for each of them.
    pub down_bytes_per_message: Option<f64>,
    /// Bytes to the server, everything included, for each of them.
    pub up_bytes_per_message: Option<f64>,
    /// Bytes of TCP and IP headers, both ways, acknowledgements included, for each of them.
    pub tcp_ip_bytes_per_message: Option<f64>,
    /// HTTP requests for each of them.
    pub requests_per_message: Option<f64>,
    /// Writes on the server's sockets for each of them.
    pub writes_per_message: Option<f64>,
    /// Messages that share a response, chunk or write; of a server that does not count, a read of their receiver.
    pub messages_per_batch: Option<f64>,
    /// Requests that asked for messages and found none, of all that asked.
    pub empty_share: Option<f64>,
    /// Server memory for each idle connection.
    pub server_bytes_per_connection: Option<f64>,
    /// Server memory for each idle client, however many connections it has.
    pub server_bytes_per_client: Option<f64>,
}

impl Figures {
    /// Computes them.
    pub fn of(record: &RunRecord) -> Self {
        let delivered = record.window.delivered;
        let per_message = |total: u64| (delivered > 0).then(|| total as f64 / delivered as f64);
        let window = ServerWindow::of(record);
        let by_server = |of: fn(&ServerWindow) -> u64| {
            let window = window.as_ref().filter(|window| window.messages > 0)?;
            Some(of(window) as f64 / window.messages as f64)
        };
        let metered = window.as_ref().is_some_and(|window| window.metered);
        let by_counters = |of: fn(&ServerWindow) -> u64| by_server(of).filter(|_| metered);
        let exact = record.counts_all_bytes();
        let reads = record.reads();
        // A request there says several things, or answers a ping: how many asked is not counted.
        let asks_at_once = matches!(record.transport, Transport::SocketioPolling | Transport::Socketio);
        let memory = record.server_memory_bytes().and_then(Result::ok);
        let opened = record.connections_opened();
        let per_connection = |bytes: u64| Some(bytes as f64 / opened.filter(|opened| *opened > 0)? as f64);
        Self {
            delivered_per_s: delivered as f64 * 1e6 / record.generator.window_us.max(1) as f64,
            server_cpu_us_per_message: by_server(|window| window.cpu.total_us()),
            server_user_us_per_message: by_server(|window| window.cpu.user_us),
            generator_cpu_us_per_message: per_message(record.generator.cpu.total_us()),
            down_bytes_per_message: if exact {
                per_message(record.window.total(Direction::Down))
            } else {
                by_counters(|window| window.down)
            },
            up_bytes_per_message: if exact {
                per_message(record.window.total(Direction::Up))
            } else {
                by_counters(|window| window.up)
            },
            tcp_ip_bytes_per_message: record.kernel.and_then(|kernel| {
                per_message(kernel.header_bytes(Direction::Up).saturating_add(kernel.header_bytes(Direction::Down)))
            }),
            requests_per_message: per_message(record.window.requests),
            writes_per_message: by_counters(|window| window.writes),
            messages_per_batch: if window.as_ref().is_some_and(|window| window.metered) {
                by_counters(|window| window.batches).map(f64::recip).filter(|each| each.is_finite())
            } else {
                per_message(record.window.batches).map(f64::recip).filter(|each| each.is_finite())
            },
            empty_share: (reads > 0 && !asks_at_once).then(|| record.window.empty_answers as f64 / reads as f64),
            server_bytes_per_connection: memory.and_then(per_connection),
            server_bytes_per_client: memory.map(|bytes| bytes as f64 / f64::from(record.planned.seats.max(1))),
        }
    }
}

/// A quantile of a series in microseconds, if the run can carry it.
pub fn quantile(record: &RunRecord, series: Series, name: &str) -> Option<Quantile> {
    record.latency.get(&series)?.quantiles.get(name).copied()
}

/// Connections that a server has served before a run, as a share of the run's: their memory makes the figure at most so much too small.
const SERVED_BEFORE_SHARE_MAX: f64 = 0.05;
/// Growth that says nothing about the crowd. The first connection of a process takes that much, once, and the next ones use the rest of it.
const SLACK_BYTES: u64 = 64 << 10;
/// Where a server counts what never became a transport's, such as our own readings.
const OTHER: &str = "other";

impl RunRecord {
    /// A client that keeps its headers to itself leaves the counting of bytes to the server.
    pub fn counts_all_bytes(&self) -> bool {
        self.client == "lean"
    }

    /// Requests that asked for messages: all but those that post.
    pub fn reads(&self) -> u64 {
        let posts = if self.transport.posts_in_band() { 0 } else { self.window.posted };
        self.window.requests.saturating_sub(posts)
    }

    /// Connections the server had when everybody was there, less those before; of a server that does not say, one a client.
    pub(crate) fn connections_opened(&self) -> Option<u64> {
        let readings = self.server.as_ref()?;
        if !readings.settled.metered {
            return Some(self.planned.seats.into());
        }
        readings.settled.connections_open.checked_sub(readings.begin.connections_open)
    }

    /// What the server's memory grew by for them, or why that is not known; `None` where it was not read. Memory that was freed stays
    /// with the process and serves the next connections, so that only a process that has served nobody shows what a crowd takes.
    pub fn server_memory_bytes(&self) -> Option<Result<u64, &'static str>> {
        let readings = self.server.as_ref()?;
        let (begin, settled) = (&readings.begin, &readings.settled);
        let served = begin.transports.iter().filter(|(name, _)| *name != OTHER).map(|(_, one)| one.connections_opened);
        let served = served.fold(0, u64::saturating_add) as f64;
        let fresh = if begin.metered {
            served <= SERVED_BEFORE_SHARE_MAX * self.connections_opened().unwrap_or(0) as f64
        } else {
            readings.started
        };
        if !fresh {
            return Some(Err("the server may have served connections before the run, and use their memory again"));
        }
        let idle = readings.idle_resident_bytes.unwrap_or(begin.process.resident_bytes);
        let slack = SLACK_BYTES.max(idle.abs_diff(begin.process.resident_bytes));
        let grown = settled.process.resident_bytes.checked_sub(begin.process.resident_bytes);
        Some(grown.filter(|grown| *grown > slack).ok_or("it grew by no more than what a process may have spare"))
    }
}

impl Kernel {
    /// Bytes of TCP and IP headers one way.
    pub const fn header_bytes(&self, direction: Direction) -> u64 {
        let segments = match direction {
            Direction::Up => self.segments_up,
            Direction::Down => self.segments_down,
        };
        segments.saturating_mul(self.header_bytes_per_segment)
    }
}

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
    pub(crate) fn of(record: &RunRecord) -> Option<Self> {
        let readings = record.server.as_ref()?;
        let (start, end) = (&readings.window_start, &readings.window_end);
        let transport = |usage: &Usage| usage.transports.get(record.transport.name()).copied().unwrap_or_default();
        let (before, after): (TransportUsage, TransportUsage) = (transport(start), transport(end));
        let grown = |of: fn(&TransportUsage) -> u64| of(&after).saturating_sub(of(&before));
        Some(Self {
            metered: end.metered,
            cpu: Cpu {
                user_us: end.process.cpu_user_us.saturating_sub(start.process.cpu_user_us),
                system_us: end.process.cpu_system_us.saturating_sub(start.process.cpu_system_us),
            },
            // A server without counters has delivered what the clients saw.
            messages: if end.metered { grown(|usage| usage.messages) } else { record.window.delivered },
            batches: grown(|usage| usage.batches),
            reads: grown(|usage| usage.socket_reads),
            writes: grown(|usage| usage.socket_writes),
            up: grown(|usage| usage.up.total),
            down: grown(|usage| usage.down.total),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 clients, 4,000 bytes each.
    fn record() -> RunRecord {
        crate::invented::evidence(&[100]).runs.remove(0).record
    }

    fn known(change: impl Fn(&mut crate::ServerReadings)) -> Option<f64> {
        let mut record = record();
        change(record.server.as_mut().unwrap());
        let (figures, memory) = (Figures::of(&record), record.server_memory_bytes().unwrap());
        assert_eq!(figures.server_bytes_per_client.is_some(), memory.is_ok());
        figures.server_bytes_per_connection
    }

    #[test]
    fn memory_is_known_of_a_process_that_has_served_nobody() {
        let served = |readings: &mut crate::ServerReadings, connections: u64| {
            let used = TransportUsage { connections_opened: connections, ..TransportUsage::default() };
            readings.begin.transports.insert("sse".to_owned(), used);
            readings.begin.transports.insert(OTHER.to_owned(), TransportUsage { connections_opened: 1_000, ..used });
        };
        assert_eq!(known(|_| {}), Some(4_000.0));
        assert_eq!(known(|readings| served(readings, 5)), Some(4_000.0), "too few to matter");
        assert_eq!(known(|readings| served(readings, 6)), None);
        let found = |readings: &mut crate::ServerReadings, metered: bool| {
            readings.started = false;
            (readings.begin.metered, readings.settled.metered) = (metered, metered);
        };
        assert_eq!(known(|readings| found(readings, true)), Some(4_000.0), "it says itself that it has served nobody");
        assert_eq!(known(|readings| found(readings, false)), None);
    }

    #[test]
    fn memory_that_could_have_been_spare_is_nobody_s() {
        let grown = |readings: &mut crate::ServerReadings, bytes: u64| {
            readings.settled.process.resident_bytes = readings.begin.process.resident_bytes + bytes;
        };
        assert_eq!(known(|readings| grown(readings, 65_536)), None);
        assert_eq!(known(|readings| grown(readings, 65_600)), Some(656.0));
        assert_eq!(known(|readings| readings.settled.process.resident_bytes = 0), None);
        let restless = |bytes| move |readings: &mut crate::ServerReadings| readings.idle_resident_bytes = Some(bytes);
        let begin = record().server.unwrap().begin.process.resident_bytes;
        assert_eq!(known(restless(begin - 399_999)), Some(4_000.0));
        assert_eq!(known(restless(begin + 400_000)), None, "as much as it changes by itself");
        let mut unread = record();
        unread.server = None;
        assert_eq!((unread.server_memory_bytes(), Figures::of(&unread).server_bytes_per_connection), (None, None));
    }
}
