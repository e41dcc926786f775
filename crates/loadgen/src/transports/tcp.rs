//! The floor: length-prefixed frames.

use std::convert::Infallible;
use std::rc::Rc;

use wire::{ClientItem, FRAME_PREFIX_BYTES, Join, Post, decode_down, encode_up, push_frame, split_frame};

use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::protocol::Carry;
use crate::worker::Worker;
use results::{ByteClass, Direction, TrafficKind};

const FRAME_BYTES_MAX: usize = 8 << 20;

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let mut reading = worker.open(client).await?;
    let mut join = Vec::new();
    let ask =
        Join { room: worker.plan.room_name(client.room), start: client.start_at(), token: worker.target.token.clone() };
    push_frame(&mut join, |out| encode_up(&ClientItem::Join(ask), out));
    worker.count_bytes(Direction::Up, TrafficKind::SetUp, ByteClass::Framing, FRAME_PREFIX_BYTES);
    worker.count_bytes(Direction::Up, TrafficKind::SetUp, ByteClass::Envelope, join.len() - FRAME_PREFIX_BYTES);
    worker.send(reading.connection(), &join)?;
    drop(join);
    let mut carry = Carry::default();
    loop {
        let n = worker.read(client, &mut reading).await?;
        if n == 0 {
            return Err(Fault::cut_short("the frames").into());
        }
        let scratch = worker.scratch.borrow();
        let before = worker.delivered();
        carry.feed(&scratch[..n], |bytes| {
            let mut taken = 0;
            while let Some(frame) = split_frame(&bytes[taken..], FRAME_BYTES_MAX)? {
                worker.receive(client, decode_down(frame.item)?, frame.item.len(), FRAME_PREFIX_BYTES)?;
                taken += frame.taken;
            }
            Ok::<_, SessionEnd>(taken)
        })?;
        drop(scratch);
        worker.count_batch(before);
        worker.open_in_band(client, reading.connection());
        worker.send_scheduled();
    }
}

pub(super) fn compose(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    push_frame(out, |out| encode_up(&ClientItem::Post(post.clone()), out));
    let payload = post.text.len();
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Framing, FRAME_PREFIX_BYTES);
    worker.count_bytes(
        Direction::Up,
        TrafficKind::Posting,
        ByteClass::Envelope,
        out.len() - start - payload - FRAME_PREFIX_BYTES,
    );
}
