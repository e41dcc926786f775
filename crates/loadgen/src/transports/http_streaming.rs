//! HTTP streaming: one response, a JSON item per line.

use std::convert::Infallible;

use super::http::poller::receive_lines;
use super::http::stream;
use crate::error::SessionEnd;
use crate::protocol::Remainder;
use crate::session::Session;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    let mut remainder = Remainder::default();
    stream::read(session, "", |bytes| remainder.feed(bytes, |bytes| receive_lines(session, bytes))).await
}
