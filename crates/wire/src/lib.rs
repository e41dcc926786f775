//! What travels: the registry of transports, what goes up and comes down, and one codec per encoding.
//!
//! Pure functions over bytes. This crate does no I/O, reads no clock, and knows neither the server nor the load generator;
//! it is the only thing those two share.

mod binary;
mod events;
mod form;
mod frames;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod item;
mod json;
mod problem;
mod query;
mod room;
pub mod stomp;
mod transport;
mod usage;
#[doc(hidden)]
pub mod websocket_cases;
mod ws_frame;

pub use binary::{decode_down, decode_up, encode_down, encode_up};
pub use events::{Event, EventDecoder};
pub use form::{Form, Split};
pub use frames::{FRAME_PREFIX_BYTES, Frame, push_frame, split_frame};
pub use item::{Ack, Down, Gap, Join, Joined, Message, Post, Reset, Up};
pub use json::{decode_json, decode_post_json, encode_json, encode_post_json};
pub use problem::{Problem, WireError};
pub use query::{ReadQuery, Start, parse_after};
pub use room::RoomName;
pub use transport::{Encoding, Transport};
pub use usage::{BytesUsage, HubUsage, Listening, ProcessUsage, TransportUsage, Usage};

/// Name of the response header that tells a polling client its cursor when it joined without one.
pub const CURSOR_HEADER: &str = "pushbench-cursor";
/// Most bytes of a chat message's text that any limit may allow.
pub const TEXT_BYTES_CEILING: usize = 1 << 20;
/// The name of the built-in server among others.
pub const BUILTIN_SERVER: &str = "pushbench";
