//! Lean protocol readers and writers: state machines over bytes, however they are cut. No I/O, no clock, and no buffer
//! while there is nothing unfinished.

mod carry;
pub(crate) mod frames;
pub(crate) mod handshake;
mod head;
pub(crate) mod packets;
pub(crate) mod request;
pub(crate) mod response;

pub(crate) use carry::Carry;
