//! The connection on which a Socket.IO session polls: the server holds each request until it has
//! packets.

use std::rc::Rc;

use results::{FaultKind, TrafficKind};

use super::packet_reader::PacketReader;
use super::packet_sender::PacketSender;
use super::request;
use crate::error::{Fault, SessionEnd};
use crate::protocol::Remainder;
use crate::protocol::socketio_packet::{PACKET_BYTES_MAX, SEPARATOR};
use crate::session::Session;
use crate::transports::http::connection::{Expected, Request};
use crate::transports::http::requester::Requester;

/// A poll counts as empty until its response has messages.
const PACKETS: Expected = Expected { statuses: &[200], heads: TrafficKind::Empty, framing: TrafficKind::Delivery };

pub(super) struct PollConnection {
    requester: Requester,
    request: Vec<u8>,
}

impl PollConnection {
    pub(super) fn new(requester: Requester, session: &Session, sid: &str) -> Self {
        Self { requester, request: request(session, "GET", "polling", sid, "") }
    }

    /// Polls once and handles the packets of the response. Replies go to the sender.
    pub(super) async fn poll(
        &mut self,
        session: &Session,
        reader: &PacketReader,
        sender: &Rc<PacketSender>,
    ) -> Result<(), SessionEnd> {
        let run = &*session.run;
        let (mut remainder, mut kind, mut batches) = (Remainder::default(), TrafficKind::Empty, 0);
        let mut receive = |packet: &[u8], around: usize| -> Result<(), SessionEnd> {
            kind = kind_of(packet, kind);
            let answers = reader.receive(session, packet, around)?;
            Ok(answers.iter().try_for_each(|reply| sender.send_packet(run, reply))?)
        };
        let request = Request::get(&self.request, PACKETS);
        let on_body = |bytes: &[u8]| {
            let before = run.delivered();
            remainder.feed(bytes, |bytes| receive_packets(bytes, &mut receive))?;
            batches += u64::from(run.delivered() > before);
            Ok(())
        };
        let head = self.requester.request(session, &request, on_body).await?;
        let before = run.delivered();
        receive(&remainder.take(), 0)?;
        batches += u64::from(run.delivered() > before);
        request.reclassify(run, &head, kind);
        let traffic = &mut run.counters.borrow_mut().traffic;
        traffic.batches += batches.min(1);
        traffic.empty_answers += u64::from(kind == TrafficKind::Empty);
        Ok(())
    }
}

/// The kind of a response that had `before` and now this packet: a message decides over all others.
const fn kind_of(packet: &[u8], before: TrafficKind) -> TrafficKind {
    match packet {
        [b'4', b'2' | b'5', ..] => TrafficKind::Delivery,
        [b'4', b'3', ..] if matches!(before, TrafficKind::Empty) => TrafficKind::Posting,
        [b'4', b'0' | b'4', ..] => TrafficKind::SetUp,
        _ => before,
    }
}

/// Handles the packets that are followed by a separator, and returns how many bytes they were.
fn receive_packets(
    bytes: &[u8],
    mut receive: impl FnMut(&[u8], usize) -> Result<(), SessionEnd>,
) -> Result<usize, SessionEnd> {
    let mut parsed = 0;
    for end in memchr::memchr_iter(SEPARATOR, bytes) {
        receive(&bytes[parsed..end], 1)?;
        parsed = end + 1;
    }
    if bytes.len() - parsed > PACKET_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, format!("a packet of more than {PACKET_BYTES_MAX} bytes")).into());
    }
    Ok(parsed)
}
