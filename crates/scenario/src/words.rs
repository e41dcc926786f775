//! The scenario as written: one struct a table of the file, one field a key.
//!
//! Ranges and defaults are not here but in the list of fields; [`crate::decide`] checks a scenario against it wherever it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{Encoding, Transport};

use crate::claims::{Claim, Published};

/// A whole scenario file. What each field means stands in `scenarios/README.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Scenario {
    pub name: String,
    pub question: String,
    pub transports: Vec<Transport>,
    pub encoding: Encoding,
    pub client: Client,
    pub clients: u32,
    pub rooms: u32,
    pub rooms_per_client: u32,
    pub repetitions: u32,
    pub seed: u64,
    pub posts: PostsWords,
    pub phases: PhasesWords,
    pub tuning: TuningWords,
    pub limits: LimitsWords,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<CoresWords>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<PricesWords>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim: Vec<Claim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
    /// Dotted path of a key → the values it takes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sweep: BTreeMap<String, Vec<toml::Value>>,
}

/// `[posts]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct PostsWords {
    pub per_client_per_s: f64,
    pub authors: Authors,
    pub arrivals: ArrivalsWord,
    pub burst_size: u32,
    pub payload_bytes: u32,
}

/// `[phases]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct PhasesWords {
    pub ramp_up_s: f64,
    pub settle_s: f64,
    pub warm_up_s: f64,
    pub window_s: f64,
    pub drain_quiet_s: f64,
    pub drain_max_s: f64,
}

/// `[tuning]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct TuningWords {
    pub polling: PollingWords,
    pub long_polling: LongPollingWords,
    pub http_streaming: StreamingWords,
    pub sse: StreamingWords,
    pub websocket: WebsocketWords,
    pub socketio: BeatWords,
    pub stomp: BeatWords,
}

/// `[tuning.polling]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct PollingWords {
    pub interval_ms: u64,
    pub jitter: f64,
    pub request_bytes: u64,
    pub keep_alive: bool,
}

/// `[tuning.long-polling]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct LongPollingWords {
    pub hold_ms: u64,
    pub keep_alive: bool,
}

/// `[tuning.http-streaming]`, `[tuning.sse]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct StreamingWords {
    pub age_s: f64,
    pub bytes_max: u64,
    pub heartbeat_s: f64,
}

/// `[tuning.socketio]`, `[tuning.stomp]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct BeatWords {
    pub heartbeat_s: f64,
}

/// `[tuning.websocket]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct WebsocketWords {
    pub age_s: f64,
    pub heartbeat_s: f64,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct LimitsWords {
    pub connections_max: u64,
    pub posts_max: u64,
    pub retries_max: u32,
    pub invalid_reruns: u32,
}

/// `[cores]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct CoresWords {
    pub server: Vec<usize>,
    pub generator: Vec<usize>,
}

/// `[prices]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct PricesWords {
    pub vcpu_hour: f64,
    pub gb_hour: f64,
    pub gb_out: f64,
    pub currency: String,
}

/// Who posts in a room: `"all"` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
pub enum Authors {
    /// Everybody.
    All,
    /// So many of its members.
    PerRoom(u32),
}

impl TryFrom<toml::Value> for Authors {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match (value.as_str(), value.as_integer().map(u32::try_from)) {
            (Some("all"), _) => Ok(Self::All),
            (_, Some(Ok(count))) => Ok(Self::PerRoom(count)),
            _ => Err(format!("authors are \"all\" or a whole number, not {value}")),
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

/// How an author's posts follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalsWord {
    /// Exponential gaps.
    Poisson,
    /// Equal gaps, every author with a seeded start of its own.
    Uniform,
    /// Equal gaps, the starts evenly spread over one gap in seat order.
    Staggered,
    /// Several posts at one instant, then a pause.
    Burst,
}

impl ArrivalsWord {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Poisson, Self::Uniform, Self::Staggered, Self::Burst];

    /// The name used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poisson => "poisson",
            Self::Uniform => "uniform",
            Self::Staggered => "staggered",
            Self::Burst => "burst",
        }
    }
}

/// The HTTP client of the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// Our own HTTP/1.1 client: it must not outweigh what it measures, and it counts bytes by class.
    Lean,
    /// reqwest: what a Rust service would see.
    Reqwest,
}

impl Client {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Lean, Self::Reqwest];

    /// The name used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Reqwest => "reqwest",
        }
    }
}
