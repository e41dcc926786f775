//! Server-sent events, as in the HTML standard: ids as cursors, comments as heartbeats.

use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture, StreamKind, stream};

const KIND: StreamKind = StreamKind {
    content_type: "text/event-stream",
    // The reconnection time of a browser, in ms.
    preamble: b"retry: 1000\n",
    heartbeat: b"3\r\n:\n\n\r\n",
};

pub(super) static ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "token"], chunked: true, resume_header: Some("Last-Event-ID"), answer: read };

fn read(request: ReadRequest) -> ResponseFuture {
    Box::pin(stream(request, &KIND))
}
