//! HTTP streaming: one chunked response, a JSON item a line; an empty line is a heart-beat.

use crate::http::{Answer, HttpRead, StreamKind, Visit, stream};

const KIND: StreamKind = StreamKind { content_type: "application/x-ndjson", hello: b"", heartbeat: b"1\r\n\n\r\n" };

pub(super) const READ: HttpRead = HttpRead { parameters: &["after", "token"], chunked: true, answer: read };

fn read(visit: Visit) -> Answer {
    Box::pin(stream(visit, &KIND))
}
