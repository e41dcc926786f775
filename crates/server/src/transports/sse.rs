//! Server-sent events, as browsers read them: ids for coming back, comments for heart-beats.

use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture, StreamKind, stream};

const KIND: StreamKind = StreamKind {
    content_type: "text/event-stream",
    // How soon a browser comes back after the stream was cut.
    preamble: b"retry: 1000\n",
    heartbeat: b"3\r\n:\n\n\r\n",
};

pub(super) const ENDPOINT: ReadEndpoint = ReadEndpoint { parameters: &["after", "token"], chunked: true, answer: read };

fn read(visit: ReadRequest) -> ResponseFuture {
    Box::pin(stream(visit, &KIND))
}
