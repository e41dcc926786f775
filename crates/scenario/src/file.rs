//! A scenario file: one struct per table, one field per key. The defaults, the ranges and the
//! descriptions here are the only ones; the JSON Schema, the table in `scenarios/README.md` and the
//! error texts are made from them.

use std::collections::BTreeMap;
use std::time::Duration;

use garde::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use wire::{Encoding, Transport};

use crate::check::{cores, each_once, one_line, short_name};
use crate::claim::{Claim, Published};
use crate::outage::Outage;
use crate::target::ExternalServer;
use crate::time::seconds;
use crate::tuning::Tuning;

/// Largest number of clients of one plan.
pub const CLIENTS_MAX: u32 = 1_000_000;
/// TOML's integers are signed and JSON's are doubles: every seed up to here is the same number in
/// both.
const SEED_MAX: u64 = (1 << 53) - 1;

/// A whole scenario file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ScenarioFile {
    /// Name of the scenario; results folders are named after it
    #[garde(custom(short_name))]
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"), extend("x-takes" = "1 to 64 characters of a-z 0-9 -"))]
    pub name: String,
    /// The question that the scenario answers
    #[garde(length(chars, min = 1, max = 300), custom(one_line))]
    pub question: String,
    /// Transports to run; `tcp`, the baseline, is always run
    #[serde(default = "all_transports")]
    #[garde(length(min = 1), custom(each_once))]
    #[schemars(extend("uniqueItems" = true))]
    pub transports: Vec<Transport>,
    /// Encoding of messages; a transport that cannot carry it uses its own default
    #[serde(default = "json")]
    pub encoding: Encoding,
    /// HTTP client of the load generator: `built-in` counts every byte and costs little; `reqwest` is an ordinary client library, whose header bytes cannot be counted
    #[serde(default)]
    pub http_client: HttpClient,
    /// Servers of the chat. The clients are dealt over them, and go to the next one when theirs fails
    #[serde(default = "one_node")]
    #[garde(range(min = 1, max = 64))]
    pub nodes: u32,
    /// Where the servers keep the messages: `memory`, or `redis`, a log that all nodes share. The job starts a Redis for every run
    #[serde(default)]
    pub log: Log,
    /// Number of simulated clients
    #[garde(range(min = 1, max = 1_000_000))]
    pub clients: u32,
    /// Number of rooms; every client is in one
    #[garde(range(min = 1, max = 1_000_000))]
    pub rooms: u32,
    /// Time for the whole job. It decides the number of rounds, blocks and slices
    #[serde(default = "budget_s")]
    #[garde(range(min = 1.0, max = 86_400.0))]
    pub budget_s: f64,
    /// `1`: one window of `phases.window_s` a round, for storms, overload, outages and growth of memory; without this key, many short windows that take turns
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = 1))]
    pub slices: Option<u32>,
    /// Random seed. The same file and seed produce the same schedule on every machine
    #[serde(default = "first_seed")]
    #[garde(range(max = SEED_MAX))]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: u64,
    /// `[posts]`
    #[garde(dive)]
    pub posts: Posts,
    /// `[phases]`
    #[serde(default)]
    #[garde(dive)]
    pub phases: Phases,
    /// `[tuning]`
    #[serde(default)]
    #[garde(dive)]
    pub tuning: Tuning,
    /// `[limits]`
    #[serde(default)]
    #[garde(dive)]
    pub limits: Limits,
    /// `[cores]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub cores: Option<Cores>,
    /// `[prices]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub prices: Option<Prices>,
    /// External servers, measured in the same rounds as the built-in server
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), dive)]
    pub target: Vec<ExternalServer>,
    /// Processes that are killed or stopped in the window
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), dive)]
    pub outage: Vec<Outage>,
    /// Statements that the report confirms, refutes or leaves undecided
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), dive)]
    pub claim: Vec<Claim>,
    /// Published results that the report prints beside the measured ones
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), dive)]
    pub published: Vec<Published>,
    /// Keys by their dotted path in quotes, each with a list of values; one plan for every combination
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub sweep: BTreeMap<String, Vec<toml::Value>>,
}

fn all_transports() -> Vec<Transport> {
    Transport::ALL.to_vec()
}

const fn json() -> Encoding {
    Encoding::Json
}

const fn one_node() -> u32 {
    1
}

const fn budget_s() -> f64 {
    75.0
}

const fn first_seed() -> u64 {
    1
}

/// Where the servers keep the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Log {
    /// In the memory of the server.
    #[default]
    Memory,
    /// In a Redis that all servers share.
    Redis,
}

/// The HTTP client of the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum HttpClient {
    /// The client of this project: it counts every byte by class and costs little CPU.
    #[default]
    BuiltIn,
    /// An ordinary client library, whose header bytes cannot be counted.
    Reqwest,
}

impl HttpClient {
    /// The name used in scenarios and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Reqwest => "reqwest",
        }
    }
}

/// `[posts]`: open-loop posting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Posts {
    /// Mean number of posts per second of each author
    #[garde(range(min = 0.0, max = 10_000.0))]
    pub per_client_per_s: f64,
    /// Authors in each room: `"all"` clients, or a number of them; the others only read
    #[serde(default)]
    pub authors: Authors,
    /// Distribution of an author's posts over time. `poisson`: exponential intervals; `uniform`: equal intervals with a random start; `staggered`: equal intervals, the starts of all authors evenly spaced; `burst`: `burst_size` posts at once, then a pause
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Number of posts in a burst, for `arrivals = "burst"`
    #[serde(default = "burst_size")]
    #[garde(range(min = 1, max = 10_000))]
    pub burst_size: u32,
    /// Bytes of text in each post
    #[serde(default = "payload_bytes")]
    #[garde(range(min = 1, max = 1_048_576))]
    pub payload_bytes: u32,
}

const fn burst_size() -> u32 {
    10
}

const fn payload_bytes() -> u32 {
    120
}

/// Who posts in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
pub enum Authors {
    /// Every client.
    #[default]
    All,
    /// This number of clients in each room.
    PerRoom(u32),
}

impl TryFrom<toml::Value> for Authors {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match (value.as_str(), value.as_integer().map(u32::try_from)) {
            (Some("all"), _) => Ok(Self::All),
            (_, Some(Ok(count))) if (1..=CLIENTS_MAX).contains(&count) => Ok(Self::PerRoom(count)),
            _ => Err("neither \"all\" nor a number of clients"),
        }
    }
}

impl From<Authors> for toml::Value {
    fn from(authors: Authors) -> Self {
        match authors {
            Authors::All => Self::from("all"),
            Authors::PerRoom(count) => Self::from(i64::from(count)),
        }
    }
}

impl JsonSchema for Authors {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Authors".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1, "maximum": CLIENTS_MAX}],
            "x-takes": format!("\"all\" or a whole number from 1 to {CLIENTS_MAX}"),
        })
    }
}

/// How the posts of an author follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Arrivals {
    /// Exponential intervals.
    #[default]
    Poisson,
    /// Equal intervals, every author with a random start of its own.
    Uniform,
    /// Equal intervals, the starts spread evenly over one interval in the order of the clients.
    Staggered,
    /// Several posts at one instant, then a pause.
    Burst,
}

/// `[phases]`: the phases of a run and their lengths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Phases {
    /// Time over which the clients connect, evenly spaced; without `slices = 1` at most as long as 5,000 connections a second take
    #[garde(range(min = 0.0, max = 3600.0))]
    pub ramp_up_s: f64,
    /// Idle time after every client has received the probe message; without `slices = 1` at most 0.05 s
    #[garde(range(min = 0.0, max = 3600.0))]
    pub settle_s: f64,
    /// Time of posting before the window, for `slices = 1`; its posts are not measured
    #[garde(range(min = 0.0, max = 3600.0))]
    pub warm_up_s: f64,
    /// Length of the measurement window, for `slices = 1`
    #[garde(range(min = 0.1, max = 3600.0))]
    pub window_s: f64,
    /// The drain ends when every scheduled message has arrived, or when none has arrived for this long
    #[garde(range(min = 0.1, max = 600.0))]
    pub drain_idle_s: f64,
    /// Maximum length of the drain
    #[garde(range(min = 0.1, max = 600.0))]
    pub drain_max_s: f64,
}

impl Default for Phases {
    fn default() -> Self {
        Self { ramp_up_s: 2.0, settle_s: 1.0, warm_up_s: 2.0, window_s: 10.0, drain_idle_s: 2.0, drain_max_s: 30.0 }
    }
}

impl Phases {
    /// Time over which the clients connect, evenly spaced.
    pub fn ramp_up(&self) -> Duration {
        seconds(self.ramp_up_s)
    }

    /// Idle time after every client has received the probe message.
    pub fn settle(&self) -> Duration {
        seconds(self.settle_s)
    }

    /// Time of posting before the window; its posts are not measured. It starts at T0.
    pub fn warm_up(&self) -> Duration {
        seconds(self.warm_up_s)
    }

    /// Length of the measurement window.
    pub fn window(&self) -> Duration {
        seconds(self.window_s)
    }

    /// Time during which posts flow: warm-up and window.
    pub fn posting(&self) -> Duration {
        self.warm_up() + self.window()
    }

    /// The drain ends when no message has arrived for this long.
    pub fn drain_idle(&self) -> Duration {
        seconds(self.drain_idle_s)
    }

    /// Maximum length of the drain.
    pub fn drain_max(&self) -> Duration {
        seconds(self.drain_max_s)
    }
}

/// `[limits]`: limits at which a job is refused or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum number of open sockets of the generator; a scenario that needs more is refused
    #[garde(range(min = 1, max = 2_000_000))]
    pub connections_max: u64,
    /// Maximum number of scheduled posts over all points of the sweep; a scenario that needs more is refused
    #[garde(range(min = 1, max = 50_000_000))]
    pub posts_max: u64,
    /// Maximum number of reconnects of one client after faults, per run
    #[garde(range(max = 1_000_000))]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub reconnects_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 50_000, posts_max: 5_000_000, reconnects_max: 100 }
    }
}

/// `[cores]`: without it, the cores are chosen when the job starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Cores {
    /// Cores that the server is pinned to
    #[garde(custom(cores))]
    #[schemars(length(min = 1), inner(range(min = 0, max = 1023)), extend("uniqueItems" = true))]
    pub server: Vec<usize>,
    /// Cores that the load generator is pinned to, one worker thread on each
    #[garde(custom(cores))]
    #[schemars(length(min = 1), inner(range(min = 0, max = 1023)), extend("uniqueItems" = true))]
    pub generator: Vec<usize>,
}

/// `[prices]`: without it, list prices of public clouds are assumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Price of one vCPU for an hour
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub vcpu_hour: f64,
    /// Price of a GB of memory for an hour
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub gb_hour: f64,
    /// Price of a GB sent to clients
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub gb_out: f64,
    /// Currency of the prices, such as `EUR`
    #[garde(length(chars, min = 1, max = 8), custom(one_line))]
    pub currency: String,
}
