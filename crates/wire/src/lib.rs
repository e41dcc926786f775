//! The protocol of the chat: the registry of transports, the items, and one codec per encoding.
//! `PROTOCOL.md` describes it.
//!
//! Pure functions over bytes: no I/O, no clock. Server and load generator share this crate only.

mod batch_format;
mod binary;
mod error_body;
mod framing;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod item;
mod json;
mod length_prefix;
mod presence;
mod query;
mod room;
mod sse;
mod stats;
pub mod stomp;
mod transport;
#[cfg(feature = "websocket-cases")]
#[doc(hidden)]
pub mod websocket_cases;
mod ws_frame;

pub use batch_format::{BatchFormat, Wrapping};
pub use binary::{decode_down, decode_up, encode_down, encode_up};
pub use error_body::{ErrorBody, WireError};
pub use framing::{ByteCounts, Framing};
pub use item::{Ack, ClientItem, Gap, Join, Joined, Message, Post, Reset, ServerItem};
pub use json::{decode_json, decode_post_json, encode_json, encode_post_json};
pub use length_prefix::{FRAME_PREFIX_BYTES, Frame, push_frame, split_frame};
pub use presence::{NOTICE_AUTHOR, Notice, People, Person, PersonName, PresenceReport};
pub use query::{ReadQuery, StartAt, parse_after};
pub use room::RoomName;
pub use sse::{Event, EventDecoder};
pub use stats::{BytesUsage, HubUsage, ProcessUsage, ServerAddresses, ServerStats, TransportUsage};
pub use transport::{Delivery, Encoding, Endpoint, ExtraConnections, Posting, Transport, TransportInfo};
pub use ws_frame::ws_header_len;

/// Response header with the cursor, for polling clients whose request had none.
pub const CURSOR_HEADER: &str = "pushbench-cursor";
/// Upper bound of every configurable limit of the text of a message, in bytes.
pub const TEXT_BYTES_CEILING: usize = 1 << 20;
/// Name of the built-in server as a target.
pub const BUILTIN_SERVER: &str = "pushbench";
