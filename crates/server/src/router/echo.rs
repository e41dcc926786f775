//! A WebSocket that sends back what it gets, on the code that the transports stand on: for Autobahn, and in no release.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use wire::{ByteCounts, Encoding, Framing, StartAt};

use crate::app::App;
use crate::http::{Caller, Channel, End, Refusal, Visit, gauge_of, upgrade};
use crate::meter::Label;

/// Where it is.
pub(super) const PATH: &str = "/echo";

pub(super) async fn answer(app: Arc<App>, request: Request) -> Response {
    begin(app, request).unwrap_or_else(Refusal::into_response)
}

fn begin(app: Arc<App>, request: Request) -> Result<Response, Refusal> {
    let gauge = gauge_of(&request);
    gauge.begin_request(Label::OTHER);
    // Nobody posts there; a WebSocket has a room.
    let reader = app.hub.room("echo")?.reader(Framing::WsText.into(), StartAt::Live);
    let reader = reader.map_err(|ahead| Refusal::cursor_ahead(StartAt::Live, ahead))?;
    let visit =
        Visit { app, gauge, reader, encoding: Encoding::Json, hold_ms: None, had_cursor: true, reset: None, request };
    upgrade(visit, None, serve)
}

async fn serve(_caller: Caller, mut channel: Channel) {
    let Err(end) = echo(&mut channel).await;
    channel.close(end, |_, _| true).await;
}

async fn echo(channel: &mut Channel) -> Result<Infallible, End> {
    loop {
        let message = channel.next().await?;
        let Some(message) = channel.settle(message).await? else { continue };
        let kind = if matches!(message, Message::Text(_)) { Data::Text } else { Data::Binary };
        let mut frame = Vec::new();
        Frame::message(message.into_data(), OpCode::Data(kind), true).format(&mut frame)?;
        channel.write(&frame, ByteCounts::default()).await?;
    }
}
