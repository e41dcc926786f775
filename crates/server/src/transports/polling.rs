//! Polling: the new messages at once, or 204 when there are none.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use wire::CURSOR_HEADER;

use crate::counters::Counter;
use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture, response};
use crate::hub::Batch;
use crate::refusal::Refusal;

pub(super) static ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "token"], chunked: false, resume_header: None, answer: read };

fn read(mut request: ReadRequest) -> ResponseFuture {
    let batch = request.reader.since();
    let response = batch_response(&request, batch);
    Box::pin(std::future::ready(Ok::<_, Refusal>(response)))
}

/// A response with one batch. Long polling uses it, too.
pub(super) fn batch_response(request: &ReadRequest, batch: Option<Batch>) -> Response {
    let stats = &request.connection.stats;
    let mut response = match batch {
        Some(batch) => {
            stats.count_batch(stats.slot(), &batch, 0);
            response(StatusCode::OK, "application/x-ndjson", Body::from(batch.bytes))
        }
        None => {
            stats.count(Counter::EmptyAnswers);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
    };
    if !request.had_cursor {
        response.headers_mut().insert(CURSOR_HEADER, HeaderValue::from(request.reader.cursor()));
    }
    response
}
