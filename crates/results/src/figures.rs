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
            server_bytes_per_connection: record.server_bytes_grown().and_then(per_connection),
            server_bytes_per_client: (record.server_bytes_grown())
                .map(|bytes| bytes as f64 / f64::from(record.planned.seats.max(1))),
        }
    }
}

/// A quantile of a series in microseconds, if the run can carry it.
pub fn quantile(record: &RunRecord, series: Series, name: &str) -> Option<Quantile> {
    record.latency.get(&series)?.quantiles.get(name).copied()
}

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

    /// What the server's memory grew by for them.
    pub(crate) fn server_bytes_grown(&self) -> Option<u64> {
        let readings = self.server.as_ref()?;
        readings.settled.process.resident_bytes.checked_sub(readings.begin.process.resident_bytes)
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
