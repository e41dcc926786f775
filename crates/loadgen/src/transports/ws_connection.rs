//! A WebSocket connection (RFC 6455): the handshake, messages from frames, answers to pings, the
//! close.

use std::rc::Rc;

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::http::connection::{Expected, HttpConnection, ReadOutcome, Request};
use crate::error::{Fault, SessionEnd};
use crate::net::connection::{Connection, ReadHalf};
use crate::protocol::Remainder;
use crate::protocol::http_response::Part;
use crate::protocol::ws_frame::{FrameReader, Incoming, Message, push_frame};
use crate::protocol::ws_handshake::Offer;
use crate::run_context::RunContext;
use crate::session::Session;

/// Constant masking key. RFC 6455, section 5.3, asks for an unpredictable one because of caching
/// proxies. There are none here, and unmasking costs the server the same.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x96, 0x3c];
const CLOSE_AWAY: u16 = 1001;
const SWITCHED: Expected = Expected::new(&[101], TrafficKind::SetUp);

pub(super) struct WsConnection {
    half: ReadHalf,
    remainder: Remainder,
    frames: FrameReader,
    /// Bytes that arrived together with the response to the handshake.
    rest: Vec<u8>,
}

impl WsConnection {
    /// Sends a request that has the headers of `offer`, and checks the response.
    pub(super) async fn open(session: &Session, request: &[u8], offer: &Offer) -> Result<Self, SessionEnd> {
        let mut http = HttpConnection::new(session.open().await?);
        Request::get(request, SWITCHED).send(&session.run, http.connection())?;
        loop {
            let on_part = |part: Part<'_>| match part {
                Part::Head(_, head) => Ok(offer.check(head)?),
                Part::Body(_) | Part::Framing(_) | Part::End => Ok(()),
            };
            match http.read(session, SWITCHED, || true, on_part).await? {
                ReadOutcome::Partial => {}
                ReadOutcome::Complete(_) => break,
                ReadOutcome::Closed(fault) => return Err(fault.into()),
            }
        }
        let (half, rest) = http.into_parts();
        Ok(Self { half, remainder: Remainder::default(), frames: FrameReader::default(), rest })
    }

    pub(super) const fn connection(&self) -> &Rc<Connection> {
        self.half.connection()
    }

    /// Waits for bytes and passes each complete message to `on_message`, with the bytes of its
    /// frame headers.
    pub(super) async fn read(
        &mut self,
        session: &Session,
        mut on_message: impl FnMut(&Connection, Message<'_>, usize) -> Result<(), SessionEnd>,
    ) -> Result<(), SessionEnd> {
        let Self { half, remainder, frames, rest } = self;
        let run = &*session.run;
        let before;
        if rest.is_empty() {
            let n = session.read(half).await?;
            if n == 0 {
                return Err(Fault::cut_short("the stream of frames").into());
            }
            before = run.delivered();
            let (scratch, connection) = (run.scratch.borrow(), half.connection());
            remainder.feed(&scratch[..n], |bytes| receive_frames(run, connection, frames, bytes, &mut on_message))?;
        } else {
            before = run.delivered();
            let (rest, connection) = (std::mem::take(rest), half.connection());
            remainder.feed(&rest, |bytes| receive_frames(run, connection, frames, bytes, &mut on_message))?;
        }
        run.count_batch(before);
        Ok(())
    }
}

fn receive_frames(
    run: &RunContext,
    connection: &Connection,
    frames: &mut FrameReader,
    bytes: &[u8],
    on_message: &mut impl FnMut(&Connection, Message<'_>, usize) -> Result<(), SessionEnd>,
) -> Result<usize, SessionEnd> {
    let count = |kind, bytes| run.count_bytes(Direction::Down, kind, ByteClass::Framing, bytes);
    frames.feed(bytes, |incoming, header_bytes| match incoming {
        Incoming::Message(message) => on_message(connection, message, header_bytes),
        Incoming::Ping(data) => {
            count(TrafficKind::KeepAlive, header_bytes + data.len());
            let mut pong = Vec::new();
            push_frame(OpCode::Control(Control::Pong), data.to_vec(), MASK, &mut pong);
            run.count_bytes(Direction::Up, TrafficKind::KeepAlive, ByteClass::Framing, pong.len());
            Ok(run.send(connection, &pong)?)
        }
        Incoming::Pong(data) => {
            count(TrafficKind::KeepAlive, header_bytes + data.len());
            Ok(())
        }
        Incoming::Close(code, data) => {
            count(TrafficKind::SetUp, header_bytes + data.len());
            Err(answer_close(run, connection, code))
        }
    })
}

/// Answers the server's close frame, and returns what its code means.
fn answer_close(run: &RunContext, connection: &Connection, code: Option<u16>) -> SessionEnd {
    let code_bytes = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
    let mut answer = Vec::new();
    push_frame(OpCode::Control(Control::Close), code_bytes, MASK, &mut answer);
    // The answer may fail: the server may have closed the connection already.
    if run.send(connection, &answer).is_ok() {
        run.count_bytes(Direction::Up, TrafficKind::SetUp, ByteClass::Framing, answer.len());
    }
    match code {
        Some(CLOSE_AWAY) => SessionEnd::Closed,
        // A Socket.IO server ends a session with a close frame without a code.
        None if run.transport.is_socketio() => SessionEnd::Closed,
        Some(code) => Fault::new(FaultKind::Problem, format!("close code {code}")).into(),
        None => Fault::new(FaultKind::Problem, "closed without a code").into(),
    }
}

/// Appends a message as one text frame, and returns the bytes of its header.
pub(super) fn push_text(text: Vec<u8>, out: &mut Vec<u8>) -> usize {
    push_frame(OpCode::Data(Data::Text), text, MASK, out)
}

/// Appends a message as one binary frame, and returns the bytes of its header.
pub(super) fn push_binary(bytes: Vec<u8>, out: &mut Vec<u8>) -> usize {
    push_frame(OpCode::Data(Data::Binary), bytes, MASK, out)
}

/// Sends a text message that is no post, and counts it.
pub(super) fn send_text(
    run: &RunContext,
    connection: &Connection,
    kind: TrafficKind,
    text: &[u8],
) -> Result<(), Fault> {
    let mut frame = Vec::with_capacity(text.len() + 8);
    push_text(text.to_vec(), &mut frame);
    // Messages that set a session up correspond to the headers of a request.
    let class = if kind == TrafficKind::SetUp { ByteClass::Headers } else { ByteClass::Framing };
    run.count_bytes(Direction::Up, kind, class, frame.len());
    run.send(connection, &frame)
}
