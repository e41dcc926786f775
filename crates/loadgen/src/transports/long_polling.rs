//! Long polling: the server holds each request until there is a message; the next request follows
//! the response at once.

use std::convert::Infallible;

use super::http::poller::Poller;
use super::http::post_connection;
use crate::error::SessionEnd;
use crate::session::Session;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    // The first request must not be held, because its response says that the client has joined.
    let mut first = Poller::new(session, "hold_ms=0");
    first.poll().await?;
    post_connection::attach(session, || session.requests("", ""));
    let hold = session.run.tuning().hold.unwrap_or_default();
    let mut poller = first.with_parameters(&format!("hold_ms={}", hold.as_millis()));
    loop {
        poller.poll().await?;
    }
}
