//! HTTP streaming: one chunked response, a JSON item a line; an empty line is a heart-beat.

use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture, StreamKind, stream};

const KIND: StreamKind = StreamKind { content_type: "application/x-ndjson", preamble: b"", heartbeat: b"1\r\n\n\r\n" };

pub(super) const ENDPOINT: ReadEndpoint = ReadEndpoint { parameters: &["after", "token"], chunked: true, answer: read };

fn read(visit: ReadRequest) -> ResponseFuture {
    Box::pin(stream(visit, &KIND))
}
