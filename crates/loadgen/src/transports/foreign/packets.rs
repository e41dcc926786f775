//! A protocol in the packets of a Socket.IO session: an event, an acknowledgement and an attachment
//! are a unit each.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use results::{FaultKind, TrafficKind};
use scenario::{Step, TargetProtocol};

use super::joining::Joining;
use super::names::{NamedPost, Names, Place};
use super::requests::Speaker;
use super::unit::Unit;
use super::websocket::kind_without_text;
use crate::client::Client;
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::learned::Learned;
use crate::run_context::RunContext;
use crate::session::Session;

/// Ids of acknowledgements from here on belong to posts, and those before to the steps of a join.
const FIRST_POST_ID: u64 = 1000;

/// Reads the packets of a session.
#[derive(Debug)]
pub(in crate::transports) struct ForeignPackets {
    speaker: Rc<Speaker>,
    state: RefCell<(Joining, Unit)>,
}

impl ForeignPackets {
    pub(in crate::transports) fn new(session: &Session, protocol: &Rc<TargetProtocol>) -> Self {
        Self { speaker: Rc::new(Speaker::new(session, protocol)), state: RefCell::default() }
    }

    /// Handles a packet of Engine.IO's type message with `around` bytes of framing. Returns the
    /// packets to be sent in answer.
    pub(in crate::transports) fn receive(
        &self,
        session: &Session,
        packet: &[u8],
        around: usize,
    ) -> Result<Vec<Vec<u8>>, SessionEnd> {
        let (run, client) = (&session.run, &session.client);
        let body = packet.get(2..).unwrap_or_default();
        let (namespace, after) = split_namespace(body);
        if namespace != self.speaker.protocol().namespace.as_bytes() {
            return Err(bad("a packet of another namespace", packet).into());
        }
        let mut state = self.state.borrow_mut();
        let (joining, unit) = &mut *state;
        let (kind, is_answer) = match packet.get(1) {
            Some(b'0') => (TrafficKind::SetUp, true),
            Some(b'1') => return Err(SessionEnd::Closed),
            Some(b'2' | b'5') => (kind_without_text(client), joining.is_answered_by(body)),
            Some(b'3' | b'6') => match number(after) {
                Some(id) if id >= FIRST_POST_ID => {
                    let ordinal = id - FIRST_POST_ID;
                    delivery::confirm(run, &mut run.counters.borrow_mut(), client, ordinal);
                    (TrafficKind::Posting, false)
                }
                Some(id) => (TrafficKind::SetUp, joining.is_acknowledged_by(id)),
                None => return Err(bad("an acknowledgement without an id", packet).into()),
            },
            Some(b'4') => {
                let reason: String = String::from_utf8_lossy(after).chars().take(200).collect();
                return Err(Fault::new(FaultKind::Problem, format!("the namespace refused: {reason}")).into());
            }
            _ => return Err(bad("not a packet of Socket.IO", packet).into()),
        };
        unit.read(session, packet, false)?;
        unit.end(run, kind, around);
        let mut answers = Vec::new();
        if is_answer {
            joining.advance(session, &self.speaker, |step, id| {
                let protocol = self.speaker.protocol();
                answers.extend(event(&self.speaker.names, &client.learned.borrow(), protocol, step, id));
                Ok(())
            })?;
        }
        Ok(answers)
    }

    /// Handles an attachment: a binary message, or base64 on polling.
    pub(in crate::transports) fn receive_attachment(
        &self,
        session: &Session,
        bytes: &[u8],
        around: usize,
    ) -> Result<(), SessionEnd> {
        let unit = &mut self.state.borrow_mut().1;
        unit.read(session, bytes, false)?;
        unit.end(&session.run, kind_without_text(&session.client), around);
        Ok(())
    }

    /// The same with base64.
    pub(in crate::transports) fn receive_encoded(
        &self,
        session: &Session,
        text: &[u8],
        around: usize,
    ) -> Result<(), SessionEnd> {
        let bytes = STANDARD.decode(text).map_err(|_| bad("not base64", text))?;
        self.receive_attachment(session, &bytes, around + text.len() - bytes.len())
    }
}

/// A namespace and what follows it.
fn split_namespace(body: &[u8]) -> (&[u8], &[u8]) {
    // A packet with attachments begins with their number.
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let named = if body.get(digits) == Some(&b'-') { &body[digits + 1..] } else { body };
    if named.first() != Some(&b'/') {
        return (b"/", named);
    }
    let end = memchr::memchr(b',', named).unwrap_or(named.len());
    (&named[..end], named.get(end + 1..).unwrap_or_default())
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()
}

/// How a namespace is written at the start of a packet.
pub(in crate::transports) fn namespace(protocol: &TargetProtocol) -> String {
    if protocol.namespace == "/" { String::new() } else { format!("{},", protocol.namespace) }
}

/// The packet of a step's event, which asks for an acknowledgement with this id if the step does.
fn event(names: &Names, learned: &Learned, protocol: &TargetProtocol, step: &Step, id: u64) -> Option<Vec<u8>> {
    let emit = step.emit.as_ref()?;
    let mut packet = format!("42{}", namespace(protocol)).into_bytes();
    if step.ack {
        packet.extend_from_slice(id.to_string().as_bytes());
    }
    names.render(emit, learned, None, Place::Body, &mut packet);
    Some(packet)
}

/// The packet of a post.
pub(in crate::transports) fn post_packet(
    run: &RunContext,
    client: &Client,
    protocol: &TargetProtocol,
    post: &wire::Post<'_>,
) -> Vec<u8> {
    let mut packet = format!("42{}", namespace(protocol)).into_bytes();
    if protocol.post.ack {
        packet.extend_from_slice((FIRST_POST_ID + post.ordinal).to_string().as_bytes());
    }
    if let Some(emit) = &protocol.post.emit {
        let named = NamedPost::new(run, post);
        let names = Names::of(run, client);
        names.render(emit, &client.learned.borrow(), Some(&named), Place::Body, &mut packet);
    }
    packet
}

fn bad(what: &str, packet: &[u8]) -> Fault {
    let shown: String = String::from_utf8_lossy(packet).chars().take(40).collect();
    Fault::new(FaultKind::BadBytes, format!("{what}: {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_at_the_start_of_a_packet() {
        for (body, namespace, after) in [
            ("[\"say\",1]", "/", "[\"say\",1]"),
            ("12[\"say\"]", "/", "12[\"say\"]"),
            ("/chat,12[\"say\"]", "/chat", "12[\"say\"]"),
            ("/chat", "/chat", ""),
            ("2-/chat,[\"say\",{}]", "/chat", "[\"say\",{}]"),
            ("1-[\"say\",{}]", "/", "[\"say\",{}]"),
            ("", "/", ""),
        ] {
            assert_eq!(split_namespace(body.as_bytes()), (namespace.as_bytes(), after.as_bytes()), "{body}");
        }
        assert_eq!((number(b"12[]"), number(b"[]"), number(b"99999999999999999999")), (Some(12), None, None));
    }
}
