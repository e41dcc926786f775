//! A WebSocket under a transport: the handshake by request, whole messages out of frames, pings answered, and an end that says why.

use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::exchange::{Expected, HttpConnection, ReadOutcome, Request};
use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::link::{Connection, ReadHalf};
use crate::protocol::Carry;
use crate::protocol::frames::{FrameReader, Incoming, Message, push_frame};
use crate::protocol::handshake::Offer;
use crate::protocol::response::Part;
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

/// Masks hide nothing on loopback; a constant one costs the server the same as a random one.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x96, 0x3c];
const CLOSE_AWAY: u16 = 1001;

pub(super) struct WsConnection {
    reading: ReadHalf,
    carry: Carry,
    frames: FrameReader,
    /// What came along with the answer to the handshake.
    rest: Vec<u8>,
}

const SWITCHED: Expected = Expected::all(&[101], TrafficKind::SetUp);

impl WsConnection {
    /// Asks for the upgrade with a request that holds the headers of `offer`, and checks the answer.
    pub(super) async fn open(
        worker: &Worker,
        client: &Client,
        request: &[u8],
        offer: &Offer,
    ) -> Result<Self, SessionEnd> {
        let mut connection = HttpConnection::new(worker.open(client).await?);
        Request::get(request, SWITCHED).send(worker, connection.link())?;
        loop {
            let part = |part: Part<'_>| match part {
                Part::Head(_, written) => Ok(offer.check(written)?),
                Part::Body(_) | Part::Framing(_) | Part::End => Ok(()),
            };
            match connection.read(worker, client, SWITCHED, || true, part).await? {
                ReadOutcome::Partial => {}
                ReadOutcome::Complete(_) => break,
                ReadOutcome::Closed(fault) => return Err(fault.into()),
            }
        }
        let (reading, rest) = connection.into_parts();
        Ok(Self { reading, carry: Carry::default(), frames: FrameReader::default(), rest })
    }

    pub(super) const fn link(&self) -> &std::rc::Rc<Connection> {
        self.reading.connection()
    }

    /// Waits for bytes and gives out the messages they complete, each with the bytes of its frames' headers.
    pub(super) async fn read(
        &mut self,
        worker: &Worker,
        client: &Client,
        mut take: impl FnMut(&Connection, Message<'_>, usize) -> Result<(), SessionEnd>,
    ) -> Result<(), SessionEnd> {
        let Self { reading, carry, frames, rest } = self;
        let before;
        if rest.is_empty() {
            let n = worker.read(client, reading).await?;
            if n == 0 {
                return Err(Fault::cut_short("the frames").into());
            }
            before = worker.delivered();
            let (scratch, link) = (worker.scratch.borrow(), reading.connection());
            carry.feed(&scratch[..n], |bytes| receive_frames(worker, link, frames, bytes, &mut take))?;
        } else {
            before = worker.delivered();
            let (rest, link) = (std::mem::take(rest), reading.connection());
            carry.feed(&rest, |bytes| receive_frames(worker, link, frames, bytes, &mut take))?;
        }
        worker.count_batch(before);
        Ok(())
    }
}

fn receive_frames(
    worker: &Worker,
    link: &Connection,
    frames: &mut FrameReader,
    bytes: &[u8],
    take: &mut impl FnMut(&Connection, Message<'_>, usize) -> Result<(), SessionEnd>,
) -> Result<usize, SessionEnd> {
    frames.feed(bytes, |incoming, header_bytes| match incoming {
        Incoming::Message(message) => take(link, message, header_bytes),
        Incoming::Ping(data) => {
            worker.count_bytes(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, header_bytes + data.len());
            let mut pong = Vec::new();
            push_frame(OpCode::Control(Control::Pong), data.to_vec(), MASK, &mut pong);
            worker.count_bytes(Direction::Up, TrafficKind::KeepAlive, ByteClass::Framing, pong.len());
            Ok(worker.send(link, &pong)?)
        }
        Incoming::Pong(data) => {
            worker.count_bytes(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, header_bytes + data.len());
            Ok(())
        }
        Incoming::Close(code, data) => {
            worker.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, header_bytes + data.len());
            Err(answer_close(worker, link, code))
        }
    })
}

/// Answers the server's close frame, and says what its code means.
fn answer_close(worker: &Worker, link: &Connection, code: Option<u16>) -> SessionEnd {
    let code_bytes = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
    let mut answer = Vec::new();
    push_frame(OpCode::Control(Control::Close), code_bytes, MASK, &mut answer);
    // A server that no longer listens has said what it had to say.
    if worker.send(link, &answer).is_ok() {
        worker.count_bytes(Direction::Up, TrafficKind::SetUp, ByteClass::Framing, answer.len());
    }
    match code {
        Some(CLOSE_AWAY) => SessionEnd::Closed,
        // How a Socket.IO server ends a session.
        None if worker.transport.is_socketio() => SessionEnd::Closed,
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

/// Sends a text message that is neither a post nor, by itself, anything else that is counted apart.
pub(super) fn send_text(worker: &Worker, link: &Connection, purpose: TrafficKind, text: &[u8]) -> Result<(), Fault> {
    let mut frame = Vec::with_capacity(text.len() + 8);
    push_text(text.to_vec(), &mut frame);
    // What begins a session is a handshake, whatever it is written in.
    let class = if purpose == TrafficKind::SetUp { ByteClass::Headers } else { ByteClass::Framing };
    worker.count_bytes(Direction::Up, purpose, class, frame.len());
    worker.send(link, &frame)
}
