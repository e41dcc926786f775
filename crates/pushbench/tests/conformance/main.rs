//! One chat, every transport, real sockets: what a client may rely on, checked with clients that are not ours (reqwest,
//! tungstenite, hand-written bytes) over [`wire::Transport::ALL`].
//!
//! No test sleeps to let something happen: each waits for what it needs, with a deadline that says what was missing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod bad_bytes;
mod clients;
mod cross_origin;
mod engineio;
mod engineio_protocol;
mod garbage;
mod hosts;
mod limits;
mod process;
mod raw;
mod refusals;
mod refused_bodies;
mod resets;
mod shutdown;
mod slow;
mod socketio;
mod socketio_protocol;
mod socketio_sessions;
mod socketio_upgrades;
mod stomp;
mod test_server;
mod transcript;
mod usage;
mod websocket_frames;
