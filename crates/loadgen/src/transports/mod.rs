//! How each transport's client works: one module each, named like the server's.

mod by_reqwest;
mod exchange;
mod http_streaming;
mod long_polling;
mod polling;
mod post_line;
mod repeated;
mod socketio;
mod sse;
mod stomp;
mod stream;
mod tcp;
mod upgraded;
mod websocket;

use std::convert::Infallible;
use std::rc::Rc;

use scenario::{HttpClient, Plan, Protocol};
use wire::{Post, Transport};

use crate::client::{Client, Way};
use crate::error::SessionEnd;
use crate::worker::Worker;

pub(crate) use post_line::PostConnection;
pub(crate) use socketio::PacketSender;

/// Connects a client and keeps it in its room until the connection is over.
pub(crate) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    if let Protocol::PlainBroadcast { path } = &worker.target.protocol {
        return repeated::session(worker, client, path).await;
    }
    if is_by_reqwest(&worker.plan, worker.transport) {
        return by_reqwest::session(worker, client).await;
    }
    match worker.transport {
        Transport::Tcp => tcp::session(worker, client).await,
        Transport::Polling => polling::session(worker, client).await,
        Transport::LongPolling => long_polling::session(worker, client).await,
        Transport::HttpStreaming => http_streaming::session(worker, client).await,
        Transport::Sse => sse::session(worker, client).await,
        Transport::Websocket => websocket::session(worker, client).await,
        Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
            socketio::session(worker, client).await
        }
        Transport::Stomp => stomp::session(worker, client).await,
    }
}

/// Says goodbye where the end of a connection does not say it. Nobody waits for the answer, and no count has it.
pub(crate) fn say_goodbye(client: &Client) -> bool {
    match &*client.sender.borrow() {
        Way::Packets(line) => line.say_goodbye(),
        Way::None | Way::InBand(_) | Way::Second(_) | Way::Between => false,
    }
}

/// Whether the clients are `reqwest`'s, which keeps its connections to itself.
pub(crate) fn is_by_reqwest(plan: &Plan, transport: Transport) -> bool {
    plan.http_client == HttpClient::Reqwest && transport.has_room_url() && !transport.posts_in_band()
}

/// Appends a post as it goes up on the connection that carries the messages, and counts its bytes.
pub(crate) fn encode_in_band(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    match worker.transport {
        Transport::Tcp => tcp::compose(worker, post, out),
        Transport::Websocket => websocket::compose(worker, post, out),
        Transport::SocketioWebsocket | Transport::Socketio => socketio::compose(worker, post, out),
        Transport::Stomp => stomp::compose(worker, post, out),
        Transport::Polling
        | Transport::LongPolling
        | Transport::HttpStreaming
        | Transport::Sse
        | Transport::SocketioPolling => unreachable!("these transports post by request"),
    }
}

#[cfg(test)]
mod tests;
