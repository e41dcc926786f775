//! WebSocket: the handshake by request, then frames.

use std::convert::Infallible;
use std::rc::Rc;

use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use wire::{Encoding, Form, Post, Up, decode_down, decode_json, encode_post_json, encode_up};

use super::exchange::{Exchange, expect_status};
use crate::fault::{End, Fault};
use crate::lean::Carry;
use crate::lean::frames::{FrameReader, Incoming, push_frame};
use crate::link::Reading;
use crate::seat::Seat;
use crate::worker::Worker;
use results::FaultKind;
use results::{Class, Direction, Purpose};

/// Masks hide nothing on loopback; a constant one costs the server the same as a random one.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x96, 0x3c];
const CLOSE_AWAY: u16 = 1001;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let (mut reading, mut carry, mut frames) = connect(worker, seat).await?;
    loop {
        let n = worker.fill(seat, &mut reading).await?;
        if n == 0 {
            return Err(Fault::cut_short("the frames").into());
        }
        let scratch = worker.scratch.borrow();
        let before = worker.delivered();
        carry.feed(&scratch[..n], |bytes| take_frames(worker, seat, &reading, &mut frames, bytes))?;
        drop(scratch);
        worker.count_batch(before);
        worker.open_in_band(seat, reading.link());
        worker.pace();
    }
}

/// Asks for the upgrade, checks the answer, and takes the frames that came along with it.
async fn connect(worker: &Worker, seat: &Seat) -> Result<(Reading, Carry, FrameReader), End> {
    let encoding = match worker.form {
        Form::BinaryFrames => Encoding::Binary,
        Form::TextFrames | Form::Frames | Form::Lines | Form::Events => Encoding::Json,
    };
    let headers = format!(
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {}\r\n",
        generate_key()
    );
    let requests = worker.requests(seat, &format!("encoding={}", encoding.name()), &headers);
    let mut request = Vec::new();
    requests.read(seat.start(), &mut request);
    worker.count(Direction::Up, Purpose::SetUp, Class::Headers, request.len());
    let mut exchange = Exchange::new(worker.open(seat).await?);
    let head = exchange.ask(worker, seat, &request, Purpose::SetUp, |_| Ok(())).await?;
    expect_status(head.status, &[101])?;
    worker.count(Direction::Down, Purpose::SetUp, Class::Headers, head.bytes);
    let (reading, rest) = exchange.into_parts();
    let (mut carry, mut frames) = (Carry::default(), FrameReader::default());
    carry.feed(&rest, |bytes| take_frames(worker, seat, &reading, &mut frames, bytes))?;
    worker.open_in_band(seat, reading.link());
    Ok((reading, carry, frames))
}

fn take_frames(
    worker: &Worker,
    seat: &Seat,
    reading: &Reading,
    frames: &mut FrameReader,
    bytes: &[u8],
) -> Result<usize, End> {
    let binary = worker.form == Form::BinaryFrames;
    frames.feed(bytes, |incoming, header_bytes| match incoming {
        Incoming::Message(message) => {
            let item = if binary { decode_down(message)? } else { decode_json(message)? };
            worker.take(seat, item, message.len(), header_bytes)
        }
        Incoming::Ping(data) => {
            worker.count(Direction::Down, Purpose::KeepAlive, Class::Framing, header_bytes + data.len());
            let mut pong = Vec::new();
            push_frame(OpCode::Control(Control::Pong), data.to_vec(), MASK, &mut pong);
            worker.count(Direction::Up, Purpose::KeepAlive, Class::Framing, pong.len());
            Ok(worker.send(reading.link(), &pong)?)
        }
        Incoming::Close(CLOSE_AWAY) => Err(End::Cut),
        Incoming::Close(code) => Err(Fault::new(FaultKind::Problem, format!("close code {code}")).into()),
        Incoming::Pong | Incoming::Fragment => Ok(()),
    })
}

pub(super) fn compose(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let mut item = Vec::with_capacity(post.text.len() + 64);
    let opcode = if worker.form == Form::BinaryFrames {
        encode_up(&Up::Post(post.clone()), &mut item);
        Data::Binary
    } else {
        encode_post_json(post, &mut item);
        Data::Text
    };
    let (item_bytes, payload) = (item.len(), post.text.len());
    let header = push_frame(OpCode::Data(opcode), item, MASK, out);
    worker.count(Direction::Up, Purpose::Posting, Class::Payload, payload);
    worker.count(Direction::Up, Purpose::Posting, Class::Envelope, item_bytes - payload);
    worker.count(Direction::Up, Purpose::Posting, Class::Framing, header);
}
