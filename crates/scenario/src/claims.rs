//! What a scenario claims: sentences with the figures that would confirm or refute them, and figures others have published.
//!
//! Which figures there are is said here, once; how they come out of a run is the report's to know.

use serde::{Deserialize, Serialize};
use wire::Transport;

/// `[[claim]]`: holds when all its conditions do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Claim {
    pub say: String,
    pub condition: Vec<Condition>,
}

/// `[[claim.condition]]`: `left` is at least, or at most, `times` × `right`, or `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Condition {
    pub left: Term,
    pub is: Bound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Term>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// `[[published]]`: a figure somebody published, and ours: `times` × `left`, or × `left / right`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Published {
    pub who: String,
    pub what: String,
    pub value: f64,
    pub unit: String,
    pub left: Term,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Term>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
}

/// A figure of a transport at a point of the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Term {
    pub figure: Figure,
    pub transport: Transport,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Term {
    /// Whether the term speaks of the point with this label; without `at` it speaks of every one.
    pub fn is_at(&self, label: &str) -> bool {
        let parts: Vec<_> = label.split(", ").collect();
        self.at.as_deref().is_none_or(|at| at.split(", ").all(|part| parts.contains(&part)))
    }
}

/// Which side of the comparison counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// `left ≥ right`
    #[serde(rename = "at least")]
    AtLeast,
    /// `left ≤ right`
    #[serde(rename = "at most")]
    AtMost,
}

impl Bound {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AtLeast, Self::AtMost];

    /// The words used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }
}

macro_rules! figures {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// A figure of one run. The unit is the end of its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Figure {
            $(#[doc = $doc] #[serde(rename = $name)] $variant,)*
        }

        impl Figure {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name used in scenarios and results.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is, in a sentence.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

figures! {
    DeliveryMeanMs "delivery_mean_ms" "Mean delivery",
    DeliveryP50Ms "delivery_p50_ms" "Median delivery, from when a post was due",
    DeliveryP90Ms "delivery_p90_ms" "Delivery that 90 % do not exceed",
    DeliveryP99Ms "delivery_p99_ms" "Delivery that 99 % do not exceed",
    DeliveryP999Ms "delivery_p99_9_ms" "Delivery that 99.9 % do not exceed",
    DeliveryMaxMs "delivery_max_ms" "Longest delivery",
    UncorrectedP50Ms "delivery_uncorrected_p50_ms" "Median delivery from when a post left",
    UncorrectedP99Ms "delivery_uncorrected_p99_ms" "Delivery from when a post left that 99 % do not exceed",
    LatenessP99Ms "lateness_p99_ms" "How late posts left, which 99 % do not exceed",
    ConnectP50Ms "connect_p50_ms" "Median time from the first packet to having joined",
    OutageP50Ms "outage_p50_ms" "Median time from a cut to the next message seen",
    UpgradeP50Ms "upgrade_p50_ms" "Median time from a session's beginning on polling to its first word on the WebSocket",
    UpgradedShare "upgraded_share" "Sessions that moved on to a WebSocket, of those that meant to",
    DeliveredPerS "delivered_per_s" "Messages that arrived in a second of the window",
    DeliveredShare "delivered_share" "Messages that arrived in the window, of those planned for it",
    ServerCpuUsPerMessage "server_cpu_us_per_message" "Server CPU for each message delivered",
    ServerCpuUsPerClientS "server_cpu_us_per_client_s" "Server CPU for each client connected for a second",
    GeneratorCpuUsPerMessage "generator_cpu_us_per_message" "The load generator's own CPU for each message delivered",
    ServerBusyShare "server_busy_share" "Server CPU of one core over the window",
    DownBytesPerMessage "down_bytes_per_message" "Bytes to the clients, everything included, for each message",
    UpBytesPerMessage "up_bytes_per_message" "Bytes to the server, everything included, for each message",
    FramingBytesPerMessage "framing_bytes_per_message" "Framing around deliveries, for each message",
    HeaderBytesPerMessage "header_bytes_per_message" "Headers of reading requests and their answers, both ways, for each message",
    HeaderBytesPerEmptyPoll "header_bytes_per_empty_poll" "Headers of a request that found nothing and of its answer",
    OverheadShare "overhead_share" "Bytes of deliveries and empty answers, both ways, that are not what people said, of all of them",
    RequestsPerMessage "requests_per_message" "HTTP requests, posts included, for each message",
    RequestsPerS "requests_per_s" "HTTP requests, posts included, in a second of the window",
    RequestsPeakPerS "requests_peak_per_s" "HTTP requests, posts included, in the busiest second",
    EmptyShare "empty_share" "Reading requests that found nothing, of all reading requests",
    MessagesPerBatch "messages_per_batch" "Messages that share a response, chunk or write",
    WritesPerMessage "writes_per_message" "Writes on the server's sockets for each message",
    ConnectionsPerS "connections_per_s" "Connections opened in a second of the window",
    ServerBytesPerConnection "server_bytes_per_connection" "Server memory for each idle connection",
    ServerBytesPerClient "server_bytes_per_client" "Server memory for each idle client, however many connections it has",
}
