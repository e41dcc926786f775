//! Traditional polling: what is new, at once, or nothing (204).

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use wire::CURSOR_HEADER;

use crate::counters::Counter;
use crate::http::{ReadEndpoint, ReadRequest, Refusal, ResponseFuture, answer};
use crate::hub::Batch;

pub(super) const ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "token"], chunked: false, answer: read };

fn read(mut visit: ReadRequest) -> ResponseFuture {
    let batch = visit.reader.since();
    let response = respond(&visit, batch);
    Box::pin(std::future::ready(Ok::<_, Refusal>(response)))
}

/// One whole response with everything in the batch; shared with long polling, which only waits before it.
pub(super) fn respond(visit: &ReadRequest, batch: Option<Batch>) -> Response {
    let connection = &visit.connection;
    let mut response = match batch {
        Some(batch) => {
            connection.count_batch(connection.slot(), &batch, 0);
            answer(StatusCode::OK, "application/x-ndjson", Body::from(batch.bytes))
        }
        None => {
            connection.count(Counter::EmptyAnswers);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
    };
    if !visit.had_cursor {
        response.headers_mut().insert(CURSOR_HEADER, HeaderValue::from(visit.reader.cursor()));
    }
    response
}
