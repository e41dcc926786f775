//! The series every run records.

/// What is recorded, in microseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Series {
    /// Due to seen, every receiver.
    Delivery,
    /// Left to seen: its twin, blind to what the sender waited for.
    DeliveryUncorrected,
    /// Due to left.
    Lateness,
    /// Left to confirmed.
    Accepted,
    /// Start to joined.
    Connect,
    /// First to last receiver of a message; one message in eight is watched.
    Spread,
    /// Cut to the first message seen again.
    Outage,
    /// A session's beginning on polling to its first word on a WebSocket.
    Upgrade,
}

impl Series {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Delivery,
        Self::DeliveryUncorrected,
        Self::Lateness,
        Self::Accepted,
        Self::Connect,
        Self::Spread,
        Self::Outage,
        Self::Upgrade,
    ];

    /// The name used in results and as the tag in interval logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::DeliveryUncorrected => "delivery_uncorrected",
            Self::Lateness => "lateness",
            Self::Accepted => "accepted",
            Self::Connect => "connect",
            Self::Spread => "spread",
            Self::Outage => "outage",
            Self::Upgrade => "upgrade",
        }
    }
}
