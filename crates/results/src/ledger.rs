//! What all receivers of a run saw, against what the plan says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Incidents kept with their details; all are counted.
pub const INCIDENTS_KEPT_MAX: usize = 100;

/// What can be wrong with a message at a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// Others saw it, or the server confirmed it; this receiver never did.
    Lost,
    /// It came again.
    Duplicated,
    /// It came after one that follows it.
    Reordered,
    /// It says something else than was posted, or something else than others got under the same seq.
    Corrupted,
    /// Nobody planned it.
    Unexpected,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Incident {
    /// What happened.
    pub kind: IncidentKind,
    /// To whom.
    pub client: u32,
    /// With which message; for a lost tail the first of it.
    pub seq: u64,
}

/// All receivers together.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// Deliveries the plan wants: posts times members of their room.
    pub scheduled: u64,
    /// Those that happened, once each.
    pub received: u64,
    /// Those that did not although the server had the post.
    pub lost: u64,
    /// Those of posts that never reached the server.
    pub undelivered_posts: u64,
    /// Messages the server said were gone: before the receiver came to them (a gap; they are among the lost), or with a log that it began
    /// anew (a reset; whoever had not seen them lost them).
    pub gap_messages: u64,
    /// Extra copies.
    pub duplicated: u64,
    /// Messages that came after one that follows them.
    pub reordered: u64,
    /// Messages with the wrong content.
    pub corrupted: u64,
    /// Messages nobody planned.
    pub unexpected: u64,
    /// The first of them, with seat and seq.
    pub incidents: Vec<Incident>,
}

impl LedgerSummary {
    /// Whether everybody saw what the plan says, once, in order, and the server lost nothing.
    pub const fn is_clean(&self) -> bool {
        self.lost + self.gap_messages + self.duplicated + self.reordered + self.corrupted + self.unexpected == 0
    }

    /// Counts an incident, and keeps it with its details while there is room.
    pub fn note(&mut self, incident: Incident) {
        match incident.kind {
            IncidentKind::Lost => {}
            IncidentKind::Duplicated => self.duplicated += 1,
            IncidentKind::Reordered => self.reordered += 1,
            IncidentKind::Corrupted => self.corrupted += 1,
            IncidentKind::Unexpected => self.unexpected += 1,
        }
        if self.incidents.len() < INCIDENTS_KEPT_MAX {
            self.incidents.push(incident);
        }
    }

    /// Adds another worker's account.
    pub fn merge(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.received += other.received;
        self.lost += other.lost;
        self.undelivered_posts += other.undelivered_posts;
        self.gap_messages += other.gap_messages;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.unexpected += other.unexpected;
        let room = INCIDENTS_KEPT_MAX.saturating_sub(self.incidents.len());
        self.incidents.extend(other.incidents.iter().take(room));
    }
}
