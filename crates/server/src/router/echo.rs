//! A WebSocket echo on the code of the transports, for the Autobahn test suite. Not in releases.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use wire::{ByteCounts, Encoding, Framing, StartAt};

use crate::counters::TransportSlot;
use crate::http::{ReadRequest, Subscriber, WebSocket, WebSocketEnd, connection_of, upgrade};
use crate::refusal::Refusal;
use crate::state::ServerState;

pub(super) const PATH: &str = "/echo";

pub(super) async fn answer(state: Arc<ServerState>, request: Request) -> Response {
    begin(state, request).unwrap_or_else(Refusal::into_response)
}

fn begin(state: Arc<ServerState>, request: Request) -> Result<Response, Refusal> {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::OTHER);
    // A WebSocket has a room. This one gets no posts.
    let reader = state.hub.room("echo")?.reader(Framing::WsText.into(), StartAt::Live);
    let reader = reader.map_err(|ahead| Refusal::cursor_ahead(StartAt::Live, ahead))?;
    let read = ReadRequest { reader, encoding: Encoding::Json, hold_ms: None, had_cursor: true, reset: None };
    upgrade(&state, &connection, read, request, None, serve)
}

async fn serve(_subscriber: Subscriber, mut websocket: WebSocket) {
    let Err(end) = echo(&mut websocket).await;
    Box::pin(websocket.close(end, |_, _| true)).await;
}

async fn echo(websocket: &mut WebSocket) -> Result<Infallible, WebSocketEnd> {
    loop {
        let message = websocket.next().await?;
        let Some(message) = websocket.handle_control_frame(message).await? else { continue };
        let kind = if matches!(message, Message::Text(_)) { Data::Text } else { Data::Binary };
        let mut frame = Vec::new();
        Frame::message(message.into_data(), OpCode::Data(kind), true).format(&mut frame)?;
        websocket.write(&frame, ByteCounts::default()).await?;
    }
}
