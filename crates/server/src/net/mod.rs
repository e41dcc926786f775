//! One accepted connection: its socket, and what is known of it. Knows no protocol.

mod gauge;
mod socket;
mod wait;

pub(crate) use gauge::{Gauge, Handover};
pub(crate) use socket::Socket;
pub(crate) use wait::Patience;
