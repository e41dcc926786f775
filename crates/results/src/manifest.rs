//! What a whole job is known by: what was asked, on which machine, with what, and how it ended.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of what is written, as in the records.
    pub schema: u32,
    /// UTC, as in the folder's name.
    pub started: String,
    /// How the job ended; `running` in the folder of one that was killed.
    pub state: State,
    /// What was asked.
    pub scenario: ScenarioSource,
    /// What followed from it, a point of the sweep each.
    pub points: Vec<Point>,
    /// Repetitions of every transport at every point.
    pub repetitions: u32,
    /// Where all chance came from.
    pub seed: u64,
    /// What the names of the job's rooms began with: `ab12` for `ab12-0`, `ab12-1` and so on. Where a server was not started by the job,
    /// this keeps the rooms of two jobs apart.
    #[serde(default = "before_there_were_prefixes")]
    pub room_prefix: String,
    /// Every run that was to be made, in order.
    pub order: Vec<PlannedRun>,
    /// The command line.
    pub command: Vec<String>,
    /// The program that measured.
    pub program: Program,
    /// The machine.
    pub host: Host,
    /// What was doubtful about it before the first run, such as another job on the same cores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// How far a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It goes on, or was killed.
    Running,
    /// Every run was made.
    Complete,
    /// It was stopped; the runs made are there.
    Interrupted,
    /// It could not go on.
    Failed,
}

/// The scenario.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ScenarioSource {
    /// Its name.
    pub name: String,
    /// Its question.
    pub question: String,
    /// Its file.
    pub file: String,
    /// The file as it was.
    pub text: String,
    /// Keys set on the command line.
    pub set: Vec<String>,
}

/// One point of the sweep, or the only one.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Point {
    /// As in the records of its runs; empty without a sweep.
    pub name: String,
    /// The swept keys, in the scenario's order; empty without a sweep.
    pub swept: Vec<String>,
    /// Every key of the scenario by its dotted path, with the value it had; keys that have none are missing.
    pub settings: BTreeMap<String, Value>,
}

impl Point {
    /// A setting that is a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.settings.get(key)?.as_f64()
    }
}

/// A run that was to be made.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PlannedRun {
    /// Repetition, from 1.
    pub round: u32,
    /// Point of the sweep.
    pub label: String,
    /// Transport.
    pub transport: String,
    /// Whose server: `pushbench` is ours.
    #[serde(default = "crate::subject::ours")]
    pub target: String,
}

/// The program that measured.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// The commit it was built from, where it was built in a repository; ends in `+` when files were changed.
    pub commit: Option<String>,
    /// `debug` or `release`.
    pub profile: String,
    /// The compiler.
    pub rustc: String,
    /// Versions of what carries the bytes at both ends, by name.
    pub dependencies: BTreeMap<String, String>,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Host {
    /// As the kernel names it.
    pub cpu_model: String,
    /// Cores this process may use.
    pub cores: Vec<usize>,
    /// Cores of the server.
    pub server_cores: Vec<usize>,
    /// Cores of the load generator.
    pub generator_cores: Vec<usize>,
    /// CPUs a quota allows, where there is one.
    pub cpu_quota: Option<f64>,
    /// Memory.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Open files a process may have.
    pub open_files_max: u64,
    /// Local ports one source address has.
    pub ports_per_source: u64,
}

/// What a manifest says that was written before jobs had rooms of their own.
fn before_there_were_prefixes() -> String {
    "room".to_owned()
}
