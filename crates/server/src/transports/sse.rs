//! Server-sent events, as in the HTML standard: ids as cursors, comments as heartbeats.

use crate::http::{ReadEndpoint, ReadKind, StreamKind};

pub(super) static ENDPOINT: ReadEndpoint = ReadEndpoint {
    parameters: &["after", "token"],
    kind: ReadKind::Stream(&StreamKind {
        content_type: "text/event-stream",
        // The reconnection time of a browser, in ms.
        preamble: b"retry: 1000\n",
        heartbeat: b"3\r\n:\n\n\r\n",
        has_event_ids: true,
    }),
};
