//! Long polling: the response of polling, sent when there is a message or when the hold time is
//! over.

use std::time::Duration;

use wire::ErrorBody;

use crate::config::ServerLimits;
use crate::http::{ReadEndpoint, ReadKind, ReadRequest};
use crate::refusal::Refusal;

pub(super) static ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "hold_ms", "token"], kind: ReadKind::Poll(hold_time) };

fn hold_time(request: &ReadRequest, limits: &ServerLimits) -> Result<Duration, Refusal> {
    let hold = request.hold_ms.map_or(limits.hold_max, Duration::from_millis);
    if hold <= limits.hold_max {
        return Ok(hold);
    }
    let max_ms = limits.hold_max.as_millis();
    let hint = format!("use at most {max_ms} ms, or start the server with a larger --hold-max-ms");
    let error = format!("the maximum hold time is {max_ms} ms");
    Err(Refusal::bad_request(ErrorBody::new("hold_ms", &hold.as_millis().to_string(), error, hint)))
}
