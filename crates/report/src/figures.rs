//! The headline figures of one run, each from its readings. What was not measured is `None`.

use results::{Direction, RunRecord, Series};
use wire::{TransportUsage, Usage};

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
    /// HTTP requests for each of them.
    pub requests_per_message: Option<f64>,
    /// Writes on the server's sockets for each of them.
    pub writes_per_message: Option<f64>,
    /// Messages that share a response, chunk or write.
    pub messages_per_batch: Option<f64>,
    /// Requests that found nothing, of all.
    pub empty_share: Option<f64>,
    /// Server memory for each idle connection.
    pub server_bytes_per_connection: Option<f64>,
}

impl Figures {
    /// Computes them.
    pub fn of(record: &RunRecord) -> Self {
        let delivered = record.window.delivered;
        let per_message = |total: u64| (delivered > 0).then(|| total as f64 / delivered as f64);
        let server = record.server.as_ref();
        let window = server.map(|readings| Difference::of(&readings.window_start, &readings.window_end, record));
        let by_server = |of: fn(&Difference) -> u64| {
            let window = window.as_ref().filter(|window| window.messages > 0)?;
            Some(of(window) as f64 / window.messages as f64)
        };
        // A client that keeps its headers to itself leaves the counting to the server.
        let exact = record.client == "lean";
        Self {
            delivered_per_s: delivered as f64 * 1e6 / record.generator.window_us.max(1) as f64,
            server_cpu_us_per_message: by_server(|window| window.cpu_us),
            server_user_us_per_message: by_server(|window| window.user_us),
            generator_cpu_us_per_message: per_message(record.generator.cpu.total_us()),
            down_bytes_per_message: if exact {
                per_message(record.window.total(Direction::Down))
            } else {
                by_server(|window| window.down)
            },
            up_bytes_per_message: if exact {
                per_message(record.window.total(Direction::Up))
            } else {
                by_server(|window| window.up)
            },
            requests_per_message: per_message(record.window.requests),
            writes_per_message: by_server(|window| window.writes),
            messages_per_batch: window
                .as_ref()
                .filter(|window| window.batches > 0)
                .map(|window| window.messages as f64 / window.batches as f64),
            empty_share: (record.window.requests > 0)
                .then(|| record.window.empty_answers as f64 / record.window.requests as f64),
            server_bytes_per_connection: server.and_then(|readings| {
                let opened = readings.settled.connections_open.checked_sub(readings.begin.connections_open)?;
                let grown =
                    readings.settled.process.resident_bytes.checked_sub(readings.begin.process.resident_bytes)?;
                (opened > 0).then(|| grown as f64 / opened as f64)
            }),
        }
    }
}

/// A quantile of a series in microseconds, if the run can carry it.
pub(crate) fn quantile(record: &RunRecord, series: Series, name: &str) -> Option<results::Quantile> {
    record.latency.get(&series)?.quantiles.get(name).copied()
}

struct Difference {
    cpu_us: u64,
    user_us: u64,
    messages: u64,
    batches: u64,
    writes: u64,
    up: u64,
    down: u64,
}

impl Difference {
    fn of(start: &Usage, end: &Usage, record: &RunRecord) -> Self {
        let cpu = |usage: &Usage| usage.process.cpu_user_us + usage.process.cpu_system_us;
        let transport = |usage: &Usage| usage.transports.get(record.transport.name()).copied().unwrap_or_default();
        let (before, after): (TransportUsage, TransportUsage) = (transport(start), transport(end));
        // A server without counters has delivered what the clients saw.
        let messages =
            if end.metered { after.messages - before.messages.min(after.messages) } else { record.window.delivered };
        Self {
            cpu_us: cpu(end).saturating_sub(cpu(start)),
            user_us: end.process.cpu_user_us.saturating_sub(start.process.cpu_user_us),
            messages,
            batches: after.batches.saturating_sub(before.batches),
            up: after.up.total.saturating_sub(before.up.total),
            down: after.down.total.saturating_sub(before.down.total),
            writes: after.socket_writes.saturating_sub(before.socket_writes),
        }
    }
}
