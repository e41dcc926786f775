//! One accepted connection: its socket, and what is known of it. Knows no protocol.

mod idle;
mod state;
mod stream;

pub(crate) use idle::Timeouts;
pub(crate) use state::{Connection, TakeoverFn};
pub(crate) use stream::CountedStream;
