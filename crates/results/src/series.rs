//! The series every run records.

/// What is recorded, in microseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Series {
    /// Due to seen, every receiver.
    DeliveryLatency,
    /// Left to seen: its twin, blind to what the sender waited for.
    DeliveryLatencyFromSend,
    /// Due to left.
    SendDelay,
    /// Left to confirmed.
    AckLatency,
    /// Start to joined.
    ConnectTime,
    /// First to last receiver of a message; one message in eight is watched.
    FanoutSpread,
    /// Cut to the first message seen again.
    ReconnectTime,
    /// A session's beginning on polling to its first word on a WebSocket.
    UpgradeTime,
}

impl Series {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DeliveryLatency,
        Self::DeliveryLatencyFromSend,
        Self::SendDelay,
        Self::AckLatency,
        Self::ConnectTime,
        Self::FanoutSpread,
        Self::ReconnectTime,
        Self::UpgradeTime,
    ];

    /// The name used in results and as the tag in interval logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeliveryLatency => "delivery",
            Self::DeliveryLatencyFromSend => "delivery_uncorrected",
            Self::SendDelay => "lateness",
            Self::AckLatency => "accepted",
            Self::ConnectTime => "connect",
            Self::FanoutSpread => "spread",
            Self::ReconnectTime => "outage",
            Self::UpgradeTime => "upgrade",
        }
    }
}
