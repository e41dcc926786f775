//! The floor: length-prefixed frames.

use std::convert::Infallible;
use std::rc::Rc;

use wire::{ClientItem, FRAME_PREFIX_BYTES, Join, Post, decode_down, encode_up, push_frame, split_frame};

use crate::fault::{End, Fault};
use crate::lean::Carry;
use crate::seat::Seat;
use crate::worker::Worker;
use results::{ByteClass, Direction, TrafficKind};

const FRAME_BYTES_MAX: usize = 8 << 20;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let mut reading = worker.open(seat).await?;
    let mut join = Vec::new();
    let ask = Join { room: worker.plan.room_name(seat.room), start: seat.start(), token: worker.target.token.clone() };
    push_frame(&mut join, |out| encode_up(&ClientItem::Join(ask), out));
    worker.count(Direction::Up, TrafficKind::SetUp, ByteClass::Framing, FRAME_PREFIX_BYTES);
    worker.count(Direction::Up, TrafficKind::SetUp, ByteClass::Envelope, join.len() - FRAME_PREFIX_BYTES);
    worker.send(reading.link(), &join)?;
    drop(join);
    let mut carry = Carry::default();
    loop {
        let n = worker.fill(seat, &mut reading).await?;
        if n == 0 {
            return Err(Fault::cut_short("the frames").into());
        }
        let scratch = worker.scratch.borrow();
        let before = worker.delivered();
        carry.feed(&scratch[..n], |bytes| {
            let mut taken = 0;
            while let Some(frame) = split_frame(&bytes[taken..], FRAME_BYTES_MAX)? {
                worker.take(seat, decode_down(frame.item)?, frame.item.len(), FRAME_PREFIX_BYTES)?;
                taken += frame.taken;
            }
            Ok::<_, End>(taken)
        })?;
        drop(scratch);
        worker.count_batch(before);
        worker.open_in_band(seat, reading.link());
        worker.pace();
    }
}

pub(super) fn compose(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    push_frame(out, |out| encode_up(&ClientItem::Post(post.clone()), out));
    let payload = post.text.len();
    worker.count(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
    worker.count(Direction::Up, TrafficKind::Posting, ByteClass::Framing, FRAME_PREFIX_BYTES);
    worker.count(
        Direction::Up,
        TrafficKind::Posting,
        ByteClass::Envelope,
        out.len() - start - payload - FRAME_PREFIX_BYTES,
    );
}
