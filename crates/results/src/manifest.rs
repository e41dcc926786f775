//! The manifest of a job: scenario, machine, program, and how the job ended.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format, as in the run records.
    pub schema: u32,
    /// Start in UTC, as in the name of the folder.
    pub started: String,
    /// State of the job; `running` also in the folder of a job that was killed.
    pub state: State,
    /// The scenario.
    pub scenario: ScenarioSource,
    /// The points of the sweep; one without a sweep.
    pub points: Vec<Point>,
    /// The rounds and their slices, as planned.
    pub rounds: Rounds,
    /// Load generators that share the clients of a subject.
    #[serde(default = "alone")]
    pub generators: u32,
    /// Random seed.
    pub seed: u64,
    /// Prefix of the room names of the job: `ab12` for `ab12-0`, `ab12-1` and so on. It keeps the
    /// rooms of two jobs apart on a server that both use.
    pub room_prefix: String,
    /// The subjects: a transport of a target at a point of the sweep.
    pub subjects: Vec<PlannedSubject>,
    /// The command line.
    pub command: Vec<String>,
    /// The program that measured.
    pub program: Program,
    /// The machine.
    pub host: Host,
    /// Warnings about the machine before the first run, such as another job on the same cores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

const fn alone() -> u32 {
    1
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is running, or was killed.
    Running,
    /// It went on to its end.
    Complete,
    /// It was interrupted; the runs made until then are there.
    Interrupted,
    /// It could not go on.
    Failed,
}

/// The scenario of a job.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ScenarioSource {
    /// Name of the scenario.
    pub name: String,
    /// The question that it asks.
    pub question: String,
    /// Path of the file.
    pub file: String,
    /// Text of the file.
    pub text: String,
    /// Keys set on the command line.
    pub set: Vec<String>,
}

/// One point of the sweep.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Point {
    /// Name of the point, as in the run records; empty without a sweep.
    pub name: String,
    /// Swept keys, in the scenario's order; empty without a sweep.
    pub swept: Vec<String>,
    /// Values of the scenario's keys by dotted path; keys without a value are missing.
    pub settings: BTreeMap<String, Value>,
}

impl Point {
    /// Value of a key that is a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.settings.get(key)?.as_f64()
    }
}

/// The rounds of a job. Each has fresh processes for every subject.
#[derive(Debug, Clone, Copy, PartialEq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Rounds {
    /// Time that the whole job may take.
    pub budget_s: f64,
    /// Rounds under the scenario's load.
    pub load: u32,
    /// Lock-step rounds.
    pub lock_step: u32,
    /// Length of the window of a slice under load, for subjects that do not poll.
    pub window_us: u64,
}

/// A subject of the job.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PlannedSubject {
    /// Point of the sweep.
    pub point: String,
    /// Transport.
    pub transport: String,
    /// Name of the server under test; `pushbench` is the built-in server.
    pub target: String,
}

/// The program that measured.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Program {
    /// Version.
    pub version: String,
    /// Commit it was built from, if known; ends in `+` when files had been changed.
    pub commit: Option<String>,
    /// `debug` or `release`.
    pub profile: String,
    /// Version of the compiler.
    pub rustc: String,
    /// Versions of the libraries that carry the bytes, by name.
    pub dependencies: BTreeMap<String, String>,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Host {
    /// Model of the CPU, as the kernel names it.
    pub cpu_model: String,
    /// Cores that the process may use.
    pub cores: Vec<usize>,
    /// Cores of the server.
    pub server_cores: Vec<usize>,
    /// Cores of the load generator.
    pub generator_cores: Vec<usize>,
    /// Cores of the load generator on which it did not sleep in a slice.
    #[serde(default)]
    pub awake_cores: Vec<usize>,
    /// Whether servers and load generators ran before the other programs of the machine.
    #[serde(default)]
    pub precedence: bool,
    /// CPUs that a quota allows, if there is one.
    pub cpu_quota: Option<f64>,
    /// Memory.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Open files that the process may have.
    pub open_files_max: u64,
    /// Local ports of one source address.
    pub ports_per_source: u64,
}
