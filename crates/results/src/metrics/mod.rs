//! Every metric of a run, one row each. The names in files, the headings of tables, what a claim
//! may name, the metrics of a gate and every list of them in a README or a `--help` follow from
//! this table.

mod server;
mod traffic;

use serde::{Deserialize, Serialize};

use self::server::{
    core_usage, cpu_per_client_second, cpu_per_message, memory_per_client, memory_per_connection, user_cpu_per_message,
};
use self::traffic::{
    down_bytes, empty_share, framing_bytes, header_bytes, header_bytes_per_empty_poll, messages_per_batch,
    overhead_share, tcp_ip_bytes, up_bytes, writes,
};
use crate::{LogUsage, Mode, Quantile, RunRecord, Series, Slice};

pub use self::server::server_cpu_us;
pub(crate) use self::server::{ServerWindow, connections_opened};

/// The unit of a metric in every file; pages show a share as per cent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// As it stands in a heading.
    pub symbol: &'static str,
    /// Factor from the value in files to the value on pages.
    pub factor: f64,
}

/// Which direction of a change is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Less of it.
    Less,
    /// More of it.
    More,
}

/// Where the value comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A quantile of a series, by its name in the record; it brings the interval of its own sample.
    Quantile(Series, &'static str),
    /// Computed from the record.
    Value(fn(&RunRecord) -> Option<f64>),
}

/// What is known of a metric.
#[derive(Debug, Clone, Copy)]
pub struct MetricInfo {
    /// In files, scenarios and on the command line; it ends with the unit.
    pub name: &'static str,
    /// See [`Unit`].
    pub unit: Unit,
    /// See [`Better`].
    pub better: Better,
    /// A few words for the head of a column.
    pub label: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// See [`Source`].
    pub source: Source,
    /// The smallest change that matters to a gate, as a share; a metric without one is shown and
    /// never gated.
    pub gate: Option<f64>,
    /// Whether it is the same in every slice of a server, so that a gate compares it without a test.
    pub is_count: bool,
}

macro_rules! metrics {
    ($($variant:ident $name:literal $unit:ident $better:ident $label:literal $help:literal = $source:expr $(, $judged:ident $gate:literal)?;)*) => {
        /// A metric of one run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema, Serialize, Deserialize)]
        pub enum MetricId {
            $(#[doc = $help] #[serde(rename = $name)] $variant,)*
        }

        impl MetricId {
            /// All of them, in the order of tables.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }

        const INFO: &[MetricInfo] = &[$(MetricInfo {
            name: $name,
            unit: $unit,
            better: Better::$better,
            label: $label,
            help: $help,
            source: $source,
            gate: metrics!(@gate $($gate)?),
            is_count: metrics!(@count $($judged)?),
        },)*];
    };
    (@gate) => { None };
    (@gate $gate:literal) => { Some($gate) };
    (@count count) => { true };
    (@count $($gate:ident)?) => { false };
}

const fn unit(symbol: &'static str) -> Unit {
    Unit { symbol, factor: 1.0 }
}

const fn share(symbol: &'static str) -> Unit {
    Unit { symbol, factor: 100.0 }
}

const MS: Unit = unit("ms");
const US_PER_MESSAGE: Unit = unit("µs/message");
const US_PER_CLIENT_SECOND: Unit = unit("µs/client-second");
const PER_SECOND: Unit = unit("/s");
const PER_MESSAGE: Unit = unit("/message");
const PER_BATCH: Unit = unit("messages/batch");
const BYTES_PER_MESSAGE: Unit = unit("B/message");
const BYTES_PER_EMPTY_POLL: Unit = unit("B/empty poll");
const BYTES_PER_CONNECTION: Unit = unit("B/connection");
const BYTES_PER_CLIENT: Unit = unit("B/client");
const OF_PLANNED: Unit = share("% of planned");
const OF_SESSIONS: Unit = share("% of sessions");
const OF_A_CORE: Unit = share("% of a core");
const OF_BYTES: Unit = share("% of bytes");
const OF_READS: Unit = share("% of reads");

use Series::{
    AckLatency, ConnectTime, DeliveryLatency, DeliveryLatencyFromSend, FanoutSpread, ReconnectTime, SendDelay,
    UpgradeTime,
};
use Source::{Quantile as Q, Value};

metrics! {
    OfferedPerS "offered_per_s" PER_SECOND More "offered" "Deliveries per second that the plan asks for" = Value(offered_per_s);
    DeliveredPerS "delivered_per_s" PER_SECOND More "delivered" "Messages delivered per second of the measurement window" = Value(delivered_per_s), gate 0.05;
    DeliveredShare "delivered_share" OF_PLANNED More "delivered" "Messages delivered in the window, of those planned for it" = Value(delivered_share);

    DeliveryMean "delivery_mean_ms" MS Less "mean" "Mean delivery latency" = Value(|r| Some(r.latency.get(&DeliveryLatency)?.mean_us / 1e3));
    DeliveryP50 "delivery_p50_ms" MS Less "p50" "Median delivery latency, from when the post was scheduled to when a client had decoded the message" = Q(DeliveryLatency, "p50"), gate 0.10;
    DeliveryP90 "delivery_p90_ms" MS Less "p90" "Delivery latency, 90th percentile" = Q(DeliveryLatency, "p90");
    DeliveryP99 "delivery_p99_ms" MS Less "p99" "Delivery latency, 99th percentile" = Q(DeliveryLatency, "p99"), gate 0.25;
    DeliveryP999 "delivery_p99_9_ms" MS Less "p99.9" "Delivery latency, 99.9th percentile" = Q(DeliveryLatency, "p99_9");
    DeliveryP9999 "delivery_p99_99_ms" MS Less "p99.99" "Delivery latency, 99.99th percentile" = Q(DeliveryLatency, "p99_99");
    DeliveryMax "delivery_max_ms" MS Less "longest" "Longest delivery latency" = Value(|r| longest(r, DeliveryLatency));
    DeliveryFromSendP50 "delivery_from_send_p50_ms" MS Less "p50 sent" "Median latency from when the post was sent: blind to what its sender had to wait for" = Q(DeliveryLatencyFromSend, "p50");
    DeliveryFromSendP99 "delivery_from_send_p99_ms" MS Less "p99 sent" "Latency from when the post was sent, 99th percentile" = Q(DeliveryLatencyFromSend, "p99");
    SendDelayP50 "send_delay_p50_ms" MS Less "delay p50" "Median time from when a post was scheduled to when it was sent" = Q(SendDelay, "p50");
    SendDelayP99 "send_delay_p99_ms" MS Less "delay p99" "Time from when a post was scheduled to when it was sent, 99th percentile" = Q(SendDelay, "p99");
    AckP50 "ack_p50_ms" MS Less "ack p50" "Median time from when a post was sent to when its sender knew that the server has it" = Q(AckLatency, "p50");
    AckP99 "ack_p99_ms" MS Less "ack p99" "Time from when a post was sent to when its sender knew that the server has it, 99th percentile" = Q(AckLatency, "p99");
    ConnectP50 "connect_p50_ms" MS Less "connect p50" "Median time from the first packet of a connection to having joined the room" = Q(ConnectTime, "p50");
    ConnectMax "connect_max_ms" MS Less "connect max" "Longest time from the first packet of a connection to having joined the room" = Value(|r| longest(r, ConnectTime));
    FanoutSpreadP50 "fanout_spread_p50_ms" MS Less "spread p50" "Median time from the first to the last receiver of a message; one message in eight is observed" = Q(FanoutSpread, "p50");
    FanoutSpreadP99 "fanout_spread_p99_ms" MS Less "spread p99" "Time from the first to the last receiver of a message, 99th percentile" = Q(FanoutSpread, "p99");
    ReconnectP50 "reconnect_p50_ms" MS Less "reconnect p50" "Median time from the end of a connection to the next message received" = Q(ReconnectTime, "p50");
    ReconnectMax "reconnect_max_ms" MS Less "reconnect max" "Longest time from the end of a connection to the next message received" = Value(|r| longest(r, ReconnectTime));
    UpgradeP50 "upgrade_p50_ms" MS Less "upgrade p50" "Median time from the start of a Socket.IO session on polling to its first packet on the WebSocket" = Q(UpgradeTime, "p50");
    UpgradedShare "upgraded_share" OF_SESSIONS More "upgraded" "Socket.IO sessions that moved to a WebSocket, of those that tried" = Value(upgraded_share);

    ServerCpuPerMessage "server_cpu_us_per_message" US_PER_MESSAGE Less "server CPU" "Server CPU time per delivered message" = Value(cpu_per_message), gate 0.05;
    BackToBackCpuPerMessage "back_to_back_cpu_us_per_message" US_PER_MESSAGE Less "back to back" "Server CPU time per delivered message in lock-step: one room, one message in flight, the next post as soon as the last client has it" = Value(cpu_per_message), gate 0.02;
    BackToBackBytesPerMessage "back_to_back_bytes_per_message" BYTES_PER_MESSAGE Less "exact bytes" "Bytes in both directions per delivered message in lock-step, counted by the load generator" = Value(|r| per_message(r, r.window().total_both())), count 0.001;
    BackToBackRequestsPerMessage "back_to_back_requests_per_message" PER_MESSAGE Less "exact requests" "HTTP requests, posts included, per delivered message in lock-step" = Value(|r| per_message(r, r.window().requests)), count 0.001;
    ServerCpuUserPerMessage "server_cpu_user_us_per_message" US_PER_MESSAGE Less "server user CPU" "Server CPU time in user mode per delivered message" = Value(user_cpu_per_message);
    ServerCpuPerClientSecond "server_cpu_us_per_client_s" US_PER_CLIENT_SECOND Less "server CPU" "Server CPU time per connected client and second" = Value(cpu_per_client_second);
    ServerCoreUsage "server_core_usage" OF_A_CORE Less "server busy" "Server CPU time of the window, as a share of one core" = Value(core_usage);
    GeneratorCpuPerMessage "generator_cpu_us_per_message" US_PER_MESSAGE Less "generator CPU" "CPU time of the load generator per delivered message, to be compared with the server's" = Value(generator_cpu);

    LogCpuPerMessage "log_cpu_us_per_message" US_PER_MESSAGE Less "log CPU" "CPU time of the log that the servers share per delivered message" = Value(|r| of_log(r, |log| log.cpu_us));
    LogCommandsPerMessage "log_commands_per_message" PER_MESSAGE Less "log commands" "Commands in the log that the servers share per delivered message, those within scripts included" = Value(|r| of_log(r, |log| log.commands));
    LogBytesInPerMessage "log_in_bytes_per_message" BYTES_PER_MESSAGE Less "into the log" "Bytes from the servers to the log that they share per delivered message" = Value(|r| of_log(r, |log| log.bytes_in));
    LogBytesOutPerMessage "log_out_bytes_per_message" BYTES_PER_MESSAGE Less "out of the log" "Bytes to the servers from the log that they share per delivered message" = Value(|r| of_log(r, |log| log.bytes_out));

    DownBytesPerMessage "down_bytes_per_message" BYTES_PER_MESSAGE Less "down" "Bytes to the clients per delivered message, everything above TCP included" = Value(down_bytes);
    UpBytesPerMessage "up_bytes_per_message" BYTES_PER_MESSAGE Less "up" "Bytes to the server per delivered message, everything above TCP included" = Value(up_bytes);
    TcpIpBytesPerMessage "tcp_ip_bytes_per_message" BYTES_PER_MESSAGE Less "TCP/IP" "Bytes of TCP and IP headers in both directions per delivered message" = Value(tcp_ip_bytes);
    FramingBytesPerMessage "framing_bytes_per_message" BYTES_PER_MESSAGE Less "framing" "Framing bytes of deliveries per delivered message" = Value(framing_bytes);
    HeaderBytesPerMessage "header_bytes_per_message" BYTES_PER_MESSAGE Less "headers" "Headers of read requests and their responses in both directions per delivered message" = Value(header_bytes);
    HeaderBytesPerEmptyPoll "header_bytes_per_empty_poll" BYTES_PER_EMPTY_POLL Less "headers" "Headers of a read request that found nothing and of its response" = Value(header_bytes_per_empty_poll);
    OverheadShare "overhead_share" OF_BYTES Less "overhead" "Bytes of deliveries and empty responses in both directions that are not message text, of all of them" = Value(overhead_share);

    RequestsPerMessage "requests_per_message" PER_MESSAGE Less "requests" "HTTP requests, posts included, per delivered message" = Value(|r| per_message(r, r.window().requests));
    RequestsPerS "requests_per_s" PER_SECOND Less "requests" "HTTP requests, posts included, per second of the window" = Value(|r| per_second(r, r.window().requests as f64));
    RequestsPeakPerS "requests_peak_per_s" PER_SECOND Less "requests, busiest second" "HTTP requests, posts included, in the busiest second" = Value(requests_peak);
    WritesPerMessage "writes_per_message" PER_MESSAGE Less "writes" "Writes on the server's sockets per delivered message" = Value(writes);
    MessagesPerBatch "messages_per_batch" PER_BATCH More "together" "Messages that share a response, chunk or write" = Value(messages_per_batch);
    EmptyShare "empty_share" OF_READS Less "empty" "Read requests that found nothing, of all read requests" = Value(empty_share);
    ConnectionsPerS "connections_per_s" PER_SECOND Less "connections opened" "Connections opened per second of the window" = Value(|r| per_second(r, r.window().connections as f64));

    ServerBytesPerConnection "server_bytes_per_connection" BYTES_PER_CONNECTION Less "server memory" "Server memory per idle connection" = Value(memory_per_connection), gate 0.05;
    ServerBytesPerClient "server_bytes_per_client" BYTES_PER_CLIENT Less "server memory" "Server memory per idle client, however many connections it has" = Value(memory_per_client);
}

impl MetricId {
    /// Its row of the table.
    pub const fn info(self) -> &'static MetricInfo {
        &INFO[self as usize]
    }

    /// Its name in files, scenarios and on the command line.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// The value of a run; `None` when it was not measured or the sample is too small for it.
    pub fn value(self, run: &RunRecord) -> Option<f64> {
        if run.mode != self.mode() {
            return None;
        }
        match self.info().source {
            Source::Quantile(..) => self.quantile(run).map(|quantile| quantile.us as f64 / 1e3),
            Source::Value(of) => of(run),
        }
    }

    /// The mode of the runs that have it.
    pub const fn mode(self) -> Mode {
        match self {
            Self::BackToBackCpuPerMessage | Self::BackToBackBytesPerMessage | Self::BackToBackRequestsPerMessage => {
                Mode::LockStep
            }
            _ => Mode::Load,
        }
    }

    /// The value in one slice; `None` for a metric that needs more than a slice.
    pub fn in_slice(self, slice: &Slice) -> Option<f64> {
        let per_message = |total: f64| Some(total / slice.traffic.delivered as f64).filter(|value| value.is_finite());
        match self {
            Self::DeliveryP50 => slice.delivery_p50_us.map(|us| us as f64 / 1e3),
            Self::DeliveredPerS => Some(slice.traffic.delivered as f64 * 1e6 / slice.window_us.max(1) as f64),
            Self::ServerCpuPerMessage | Self::BackToBackCpuPerMessage => per_message(slice.server_cpu_ns? as f64 / 1e3),
            Self::BackToBackBytesPerMessage => per_message(slice.traffic.total_both() as f64),
            Self::BackToBackRequestsPerMessage => per_message(slice.traffic.requests as f64),
            Self::ServerCoreUsage => Some(slice.server_cpu_ns? as f64 / 1e3 / slice.window_us.max(1) as f64),
            Self::GeneratorCpuPerMessage => per_message(slice.generator_cpu.total_us() as f64),
            _ => None,
        }
    }

    /// The quantile behind the value, with the interval of this run alone; `None` for a metric that
    /// is none.
    pub fn quantile(self, run: &RunRecord) -> Option<Quantile> {
        match self.info().source {
            Source::Quantile(series, name) => run.latency.get(&series)?.quantiles.get(name).copied(),
            Source::Value(_) => None,
        }
    }

    /// Metrics that a gate judges.
    pub fn gated() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|metric| metric.info().gate.is_some())
    }
}

/// All metrics as a Markdown table: what the READMEs show.
pub fn metrics_markdown() -> String {
    let rows = MetricId::ALL.iter().map(|metric| {
        let info = metric.info();
        format!("| `{}` | {} | {} |\n", info.name, info.label, info.help)
    });
    format!("| metric | heading | what it is |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn per_message(run: &RunRecord, total: u64) -> Option<f64> {
    ratio(total, run.window().delivered)
}

fn per_second(run: &RunRecord, total: f64) -> Option<f64> {
    (run.window_us() > 0).then(|| total * 1e6 / run.window_us() as f64)
}

fn longest(run: &RunRecord, series: Series) -> Option<f64> {
    Some(run.latency.get(&series)?.max_us as f64 / 1e3)
}

fn offered_per_s(run: &RunRecord) -> Option<f64> {
    ratio(run.planned.deliveries_in_window, run.planned_window_us()).map(|per_us| per_us * 1e6)
}

fn delivered_per_s(run: &RunRecord) -> Option<f64> {
    per_second(run, run.window().delivered as f64)
}

fn delivered_share(run: &RunRecord) -> Option<f64> {
    let delivered = run.slices.iter().map(|slice| slice.traffic.delivered).sum();
    ratio(delivered, run.planned.deliveries_in_window)
}

fn upgraded_share(run: &RunRecord) -> Option<f64> {
    ratio(run.total.upgrades, run.total.upgrades + run.total.upgrades_refused)
}

fn generator_cpu(run: &RunRecord) -> Option<f64> {
    per_message(run, run.generator_cpu().total_us())
}

/// The log is read before the first slice and after the last; between slices no message passes.
fn of_log(run: &RunRecord, of: fn(&LogUsage) -> u64) -> Option<f64> {
    ratio(of(run.log.as_ref()?), run.total.since(&run.set_up).delivered)
}

fn requests_peak(run: &RunRecord) -> Option<f64> {
    run.seconds.iter().map(|second| second.requests as f64).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_metric_has_its_own_row() {
        let names: HashSet<_> = MetricId::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!((names.len(), INFO.len()), (MetricId::ALL.len(), MetricId::ALL.len()));
        for metric in MetricId::ALL {
            let info = metric.info();
            assert_eq!(serde_json::to_value(metric).unwrap(), info.name);
            assert!(
                info.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                "{}",
                info.name
            );
            assert!(!info.help.contains('|') && !info.help.ends_with('.'), "{}", info.help);
        }
    }

    #[test]
    fn the_unit_is_the_end_of_the_name() {
        for metric in MetricId::ALL {
            let info = metric.info();
            let end = match info.unit {
                MS => "_ms",
                unit if unit.factor > 1.0 => {
                    if info.name.ends_with("_usage") {
                        "_usage"
                    } else {
                        "_share"
                    }
                }
                PER_SECOND => "_per_s",
                US_PER_MESSAGE | BYTES_PER_MESSAGE | PER_MESSAGE => "_per_message",
                US_PER_CLIENT_SECOND => "_per_client_s",
                PER_BATCH => "_per_batch",
                BYTES_PER_EMPTY_POLL => "_per_empty_poll",
                BYTES_PER_CONNECTION => "_per_connection",
                _ => "_per_client",
            };
            assert!(info.name.ends_with(end), "{} is in {}", info.name, info.unit.symbol);
        }
    }
}
