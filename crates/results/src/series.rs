//! The series of latencies that every run records.

/// A series of latencies, in microseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Series {
    /// From the scheduled instant of a post to its receipt, for every receiver.
    DeliveryLatency,
    /// From the instant a post was sent to its receipt: does not contain the time for which the
    /// sender had to wait.
    DeliveryLatencyFromSend,
    /// From the scheduled instant of a post to the instant it was sent.
    SendDelay,
    /// From the instant a post was sent to its acknowledgement.
    AckLatency,
    /// From the start of a connection to having joined the room.
    ConnectTime,
    /// From the first to the last receiver of a message; one message in eight is observed.
    FanoutSpread,
    /// From the end of a connection to the next message received.
    ReconnectTime,
    /// From the start of a Socket.IO session on polling to its first packet on a WebSocket.
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
            Self::DeliveryLatency => "delivery_latency",
            Self::DeliveryLatencyFromSend => "delivery_latency_from_send",
            Self::SendDelay => "send_delay",
            Self::AckLatency => "ack_latency",
            Self::ConnectTime => "connect_time",
            Self::FanoutSpread => "fanout_spread",
            Self::ReconnectTime => "reconnect_time",
            Self::UpgradeTime => "upgrade_time",
        }
    }
}
