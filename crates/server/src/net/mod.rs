//! One accepted connection: its socket, and what is known of it. Knows no protocol.

mod gauge;
mod socket;

pub(crate) use gauge::{Gauge, Handover};
pub(crate) use socket::{Patience, Socket};
