//! Server-sent events, as browsers read them: ids for coming back, comments for heart-beats.

use super::{Answer, HttpRead};
use crate::http::{Visit, stream_response};

/// How soon a browser comes back after the stream was cut.
const HELLO: &[u8] = b"retry: 1000\n";

pub(super) const READ: HttpRead = HttpRead { parameters: &["after", "token"], answer: read };

fn read(visit: Visit) -> Answer {
    Box::pin(std::future::ready(Ok(stream_response(visit, "text/event-stream", HELLO, b":\n\n"))))
}
