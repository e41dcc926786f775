//! Conformance of the server: every transport over real sockets, with clients that share no code
//! with the server (reqwest, tungstenite, hand-written bytes), over [`wire::Transport::ALL`].
//!
//! No test sleeps until something should have happened. Each waits for a condition, with a deadline
//! whose error names what was missing.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue panics")]

mod bad_bytes;
mod clients;
mod cross_origin;
mod engineio;
mod engineio_protocol;
mod garbage;
mod hosts;
mod limits;
mod page;
mod process;
mod raw;
#[path = "../common/redis.rs"]
mod redis;
mod refusals;
mod refused_bodies;
mod resets;
mod room_connection;
mod shared_log;
mod shutdown;
mod slow;
mod socketio;
mod socketio_protocol;
mod socketio_sessions;
mod socketio_upgrades;
mod stats;
mod stomp;
mod test_server;
mod transcript;

mod websocket_frames;
