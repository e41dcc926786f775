//! The upgrade of a session from polling to a WebSocket.
//!
//! engineioxide 0.17.9 marks a session as upgrading as soon as a WebSocket names it. From then on
//! it answers every poll at once, sends no pings, and ends the session when the WebSocket closes,
//! is silent or sends a wrong packet; two WebSockets may upgrade one session at the same time.
//! Therefore this module does the probe itself, for one WebSocket per session at a time, and hands
//! the WebSocket to the library only after the client has sent `5`. Until then the session stays on
//! polling, as with the JavaScript server: polls return packets, and after the probe a poll without
//! packets returns a noop, because the client waits for the end of its poll.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{FutureExt, SinkExt, StreamExt};
use socketioxide::socket::Sid;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use wire::ByteCounts;

use super::library::{Library, SEPARATOR};
use super::sessions::SessionHandle;
use super::stream::Stream;
use crate::counters::Counter;
use crate::refusal::Refusal;
use crate::state::ServerState;

/// Maximum size of a message before the session is on the WebSocket.
const PROBE_BYTES_MAX: usize = 128;
/// How long a client may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A WebSocket that may become the transport of a session. While it exists, no other WebSocket may.
pub(super) struct UpgradeAttempt {
    sid: Sid,
    session: Arc<SessionHandle>,
}

impl UpgradeAttempt {
    pub(super) fn begin(sid: Sid, session: Arc<SessionHandle>) -> Result<Self, Refusal> {
        session.upgrade.open(sid)?;
        Ok(Self { sid, session })
    }

    /// Probes the WebSocket. When the client completes the upgrade in time, the session continues
    /// there; otherwise on polling.
    pub(super) async fn run(self, state: &ServerState, library: &Library, stream: Stream) {
        let config = WebSocketConfig::default()
            .read_buffer_size(PROBE_BYTES_MAX)
            .max_message_size(Some(PROBE_BYTES_MAX))
            .max_frame_size(Some(PROBE_BYTES_MAX));
        let mut ws = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let probed = tokio::select! {
            probed = timeout(state.limits.header_timeout, self.probe(&mut ws)) => probed,
            () = state.closing.cancelled() => Ok(None),
        };
        if let Ok(Some(())) = probed {
            return self.finish(library, ws).await;
        }
        if probed.is_err() {
            ws.get_ref().connection().stats.count(Counter::TimedOut);
        }
        drop(self);
        let closing = async {
            ws.close(None).await.ok();
            while let Some(Ok(_)) = ws.next().await {}
        };
        timeout(CLOSE_WAIT, closing).await.ok();
    }

    /// Answers `2probe` and waits for `5`. Returns `None` when the client closes the WebSocket or
    /// sends another packet.
    async fn probe(&self, ws: &mut WebSocketStream<Stream>) -> Option<()> {
        expect(ws, "2probe").await?;
        ws.send(Message::text("3probe")).await.ok()?;
        self.session.upgrade.probed();
        expect(ws, "5").await
    }

    async fn finish(self, library: &Library, mut ws: WebSocketStream<Stream>) {
        self.session.upgrade.upgraded().await;
        self.session.observe_writes(ws.get_ref().connection());
        self.send_remaining(library, &mut ws).await;
        library.upgrade(self.sid, ws.into_inner().after_probe());
    }

    /// Sends the packets that the next poll would return. engineioxide 0.17.9 loses one of them in
    /// an upgrade: the packet that did not fit into the last answer.
    async fn send_remaining(&self, library: &Library, ws: &mut WebSocketStream<Stream>) {
        let mut messages = Vec::new();
        // Nothing is written in this loop. So backpressure limits the packets of the session, and
        // the loop ends.
        while let Some(answer) = library.poll(self.sid).now_or_never() {
            let packets = std::str::from_utf8(answer.body()).unwrap_or_default();
            if answer.status() != StatusCode::OK || packets.is_empty() {
                break;
            }
            messages.extend(packets.split(SEPARATOR).map(message));
        }
        let connection = ws.get_ref().connection();
        connection.stats.counters().add_batch(connection.stats.slot(), 0, messages.len() as u64, ByteCounts::default());
        for message in messages {
            if ws.feed(message).await.is_err() {
                return;
            }
        }
        ws.flush().await.ok();
    }
}

impl Drop for UpgradeAttempt {
    fn drop(&mut self) {
        self.session.upgrade.abandon();
    }
}

/// Waits for this packet. Returns `None` when the client closes the WebSocket or sends another
/// packet.
async fn expect(ws: &mut WebSocketStream<Stream>, packet: &str) -> Option<()> {
    loop {
        match ws.next().await?.ok()? {
            Message::Text(text) if text.as_str() == packet => return Some(()),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return None,
            _ => {
                ws.get_ref().connection().stats.count(Counter::Malformed);
                return None;
            }
        }
    }
}

/// Converts a packet from its form on polling to its form on a WebSocket.
fn message(packet: &str) -> Message {
    match packet.strip_prefix('b') {
        Some(encoded) => Message::binary(STANDARD.decode(encoded).unwrap_or_default()),
        None => Message::text(packet),
    }
}
