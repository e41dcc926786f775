//! The plan of one point: rooms of the clients, and author, text and instant of every post.

mod build;
mod marker;
mod outages;
mod rng;
mod schedule;
mod share;
mod slices;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use results::Subject;
use serde_json::Value;
use wire::{Encoding, ExtraConnections, RoomName, Transport};

pub(crate) use build::build;
pub(crate) use rng::{Rng, RngStream};
pub use share::Share;
pub use slices::{SliceLoad, Slicing};

use self::rng::{hash, scale};
use self::schedule::{Draw, Schedule};
use self::texts::Texts;
use crate::file::{Cores, HttpClient, Limits, Log, Phases, Prices};
use crate::outage::Outage;
use crate::target::ExternalServer;
use crate::tuning::Tuning;

/// Estimated time of a run besides its phases: start and stop of the server, probe, collecting the
/// results.
const RUN_OVERHEAD: Duration = Duration::from_secs(1);

/// The plan of one point of the sweep. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Empty, or the point of the sweep: `clients=100, posts.payload_bytes=32`.
    pub label: String,
    /// The point of the sweep as keys and values.
    pub point: Vec<(String, String)>,
    /// Every key of the scenario by its dotted path, with its value at this point; optional keys
    /// that were not written are missing.
    pub settings: Arc<BTreeMap<String, Value>>,
    /// Transports to run on the built-in server, in the order of [`Transport::ALL`], the baseline
    /// among them.
    pub transports: Vec<Transport>,
    /// External servers.
    pub external_servers: Vec<Arc<ExternalServer>>,
    /// The encoding of the file; [`Plan::encoding`] gives the one that a transport uses.
    pub encoding_asked: Encoding,
    /// HTTP client of the generator.
    pub http_client: HttpClient,
    /// Servers of the chat.
    pub nodes: u32,
    /// Where the servers keep the messages.
    pub log: Log,
    /// What fails in the window.
    pub outages: Vec<Outage>,
    /// Clients, numbered from 0.
    pub clients: u32,
    /// Rooms, numbered from 0.
    pub rooms: u32,
    /// Prefix of room names. Prefixes of the same length give the same byte counts.
    pub room_prefix: RoomName,
    /// Clients `0..authors` post; the others only read.
    pub authors: u32,
    /// Mean number of posts per second of each author.
    pub posts_per_author_per_s: f64,
    /// Bytes of text in each post.
    pub payload_bytes: usize,
    /// Lengths of the phases.
    pub phases: Phases,
    /// Settings of the transports.
    pub tuning: Tuning,
    /// Limits of the job.
    pub limits: Limits,
    /// Cores of server and generator; `None` lets the caller choose.
    pub cores: Option<Cores>,
    /// Prices of this scenario in place of the default ones.
    pub prices: Option<Prices>,
    /// Random seed.
    pub seed: u64,
    /// Whether a message is delivered to its author too.
    pub author_receives: bool,
    /// The part of the clients that a load generator has.
    pub share: Share,
    /// The slices that the schedule is divided into.
    pub slicing: Slicing,
    pub(crate) draw: Draw,
    pub(crate) drawn: Arc<Drawn>,
}

/// The random draws and the counts derived from them.
#[derive(Debug, PartialEq)]
pub(crate) struct Drawn {
    schedule: Schedule,
    texts: Arc<Texts>,
    posts_by_room: Vec<u64>,
}

impl Plan {
    /// The subjects of a round: transports of the built-in server, then those of each external
    /// server.
    pub fn subjects(&self) -> Vec<Subject> {
        let ours = self.transports.iter().map(|transport| Subject::builtin(*transport));
        let theirs = self
            .external_servers
            .iter()
            .flat_map(|server| server.transports.iter().map(|transport| Subject::new(*transport, &server.name)));
        ours.chain(theirs).collect()
    }

    /// The server of a subject; `None` for the built-in one.
    pub fn external_server(&self, subject: &Subject) -> Option<&Arc<ExternalServer>> {
        let name = subject.target.as_ref()?;
        self.external_servers.iter().find(|server| server.name == *name)
    }

    /// Transports of the built-in server that the file names. The baseline is included only if it
    /// is named, or if none is.
    pub fn transports_asked(&self) -> Vec<Transport> {
        let named = self.settings.get("transports").and_then(Value::as_array);
        let is_asked = |transport: &Transport| {
            named.is_none_or(|named| named.iter().any(|name| name.as_str() == Some(transport.name())))
        };
        self.transports.iter().copied().filter(is_asked).collect()
    }

    /// The encoding that a transport uses: the one of the file, or its default if it does not
    /// support that.
    pub fn encoding(&self, transport: Transport) -> Encoding {
        let asked = self.encoding_asked;
        if transport.encodings().any(|known| known == asked) { asked } else { transport.default_encoding() }
    }

    /// The room of a client.
    pub fn room_of(&self, client: u32) -> u32 {
        client % self.rooms
    }

    /// The name of a room on the server.
    pub fn room_name(&self, room: u32) -> RoomName {
        format!("{}-{room}", self.room_prefix).parse().expect("a short room name, a dash and digits are a room name")
    }

    /// The clients in a room, in ascending order.
    pub fn clients_in(&self, room: u32) -> impl Iterator<Item = u32> + use<> {
        (room..self.clients).step_by(self.rooms as usize)
    }

    /// Number of clients in a room.
    pub fn room_size(&self, room: u32) -> u32 {
        (self.clients - room).div_ceil(self.rooms)
    }

    /// Number of clients that a message to a room is delivered to.
    pub fn receivers(&self, room: u32) -> u32 {
        self.room_size(room) - u32::from(!self.author_receives)
    }

    /// When a client connects, from the start of the ramp-up; clients are evenly spaced.
    pub fn connect_at(&self, client: u32) -> Duration {
        Duration::from_micros(self.phases.ramp_up().as_micros() as u64 * u64::from(client) / u64::from(self.clients))
    }

    /// Number of scheduled posts of a client; 0 for clients that only read.
    pub fn posts_of(&self, client: u32) -> u64 {
        self.drawn.schedule.of(client).len() as u64
    }

    /// Scheduled instant of a post, from T0, the start of the first lead-in, without the rests between
    /// slices. Ordinals begin at 1; `None`
    /// if there is no such post.
    pub fn due(&self, author: u32, ordinal: u64) -> Option<Duration> {
        let index = self.post_index(author, ordinal)?;
        Some(Duration::from_micros(self.due_us(index).into()))
    }

    /// Index of a post among all posts of the plan; `None` if there is no such post.
    pub fn post_index(&self, author: u32, ordinal: u64) -> Option<usize> {
        self.drawn.schedule.index(author, ordinal)
    }

    /// Scheduled instant of the post with an index from [`Plan::post_index`], in microseconds from
    /// T0.
    pub fn due_us(&self, index: usize) -> u32 {
        self.drawn.schedule.due_us(index)
    }

    /// Number of posts to a room in all slices.
    pub fn posts_in_room(&self, room: u32) -> u64 {
        self.drawn.posts_by_room.get(room as usize).copied().unwrap_or(0)
    }

    /// Number of posts in all slices.
    pub fn posts_total(&self) -> u64 {
        self.drawn.schedule.posts()
    }

    /// The text of a post: `payload_bytes` characters of `a-z A-Z 0-9 - _`.
    pub fn text(&self, author: u32, ordinal: u64) -> &str {
        self.text_at_offset(self.text_offset(author, ordinal))
    }

    /// Offset of a post's text in the text buffer, for repeated comparison.
    pub fn text_offset(&self, author: u32, ordinal: u64) -> usize {
        self.drawn.texts.place(author, ordinal)
    }

    /// The text at an offset from [`Plan::text_offset`].
    pub fn text_at_offset(&self, place: usize) -> &str {
        self.drawn.texts.at(place)
    }

    /// Offset of a client's first poll within its interval.
    pub fn poll_phase(&self, client: u32) -> Duration {
        let bits = hash(self.seed, RngStream::PollPhase, client.into(), 0);
        Duration::from_micros(scale(bits, self.tuning.polling.interval_ms * 1000))
    }

    /// Maximum number of open sockets of the generator: one per client, and a second one for
    /// authors whose first connection waits for messages.
    pub fn sockets(&self, transport: Transport) -> u64 {
        let extra = match transport.info().extra_connections {
            ExtraConnections::None => 0,
            ExtraConnections::PerAuthor => self.authors,
            ExtraConnections::PerClient => self.clients,
            ExtraConnections::TwoPerClient => 2 * self.clients,
        };
        u64::from(self.clients) + u64::from(extra)
    }

    /// Estimated duration of one run.
    pub fn run_estimate(&self, transport: Transport) -> Duration {
        let phases = &self.phases;
        // With polling, the probe and the last message each take up to one interval.
        let polling = self.tuning.of(transport).interval.unwrap_or_default() * 2;
        phases.ramp_up() + phases.settle() + self.slicing.total() + polling + RUN_OVERHEAD
    }
}
