//! Protocol readers and writers: state machines over bytes, whatever the chunks. No I/O and no
//! clock, and a buffer only while a part is incomplete.

mod http_head;
pub(crate) mod http_request;
pub(crate) mod http_response;
mod remainder;
pub(crate) mod socketio_packet;
pub(crate) mod ws_frame;
pub(crate) mod ws_handshake;

pub(crate) use remainder::Remainder;
