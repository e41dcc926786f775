//! The record of one run on disk. Every number has one unit, which its name ends with, and comes
//! from a sample.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::{Encoding, ServerStats, Transport};

use crate::{Cpu, Faults, LedgerSummary, RunEnd, RunVerdict, Second, Series, TrafficCounts};

/// Version of what is written.
pub const SCHEMA: u32 = 3;

/// What the load generator does in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Posts follow the scenario's schedule.
    #[default]
    Load,
    /// One room and one message in flight; the next post follows the last delivery. Nothing follows
    /// a clock, and no latency is measured.
    LockStep,
}

impl Mode {
    /// The name used in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LockStep => "lock-step",
        }
    }
}

/// One run: one transport of one target in one round, with its own server and generator processes.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of the format.
    pub schema: u32,
    /// Number of the run in the job, from 1.
    pub run: u32,
    /// Number of the round among those of the same mode, from 1.
    pub round: u32,
    /// What the load generator does.
    pub mode: Mode,
    /// Point of the sweep; empty without a sweep.
    pub point: String,
    /// Transport.
    pub transport: Transport,
    /// Name of the server under test; `pushbench` is the built-in server.
    pub target: String,
    /// HTTP client of the load generator. Only `built-in` counts bytes by kind.
    pub http_client: String,
    /// Encoding of the messages.
    pub encoding: Encoding,
    /// What the metrics of the run may be used for.
    pub verdict: RunVerdict,
    /// How the run ended.
    pub ended: RunEnd,
    /// The load that the plan schedules.
    pub planned: PlannedLoad,
    /// Latencies by series, over all slices.
    pub latency: BTreeMap<Series, LatencySummary>,
    /// Latencies above 60 s; each is recorded as 60 s.
    pub saturated: u64,
    /// Deliveries received before they were scheduled.
    pub negative: u64,
    /// The run by seconds.
    pub seconds: Vec<Second>,
    /// The measured windows.
    pub slices: Vec<Slice>,
    /// Traffic of the load generator before the schedule began: connecting and joining.
    pub set_up: TrafficCounts,
    /// Traffic of the load generator over the whole run.
    pub total: TrafficCounts,
    /// Which of the scheduled deliveries were received.
    pub ledger: LedgerSummary,
    /// Errors by kind.
    pub faults: Faults,
    /// What the load generator used outside the slices.
    pub generator: GeneratorUsage,
    /// State of the server before and after the slices; empty when it could not be read.
    pub server: Option<ServerSamples>,
    /// TCP sockets of the clients as the kernel counts them; empty where the load generator does
    /// not own the sockets (`http_client` is `reqwest`).
    pub tcp: Option<TcpUsage>,
    /// What the log that the servers share has used from the first slice to the last; empty without
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogUsage>,
    /// Speed of the machine, and CPU time that others took.
    pub machine: MachineState,
}

/// The load that the plan schedules.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PlannedLoad {
    /// Simulated clients.
    pub clients: u32,
    /// Rooms they are in.
    pub rooms: u32,
    /// Bytes of text in a post.
    pub payload_bytes: u64,
    /// Slices that were planned; one is a long window. There are fewer when the time was up before.
    pub slices: u32,
    /// Length of one window.
    pub window_us: u64,
    /// Posts scheduled in the windows of the run.
    pub posts_in_window: u64,
    /// Posts scheduled in the windows that were sent.
    pub posts_sent_in_window: u64,
    /// Posts scheduled in the windows, times their receivers.
    pub deliveries_in_window: u64,
    /// Outages of servers and of their log in the window: posts may be refused then.
    #[serde(default)]
    pub outages: u32,
}

/// One measured window of a run. The load generator does not know its block and its position.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Slice {
    /// Number of the block in its round, from 1: one slice of every subject, in random order.
    pub block: u32,
    /// Position of the slice in its block, from 1.
    pub position: u32,
    /// Why the slice counts in no value; empty for a slice that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// Length of the window between the samples of the load generator.
    pub window_us: u64,
    /// Traffic of the load generator in the window.
    pub traffic: TrafficCounts,
    /// CPU time of the load generator's workers in the window.
    pub generator_cpu: Cpu,
    /// CPU time of the server's processes in the window, by their CPU clocks; empty where they
    /// cannot be read.
    pub server_cpu_ns: Option<u64>,
    /// Median delivery latency of the posts scheduled in the window; empty in lock-step.
    pub delivery_p50_us: Option<u64>,
    /// Time from the end of the window until everything scheduled had arrived, or until the drain
    /// was given up.
    pub drain_us: u64,
    /// Whether everything scheduled arrived before the next slice.
    pub drained: bool,
}

/// A quantile with its 95 % interval from order statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Quantile {
    /// Quantile of the sample.
    pub us: u64,
    /// Lower end of the interval.
    pub low_us: u64,
    /// Upper end of the interval.
    pub high_us: u64,
}

/// Summary of a series; its histograms are in the interval log.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Recorded values.
    pub samples: u64,
    /// Independent values among them: messages, not deliveries.
    pub independent: u64,
    /// Quantiles by name (`p50` …); those for which the sample is too small are missing.
    pub quantiles: BTreeMap<String, Quantile>,
    /// Largest value.
    pub max_us: u64,
    /// Mean.
    pub mean_us: f64,
}

/// What the load generator used outside the slices.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct GeneratorUsage {
    /// Largest share of a core that one of its workers used in a slice, 0 to 1; the sum over several
    /// load generators.
    pub core_usage_max: f64,
    /// Growth of its resident memory while the clients connected.
    pub resident_bytes_clients: u64,
}

/// State of the server before and after the slices.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServerSamples {
    /// Whether the server was started for this run. One that was already running may have served
    /// other clients.
    pub started: bool,
    /// Resident memory at a sample before `begin`. The difference between the two is not caused by
    /// connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_resident_bytes: Option<u64>,
    /// Before the first connection.
    pub begin: ServerStats,
    /// All clients connected, no posts yet.
    pub settled: ServerStats,
    /// Just before the first slice; empty when it could not be read.
    pub start: Option<ServerStats>,
    /// Just after the last slice; empty when it could not be read.
    pub end: Option<ServerStats>,
}

/// Use of the log that the servers share, by its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct LogUsage {
    /// CPU time of its process.
    pub cpu_us: u64,
    /// Commands, those within scripts included.
    pub commands: u64,
    /// Bytes from the servers.
    pub bytes_in: u64,
    /// Bytes to the servers.
    pub bytes_out: u64,
}

impl LogUsage {
    /// Use since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            commands: self.commands.saturating_sub(earlier.commands),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
        }
    }
}

/// TCP sockets of the clients over the run, as the kernel counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct TcpUsage {
    /// Bytes of data to the server over the whole run.
    pub bytes_up: u64,
    /// Bytes of data to the clients over the whole run.
    pub bytes_down: u64,
    /// Segments to the server from the first slice to the last, acknowledgements without data
    /// included.
    pub segments_up: u64,
    /// Segments to the clients from the first slice to the last.
    pub segments_down: u64,
    /// Bytes of TCP and IP headers of one segment.
    pub header_bytes_per_segment: u64,
    /// Growth of the memory for unsent and unread data of all TCP sockets of the machine while the
    /// clients connected. It does not contain the sockets themselves.
    pub socket_memory_bytes: u64,
}

/// State of the machine around a run.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct MachineState {
    /// CPU probe just before the run: iterations of a loop per microsecond and core, all cores at
    /// once.
    pub cpu_probe_before: f64,
    /// CPU probe just after the run.
    pub cpu_probe_after: f64,
    /// Best CPU probe of the job so far.
    pub cpu_probe_best: f64,
    /// Share of the CPU time during the run that the host took, 0 to 1, where the kernel reports
    /// it.
    pub stolen_share: f64,
    /// Time during the run for which a CPU quota stopped the processes.
    pub throttled_us: u64,
}

impl RunRecord {
    /// The slices that count.
    pub fn kept(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter().filter(|slice| slice.dropped.is_none())
    }

    /// Traffic of the load generator in the measured windows.
    pub fn window(&self) -> TrafficCounts {
        self.kept().fold(TrafficCounts::default(), |sum, slice| sum.plus(&slice.traffic))
    }

    /// Length of the windows that the planned load is for, dropped ones included.
    pub fn planned_window_us(&self) -> u64 {
        self.planned.window_us * self.slices.len() as u64
    }

    /// Length of the measured windows.
    pub fn window_us(&self) -> u64 {
        self.kept().map(|slice| slice.window_us).sum()
    }

    /// CPU time of the load generator in the measured windows.
    pub fn generator_cpu(&self) -> Cpu {
        self.kept().fold(Cpu::default(), |sum, slice| sum.plus(slice.generator_cpu))
    }

    /// CPU time of the server in the measured windows; `None` unless every window has it.
    pub fn server_cpu_ns(&self) -> Option<u64> {
        let sum = self.kept().map(|slice| slice.server_cpu_ns).sum::<Option<u64>>();
        sum.filter(|_| self.window_us() > 0)
    }
}
