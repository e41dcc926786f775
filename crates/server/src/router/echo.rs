//! A WebSocket that sends back what it gets, on the code that the transports stand on: for Autobahn, and in no release.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use wire::{ByteCounts, Encoding, Framing, StartAt};

use crate::counters::TransportSlot;
use crate::http::{ReadRequest, Refusal, Subscriber, WebSocket, WebSocketEnd, connection_of, upgrade};
use crate::state::ServerState;

/// Where it is.
pub(super) const PATH: &str = "/echo";

pub(super) async fn answer(state: Arc<ServerState>, request: Request) -> Response {
    begin(state, request).unwrap_or_else(Refusal::into_response)
}

fn begin(state: Arc<ServerState>, request: Request) -> Result<Response, Refusal> {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::OTHER);
    // Nobody posts there; a WebSocket has a room.
    let reader = state.hub.room("echo")?.reader(Framing::WsText.into(), StartAt::Live);
    let reader = reader.map_err(|ahead| Refusal::cursor_ahead(StartAt::Live, ahead))?;
    let visit = ReadRequest {
        state,
        connection,
        reader,
        encoding: Encoding::Json,
        hold_ms: None,
        had_cursor: true,
        reset: None,
        request,
    };
    upgrade(visit, None, serve)
}

async fn serve(_caller: Subscriber, mut socket: WebSocket) {
    let Err(end) = echo(&mut socket).await;
    socket.close(end, |_, _| true).await;
}

async fn echo(socket: &mut WebSocket) -> Result<Infallible, WebSocketEnd> {
    loop {
        let message = socket.next().await?;
        let Some(message) = socket.handle_control_frame(message).await? else { continue };
        let kind = if matches!(message, Message::Text(_)) { Data::Text } else { Data::Binary };
        let mut frame = Vec::new();
        Frame::message(message.into_data(), OpCode::Data(kind), true).format(&mut frame)?;
        socket.write(&frame, ByteCounts::default()).await?;
    }
}
