//! The deliveries of a run: scheduled, received, lost, wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Incidents kept with their details; all incidents are counted.
pub const INCIDENTS_KEPT_MAX: usize = 100;

/// What can be wrong with a message at a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// The server accepted it and this client never received it.
    Lost,
    /// It was received again.
    Duplicated,
    /// It was received after a later message.
    Reordered,
    /// Its content differs from the post, or from what other clients received under the same seq.
    Corrupted,
    /// It is not in the plan.
    Unexpected,
}

/// One wrong delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Incident {
    /// What was wrong.
    pub kind: IncidentKind,
    /// Number of the client.
    pub client: u32,
    /// Sequence number of the message; for a lost tail, of its first message.
    pub seq: u64,
}

/// The deliveries of all clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// Deliveries that the plan schedules: posts times members of their room.
    pub scheduled: u64,
    /// Scheduled deliveries that were received, each counted once.
    pub received: u64,
    /// Messages the server accepted that a client never received.
    pub lost: u64,
    /// Deliveries missing because the post never reached the server.
    pub undelivered_posts: u64,
    /// Messages that the server reported as no longer available: in a gap (they are counted as lost
    /// too), or because its log was reset.
    pub gap_messages: u64,
    /// Messages that servers had accepted and that the log that they share no longer has at the end.
    #[serde(default)]
    pub forgotten: u64,
    /// Messages received again.
    pub duplicated: u64,
    /// Messages received after a later message.
    pub reordered: u64,
    /// Messages whose content differs from the post.
    pub corrupted: u64,
    /// Messages that are not in the plan.
    pub unexpected: u64,
    /// The first wrong deliveries.
    pub incidents: Vec<Incident>,
}

impl LedgerSummary {
    /// Whether every client received what the plan schedules, once and in order, and the server
    /// reported no gap and forgot nothing.
    pub const fn is_clean(&self) -> bool {
        let missing = self.lost + self.gap_messages + self.forgotten;
        missing + self.duplicated + self.reordered + self.corrupted + self.unexpected == 0
    }

    /// Counts an incident and keeps its details while there is room.
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

    /// Adds the deliveries of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.received += other.received;
        self.lost += other.lost;
        self.undelivered_posts += other.undelivered_posts;
        self.gap_messages += other.gap_messages;
        self.forgotten += other.forgotten;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.unexpected += other.unexpected;
        let room = INCIDENTS_KEPT_MAX.saturating_sub(self.incidents.len());
        self.incidents.extend(other.incidents.iter().take(room));
    }
}
