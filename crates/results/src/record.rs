//! One run on disk: every figure in one unit that its name says, nothing that cannot be traced to a reading.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::{Encoding, ServerStats, Transport};

use crate::{Cpu, Faults, LedgerSummary, RunEnd, RunVerdict, Second, Series, TrafficCounts};

/// Version of what is written.
pub const SCHEMA: u32 = 1;

/// One run of one transport.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of what is written.
    pub schema: u32,
    /// Place in the order of runs, from 1.
    pub run: u32,
    /// Which repetition, from 1.
    pub round: u32,
    /// Which repeat of it, 0 unless an earlier one was invalid.
    pub attempt: u32,
    /// Where in the sweep, empty without one.
    pub point: String,
    /// What was run.
    pub transport: Transport,
    /// Whose server: `pushbench` is ours.
    #[serde(default = "crate::subject::ours")]
    pub target: String,
    /// HTTP client of the generator; bytes other than bodies are only counted by `lean`.
    pub http_client: String,
    /// How messages were written.
    pub encoding: Encoding,
    /// What the figures may be used for.
    pub verdict: RunVerdict,
    /// How it ended.
    pub ended: RunEnd,
    /// What the plan wanted.
    pub planned: PlannedLoad,
    /// By series.
    pub latency: BTreeMap<Series, LatencySummary>,
    /// Values too large to tell apart.
    pub saturated: u64,
    /// Deliveries seen before they were due.
    pub negative: u64,
    /// The run by seconds.
    pub seconds: Vec<Second>,
    /// The generator's counts before T0.
    pub set_up: TrafficCounts,
    /// The generator's counts over the window.
    pub window: TrafficCounts,
    /// The generator's counts of the whole run.
    pub total: TrafficCounts,
    /// Who saw what.
    pub ledger: LedgerSummary,
    /// What broke.
    pub faults: Faults,
    /// What the instrument itself took.
    pub generator: GeneratorUsage,
    /// What the server said of itself; empty for one that says nothing.
    pub server: Option<ServerSamples>,
    /// What the kernel said of the crowd's sockets; empty where it was not asked.
    pub tcp: Option<TcpCounts>,
    /// What the kernel counted on the crowd's sockets over the whole run; the verdict holds `total` against it. Empty where the sockets are not the generator's own (`client` is `reqwest`) and in folders that were written before it was kept.
    #[serde(default)]
    pub tcp_total: Option<TcpBytes>,
    /// How fast the machine was, and what it took away.
    pub machine: MachineState,
}

/// What the plan wanted.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PlannedLoad {
    /// Simulated clients.
    pub clients: u32,
    /// Rooms they are in.
    pub rooms: u32,
    /// Bytes of text in a post.
    pub payload_bytes: u64,
    /// Length of the window.
    pub window_us: u64,
    /// Posts due in it.
    pub posts_in_window: u64,
    /// Posts of the plan due in it that left at all.
    pub posts_sent_in_window: u64,
    /// Those posts times their receivers.
    pub deliveries_in_window: u64,
}

/// A quantile with its 95 % interval by order statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Quantile {
    /// The sample's own.
    pub us: u64,
    /// Lower end.
    pub low_us: u64,
    /// Upper end.
    pub high_us: u64,
}

/// A series in figures; the whole of it is in the interval log.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Values recorded.
    pub samples: u64,
    /// Independent ones among them: messages, not deliveries.
    pub independent: u64,
    /// By name (`p50` …); those the sample cannot carry are missing.
    pub quantiles: BTreeMap<String, Quantile>,
    /// Largest value.
    pub max_us: u64,
    /// Mean.
    pub mean_us: f64,
}

/// What the instrument took.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct GeneratorUsage {
    /// CPU of its workers over the window.
    pub cpu: Cpu,
    /// Largest share of its core that a worker used.
    pub core_usage_max: f64,
    /// Length of the window between its own readings.
    pub window_us: u64,
    /// Its resident memory when everybody was connected, less that before.
    pub resident_bytes_clients: u64,
}

/// The server's readings at the edges of a run.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServerSamples {
    /// Whether the server was started for this run; one that was found running may have served others.
    #[serde(default = "started")]
    pub started: bool,
    /// Resident memory at a reading before `begin`: what differs between the two is nobody's connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_resident_bytes: Option<u64>,
    /// Before the first connection.
    pub begin: ServerStats,
    /// Everybody connected, nobody speaking.
    pub settled: ServerStats,
    /// First instant of the window.
    pub window_start: ServerStats,
    /// Last instant of the window.
    pub window_end: ServerStats,
}

/// Of a record that does not say.
const fn started() -> bool {
    true
}

/// The crowd's sockets as the kernel sees them, over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct TcpCounts {
    /// TCP segments to the server, acknowledgements without data included.
    pub segments_up: u64,
    /// TCP segments to the client, acknowledgements without data included.
    pub segments_down: u64,
    /// Bytes of data in them, to the server.
    pub bytes_up: u64,
    /// Bytes of data in them, to the client.
    pub bytes_down: u64,
    /// Bytes of TCP and IP headers of one segment.
    pub header_bytes_per_segment: u64,
    /// Memory of what all TCP sockets of the machine had not sent or read yet when everybody was connected, less that before. The sockets themselves are not in it.
    pub socket_memory_bytes: u64,
}

/// The crowd's sockets as the kernel sees them, from the first connection to the end of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TcpBytes {
    /// Bytes of data to the server.
    pub bytes_up: u64,
    /// Bytes of data to the client.
    pub bytes_down: u64,
}

/// The machine around a run.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct MachineState {
    /// Turns of a loop per microsecond and core, all cores at once, just before the run: shows a machine that gives less CPU than it says.
    pub cpu_probe_before: f64,
    /// The same just after it.
    pub cpu_probe_after: f64,
    /// Best of the job so far.
    pub cpu_probe_best: f64,
    /// Share of all CPU time during the run that the host took, where it says so.
    pub stolen_share: f64,
    /// Time during the run for which a quota stopped our processes, where there is one.
    pub throttled_us: u64,
}
