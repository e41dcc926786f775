//! HTTP streaming: one chunked response with a JSON item per line. An empty line is a heartbeat.

use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture, StreamKind, stream};

const KIND: StreamKind = StreamKind { content_type: "application/x-ndjson", preamble: b"", heartbeat: b"1\r\n\n\r\n" };

pub(super) static ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "token"], chunked: true, resume_header: None, answer: read };

fn read(request: ReadRequest) -> ResponseFuture {
    Box::pin(stream(request, &KIND))
}
