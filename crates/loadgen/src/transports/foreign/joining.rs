//! The messages that a client sends before reading counts, one after the other.

use memchr::memmem;
use scenario::Step;

use super::names::Place;
use super::requests::Speaker;
use crate::error::Fault;
use crate::session::Session;

/// Which step comes next, and what the last one waits for.
#[derive(Debug, Default)]
pub(super) struct Joining {
    next: usize,
    awaited: Option<Awaited>,
}

#[derive(Debug)]
enum Awaited {
    /// A message with this text.
    Text(Vec<u8>),
    /// The acknowledgement with this id.
    Ack(u64),
}

impl Joining {
    /// Sends the next steps, each with its number, up to one that waits for something. The client has joined when none is
    /// left.
    pub(super) fn advance(
        &mut self,
        session: &Session,
        speaker: &Speaker,
        mut send: impl FnMut(&Step, u64) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.awaited = None;
        let steps = speaker.protocol().join.iter().filter(|step| step.request.is_none());
        for step in steps.skip(self.next) {
            let id = self.next as u64;
            self.next += 1;
            send(step, id)?;
            if let Some(until) = &step.until {
                let mut text = Vec::new();
                speaker.names.render(until, &session.client.learned.borrow(), None, Place::Body, &mut text);
                self.awaited = Some(Awaited::Text(text));
                return Ok(());
            }
            if step.ack {
                self.awaited = Some(Awaited::Ack(id));
                return Ok(());
            }
        }
        session.join(0);
        Ok(())
    }

    /// Whether a message is what the last step waits for.
    pub(super) fn is_answered_by(&self, message: &[u8]) -> bool {
        matches!(&self.awaited, Some(Awaited::Text(text)) if memmem::find(message, text).is_some())
    }

    /// Whether the acknowledgement with this id is what the last step waits for.
    pub(super) fn is_acknowledged_by(&self, id: u64) -> bool {
        matches!(&self.awaited, Some(Awaited::Ack(awaited)) if *awaited == id)
    }
}
