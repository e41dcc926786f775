//! What the transports on the HTTP port share: heads, read requests, posts, responses, streams,
//! WebSockets.

pub(crate) mod cors;
mod error;
mod post;
mod presence;
mod request;
mod request_head;
mod response;
mod response_head;
mod stream;
mod websocket;

pub(crate) use post::{answer_post, check_post, check_text, post_bytes_max, publish_body, refuse_read_with_body};
pub(crate) use presence::answer_presence;
pub(crate) use request::{
    ParsedRead, ReadEndpoint, ReadKind, ReadRequest, StreamKind, WebSocketUpgrade, check_origin, check_stats_request,
    connection_of,
};
pub(crate) use request_head::{HEAD_BYTES_MAX, ParsedHead, RequestHead};
pub(crate) use response::{finish, json};
pub(crate) use response_head::{ResponseForm, batch_head, empty_response, json_response, refusal_response};
pub(crate) use stream::{Stream, opening_head};
pub(crate) use websocket::{Subscriber, WebSocket, WebSocketEnd, accept, upgrade, upgraded_socket};
