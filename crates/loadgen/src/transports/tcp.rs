//! Raw TCP, the baseline: length-prefixed binary items.

use std::convert::Infallible;

use results::{ByteClass, Direction, TrafficKind};
use wire::{ClientItem, FRAME_PREFIX_BYTES, Join, Post, decode_down, encode_up, push_frame, split_frame};

use super::in_band;
use crate::error::{Fault, SessionEnd};
use crate::protocol::Remainder;
use crate::run_context::RunContext;
use crate::session::Session;

const FRAME_BYTES_MAX: usize = 8 << 20;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    let (run, client) = (&*session.run, &*session.client);
    let mut half = session.open().await?;
    let join =
        Join { room: run.plan.room_name(client.room), start: client.start_at(), token: run.target.token.clone() };
    let mut frame = Vec::new();
    push_frame(&mut frame, |out| encode_up(&ClientItem::Join(join), out));
    run.count_bytes(Direction::Up, TrafficKind::SetUp, ByteClass::Framing, FRAME_PREFIX_BYTES);
    run.count_bytes(Direction::Up, TrafficKind::SetUp, ByteClass::Envelope, frame.len() - FRAME_PREFIX_BYTES);
    run.send(half.connection(), &frame)?;
    drop(frame);
    let mut remainder = Remainder::default();
    loop {
        let n = session.read(&mut half).await?;
        if n == 0 {
            return Err(Fault::cut_short("the stream of frames").into());
        }
        let scratch = run.scratch.borrow();
        let before = run.delivered();
        remainder.feed(&scratch[..n], |bytes| receive_frames(session, bytes))?;
        drop(scratch);
        run.count_batch(before);
        in_band::attach(session, half.connection(), encode);
        session.send_scheduled();
    }
}

/// Handles complete frames, and returns how many bytes they were.
fn receive_frames(session: &Session, bytes: &[u8]) -> Result<usize, SessionEnd> {
    let mut parsed = 0;
    while let Some(frame) = split_frame(&bytes[parsed..], FRAME_BYTES_MAX)? {
        session.receive(decode_down(frame.item)?, frame.item.len(), FRAME_PREFIX_BYTES)?;
        parsed += frame.taken;
    }
    Ok(parsed)
}

fn encode(run: &RunContext, post: &Post<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    push_frame(out, |out| encode_up(&ClientItem::Post(post.clone()), out));
    let payload = post.text.len();
    run.count_post(payload, out.len() - start - payload - FRAME_PREFIX_BYTES, FRAME_PREFIX_BYTES);
}
