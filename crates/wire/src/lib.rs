//! What travels: the registry of transports, what goes up and comes down, and one codec per encoding.
//!
//! Pure functions over bytes. This crate does no I/O, reads no clock, and knows neither the server nor the load generator;
//! it is the only thing those two share.

mod binary;
mod error_body;
mod framing;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod item;
mod json;
mod length_prefix;
mod query;
mod room;
mod sse;
mod stats;
pub mod stomp;
mod transport;
#[doc(hidden)]
pub mod websocket_cases;
mod ws_frame;

pub use binary::{decode_down, decode_up, encode_down, encode_up};
pub use error_body::{ErrorBody, WireError};
pub use framing::{ByteCounts, Framing};
pub use item::{Ack, ClientItem, Gap, Join, Joined, Message, Post, Reset, ServerItem};
pub use json::{decode_json, decode_post_json, encode_json, encode_post_json};
pub use length_prefix::{FRAME_PREFIX_BYTES, Frame, push_frame, split_frame};
pub use query::{ReadQuery, StartAt, parse_after};
pub use room::RoomName;
pub use sse::{Event, EventDecoder};
pub use stats::{BytesUsage, HubUsage, ProcessUsage, ServerAddresses, ServerStats, TransportUsage};
pub use transport::{Delivery, Encoding, Endpoint, ExtraConnections, Posting, Transport, TransportInfo};

/// Name of the response header that tells a polling client its cursor when it joined without one.
pub const CURSOR_HEADER: &str = "pushbench-cursor";
/// Most bytes of a chat message's text that any limit may allow.
pub const TEXT_BYTES_CEILING: usize = 1 << 20;
/// The name of the built-in server among others.
pub const BUILTIN_SERVER: &str = "pushbench";
