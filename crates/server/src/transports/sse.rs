//! Server-sent events, as browsers read them: ids for coming back, comments for heart-beats.

use crate::http::{Answer, HttpRead, StreamKind, Visit, stream};

const KIND: StreamKind = StreamKind {
    content_type: "text/event-stream",
    // How soon a browser comes back after the stream was cut.
    hello: b"retry: 1000\n",
    heartbeat: b"3\r\n:\n\n\r\n",
};

pub(super) const READ: HttpRead = HttpRead { parameters: &["after", "token"], chunked: true, answer: read };

fn read(visit: Visit) -> Answer {
    Box::pin(stream(visit, &KIND))
}
