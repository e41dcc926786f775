//! HTTP streaming: one chunked response with a JSON item per line. An empty line is a heartbeat.

use crate::http::{ReadEndpoint, ReadKind, StreamKind};

pub(super) static ENDPOINT: ReadEndpoint = ReadEndpoint {
    parameters: &["after", "token"],
    kind: ReadKind::Stream(&StreamKind {
        content_type: "application/x-ndjson",
        preamble: b"",
        heartbeat: b"1\r\n\n\r\n",
        has_event_ids: false,
    }),
};
