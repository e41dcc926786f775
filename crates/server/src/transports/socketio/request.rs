//! Requests of Engine.IO, by method and query.

use std::str::FromStr;

use axum::http::Method;
use socketioxide::socket::Sid;
use wire::{ErrorBody, Transport};

use crate::counters::TransportSlot;
use crate::refusal::Refusal;

/// A checked request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EngineRequest {
    /// Opens a session on polling.
    Open,
    /// Opens a session on a WebSocket.
    OpenWebSocket,
    /// Asks for a session's packets.
    Poll(Sid),
    /// Sends packets to a session.
    Post(Sid),
    /// Opens a WebSocket for a session on polling.
    Upgrade(Sid),
}

impl EngineRequest {
    pub(super) fn parse(method: &Method, query: &str) -> Result<Self, Refusal> {
        let refuse = |field, error, hint| {
            let found = parameter(query, field).unwrap_or("");
            Err(Refusal::bad_request(ErrorBody::new(field, found, error, hint)))
        };
        if parameter(query, "EIO") != Some("4") {
            return refuse("EIO", "the server supports version 4 of Engine.IO only", "use EIO=4");
        }
        let sid =
            parameter(query, "sid").map(|sid| Sid::from_str(sid).map_err(|_| unknown_session(sid))).transpose()?;
        match (parameter(query, "transport"), method, sid) {
            // The handshake checks its method.
            (Some("websocket"), _, None) => Ok(Self::OpenWebSocket),
            (Some("websocket"), _, Some(sid)) => Ok(Self::Upgrade(sid)),
            (Some("polling"), &Method::GET, None) => Ok(Self::Open),
            (Some("polling"), &Method::GET, Some(sid)) => Ok(Self::Poll(sid)),
            (Some("polling"), &Method::POST, Some(sid)) => Ok(Self::Post(sid)),
            (Some("polling"), method, _) => {
                let hint = "use GET to open a session and to poll, POST with a sid to send packets";
                Err(Refusal::bad_request(ErrorBody::new(
                    "method",
                    method.as_str(),
                    "this method is not supported on polling",
                    hint,
                )))
            }
            _ => refuse("transport", "unknown transport", "use transport=polling or transport=websocket"),
        }
    }
}

pub(super) fn unknown_session(sid: &str) -> Refusal {
    Refusal::bad_request(ErrorBody::new(
        "sid",
        sid,
        "no session has this id",
        "open a session with a request without sid",
    ))
}

/// The transport that a request is counted for. With `upgrade=1` a client announces its upgrade.
/// Other sessions are counted as polling until they upgrade.
pub(super) fn slot_of(query: &str) -> TransportSlot {
    let websocket = parameter(query, "transport") == Some("websocket");
    let (has_sid, announces) = (parameter(query, "sid").is_some(), parameter(query, "upgrade").is_some());
    TransportSlot::of(match (websocket, has_sid || announces) {
        (true, false) => Transport::SocketioWebsocket,
        (false, _) if !announces => Transport::SocketioPolling,
        _ => Transport::Socketio,
    })
}

/// The first value of a key.
fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(found, _)| *found == key).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_for_their_transport() {
        let sid = Sid::new();
        assert_eq!(slot_of("EIO=4&transport=polling"), TransportSlot::of(Transport::SocketioPolling));
        assert_eq!(
            slot_of(&format!("EIO=4&transport=polling&sid={sid}")),
            TransportSlot::of(Transport::SocketioPolling)
        );
        assert_eq!(slot_of("EIO=4&transport=polling&upgrade=1"), TransportSlot::of(Transport::Socketio));
        assert_eq!(slot_of("EIO=4&transport=websocket"), TransportSlot::of(Transport::SocketioWebsocket));
        assert_eq!(slot_of(&format!("EIO=4&transport=websocket&sid={sid}")), TransportSlot::of(Transport::Socketio));
    }

    #[test]
    fn method_and_query_decide_what_a_request_is() {
        let sid = Sid::new();
        let of =
            |method: &Method, query: &str| EngineRequest::parse(method, query).map_err(|refusal| refusal.body.field);
        let with = |transport: &str| format!("EIO=4&transport={transport}&sid={sid}");
        assert_eq!(of(&Method::GET, "transport=polling&EIO=4&t=x"), Ok(EngineRequest::Open));
        assert_eq!(of(&Method::GET, &with("polling")), Ok(EngineRequest::Poll(sid)));
        assert_eq!(of(&Method::POST, &with("polling")), Ok(EngineRequest::Post(sid)));
        assert_eq!(of(&Method::GET, "EIO=4&transport=websocket"), Ok(EngineRequest::OpenWebSocket));
        assert_eq!(of(&Method::GET, &with("websocket")), Ok(EngineRequest::Upgrade(sid)));
        for (method, query, field) in [
            (Method::GET, "", "EIO"),
            (Method::GET, "transport=polling", "EIO"),
            (Method::GET, "EIO=3&transport=polling", "EIO"),
            (Method::GET, "EIO=4=4&transport=polling", "EIO"),
            (Method::GET, "EIO=4", "transport"),
            (Method::GET, "EIO=4&transport=websocket=", "transport"),
            (Method::POST, "EIO=4&transport=polling", "method"),
            (Method::PUT, "EIO=4&transport=polling", "method"),
            (Method::GET, "EIO=4&transport=polling&sid=", "sid"),
            (Method::GET, "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAA", "sid"),
            (Method::GET, "EIO=4&transport=websocket&sid=AAAAAAAAAAAAAA%3D", "sid"),
        ] {
            assert_eq!(of(&method, query), Err(field.to_owned()), "{method} {query}");
        }
    }
}
