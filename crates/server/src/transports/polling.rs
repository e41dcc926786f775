//! Traditional polling: what is new, at once, or nothing (204).

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use wire::CURSOR_HEADER;

use crate::http::{Answer, HttpRead, Refusal, Visit, answer};
use crate::hub::Batch;
use crate::meter::Count;

pub(super) const READ: HttpRead = HttpRead { parameters: &["after", "token"], chunked: false, answer: read };

fn read(mut visit: Visit) -> Answer {
    let batch = visit.reader.since();
    let response = respond(&visit, batch);
    Box::pin(std::future::ready(Ok::<_, Refusal>(response)))
}

/// One whole response with everything in the batch; shared with long polling, which only waits before it.
pub(super) fn respond(visit: &Visit, batch: Option<Batch>) -> Response {
    let gauge = &visit.gauge;
    let mut response = match batch {
        Some(batch) => {
            gauge.deliver(gauge.label(), &batch, 0);
            answer(StatusCode::OK, "application/x-ndjson", Body::from(batch.bytes))
        }
        None => {
            gauge.count(Count::EmptyAnswers);
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
