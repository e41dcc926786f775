//! Long polling: the same answer as polling, given when there is something or when the hold time is over.

use std::time::Duration;

use wire::ErrorBody;

use super::polling;
use crate::http::{ReadEndpoint, ReadRequest, Refusal, ResponseFuture};
use crate::hub::Next;

pub(super) const ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "hold_ms", "token"], chunked: false, answer: read };

fn read(mut visit: ReadRequest) -> ResponseFuture {
    // Thousands may wait here: none needs its request any more.
    drop(std::mem::take(&mut visit.request));
    Box::pin(hold(visit))
}

async fn hold(mut visit: ReadRequest) -> Result<axum::response::Response, Refusal> {
    let hold_max = visit.state.limits.hold_max;
    let hold = visit.hold_ms.map_or(hold_max, Duration::from_millis);
    if hold > hold_max {
        let found = hold.as_millis().to_string();
        let hint =
            format!("ask for at most {} ms, or start the server with a larger --hold-max-ms", hold_max.as_millis());
        return Err(Refusal::bad(ErrorBody::new("hold_ms", &found, "the server does not hold that long", hint)));
    }
    if let Some(batch) = visit.reader.since() {
        return Ok(polling::respond(&visit, Some(batch)));
    }
    let _busy = visit.connection.busy_guard();
    match tokio::time::timeout(hold, visit.reader.wait()).await {
        Ok(Next::Batch(batch)) => Ok(polling::respond(&visit, Some(batch))),
        Ok(Next::Closed) => Err(Refusal::closing()),
        Err(_) => Ok(polling::respond(&visit, None)),
    }
}
