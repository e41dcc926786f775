//! Long polling: the response of polling, sent when there is a message or when the hold time is
//! over.

use std::time::Duration;

use axum::response::Response;
use wire::ErrorBody;

use super::polling::batch_response;
use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture};
use crate::hub::Next;
use crate::refusal::Refusal;

pub(super) static ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "hold_ms", "token"], chunked: false, resume_header: None, answer: read };

fn read(mut request: ReadRequest) -> ResponseFuture {
    // Thousands of polls may be held at once, and none needs its HTTP request any more.
    drop(std::mem::take(&mut request.http));
    Box::pin(hold(request))
}

async fn hold(mut request: ReadRequest) -> Result<Response, Refusal> {
    let hold_max = request.state.limits.hold_max;
    let hold = request.hold_ms.map_or(hold_max, Duration::from_millis);
    if hold > hold_max {
        let max_ms = hold_max.as_millis();
        let hint = format!("use at most {max_ms} ms, or start the server with a larger --hold-max-ms");
        let error = format!("the maximum hold time is {max_ms} ms");
        return Err(Refusal::bad_request(ErrorBody::new("hold_ms", &hold.as_millis().to_string(), error, hint)));
    }
    if let Some(batch) = request.reader.since() {
        return Ok(batch_response(&request, Some(batch)));
    }
    if hold.is_zero() {
        return Ok(batch_response(&request, None));
    }
    let _busy = request.connection.busy_guard();
    match tokio::time::timeout(hold, request.reader.wait()).await {
        Ok(Next::Batch(batch)) => Ok(batch_response(&request, Some(batch))),
        Ok(Next::Closed) => Err(Refusal::closing()),
        Err(_) => Ok(batch_response(&request, None)),
    }
}
