//! HTTP streaming: one chunked response, a JSON item a line; an empty line is a heart-beat.

use super::{Answer, HttpRead};
use crate::http::{Visit, stream_response};

pub(super) const READ: HttpRead = HttpRead { parameters: &["after", "token"], answer: read };

fn read(visit: Visit) -> Answer {
    Box::pin(std::future::ready(Ok(stream_response(visit, "application/x-ndjson", b"", b"\n"))))
}
