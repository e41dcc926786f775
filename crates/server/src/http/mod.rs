//! What the transports on the HTTP port share: read requests, posts, responses, streams,
//! WebSockets.

pub(crate) mod cors;
mod error;
mod post;
mod request;
mod response;
mod stream;
mod websocket;

pub(crate) use post::{answer_post, check_text, post_bytes_max, refuse_read_with_body};
pub(crate) use request::{ReadEndpoint, ReadRequest, ResponseFuture, check_stats_request, connection_of};
pub(crate) use response::{finish, json, response};
pub(crate) use stream::{StreamKind, stream};
pub(crate) use websocket::{Subscriber, WebSocket, WebSocketEnd, accept, upgrade, upgraded_stream};
