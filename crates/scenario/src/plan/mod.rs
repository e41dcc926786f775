//! One point of a job with everything decided: which client is in which room, who posts what, and when.

mod build;
mod rng;
mod schedule;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use results::Subject;
use serde_json::Value;
use wire::{Encoding, ExtraConnections, RoomName, Transport};

pub(crate) use build::build;
pub(crate) use rng::{Rng, RngStream};

use self::rng::{hash, scale};
use self::schedule::Schedule;
use self::texts::Texts;
use crate::file::{Cores, HttpClient, Limits, Phases, Prices};
use crate::target::ExternalServer;
use crate::tuning::Tuning;

/// Start and stop of the server, probe and collection: what a run takes besides its phases.
const RUN_OVERHEAD: Duration = Duration::from_secs(1);

/// Everything decided. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Empty, or the point of the sweep: `clients=100, posts.payload_bytes=32`.
    pub label: String,
    /// The same as keys and values.
    pub point: Vec<(String, String)>,
    /// Every key of the scenario by its dotted path, with its value at this point; optional keys that were not written are missing.
    pub settings: Arc<BTreeMap<String, Value>>,
    /// Transports to run on the built-in server, in the order of [`Transport::ALL`], the baseline among them.
    pub transports: Vec<Transport>,
    /// Other servers to run.
    pub external_servers: Vec<Arc<ExternalServer>>,
    /// The encoding that was asked for; [`Plan::encoding`] gives the one that a transport uses.
    pub encoding_asked: Encoding,
    /// HTTP client of the generator.
    pub http_client: HttpClient,
    /// Clients, numbered from 0.
    pub clients: u32,
    /// Rooms, numbered from 0.
    pub rooms: u32,
    /// Prefix of the names of the rooms. Another one of the same length changes no byte count.
    pub room_prefix: RoomName,
    /// Clients `0..authors` post; the others only read.
    pub authors: u32,
    /// Mean number of posts per second of each author.
    pub posts_per_author_per_s: f64,
    /// Bytes of text in each post.
    pub payload_bytes: usize,
    /// What a run does when.
    pub phases: Phases,
    /// Settings of the transports.
    pub tuning: Tuning,
    /// What must not be exceeded.
    pub limits: Limits,
    /// Cores of server and generator; `None` leaves the choice to whoever runs the plan.
    pub cores: Option<Cores>,
    /// Prices; `None` shows no money.
    pub prices: Option<Prices>,
    /// Random seed.
    pub seed: u64,
    pub(crate) drawn: Arc<Drawn>,
}

/// What was drawn and counted once.
#[derive(Debug, PartialEq)]
pub(crate) struct Drawn {
    schedule: Schedule,
    texts: Texts,
    posts_by_room: Vec<u64>,
    posts_in_window: u64,
    deliveries_in_window: u64,
}

impl Plan {
    /// What a round runs: the transports of the built-in server, then those of each other server.
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

    /// Transports of the built-in server that were asked for: the baseline is among them only where it was named, or where none was.
    pub fn transports_asked(&self) -> Vec<Transport> {
        let named = self.settings.get("transports").and_then(Value::as_array);
        let is_asked = |transport: &Transport| {
            named.is_none_or(|named| named.iter().any(|name| name.as_str() == Some(transport.name())))
        };
        self.transports.iter().copied().filter(is_asked).collect()
    }

    /// The encoding that a transport uses: the one asked for, or its default when it cannot carry that.
    pub fn encoding(&self, transport: Transport) -> Encoding {
        let asked = self.encoding_asked;
        if transport.encodings().any(|known| known == asked) { asked } else { transport.default_encoding() }
    }

    /// The room of a client.
    pub fn room_of(&self, client: u32) -> u32 {
        client % self.rooms
    }

    /// What the server calls a room.
    pub fn room_name(&self, room: u32) -> RoomName {
        format!("{}-{room}", self.room_prefix).parse().expect("a short room name, a dash and digits are a room name")
    }

    /// The clients in a room, rising.
    pub fn clients_in(&self, room: u32) -> impl Iterator<Item = u32> + use<> {
        (room..self.clients).step_by(self.rooms as usize)
    }

    /// Number of clients in a room; its messages reach all of them, the author too.
    pub fn room_size(&self, room: u32) -> u32 {
        (self.clients - room).div_ceil(self.rooms)
    }

    /// When a client connects, from the start of the ramp-up: evenly spaced.
    pub fn connect_at(&self, client: u32) -> Duration {
        Duration::from_micros(self.phases.ramp_up().as_micros() as u64 * u64::from(client) / u64::from(self.clients))
    }

    /// Number of posts that the plan has for a client; none for one that only reads.
    pub fn posts_of(&self, client: u32) -> u64 {
        self.drawn.schedule.of(client).len() as u64
    }

    /// When a post is due, from T0, the start of the warm-up. Ordinals begin at 1; `None` when the plan has no such post.
    pub fn due(&self, author: u32, ordinal: u64) -> Option<Duration> {
        let index = self.post_index(author, ordinal)?;
        Some(Duration::from_micros(self.due_us(index).into()))
    }

    /// The place of a post among all posts of the plan, from 0; `None` when the plan has no such post.
    pub fn post_index(&self, author: u32, ordinal: u64) -> Option<usize> {
        self.drawn.schedule.index(author, ordinal)
    }

    /// When the post at a place is due, in microseconds from T0. The place is one [`Plan::post_index`] gave.
    pub fn due_us(&self, index: usize) -> u32 {
        self.drawn.schedule.due_us(index)
    }

    /// Whether a post that is due then counts.
    pub fn in_window(&self, due: Duration) -> bool {
        (self.phases.warm_up()..self.phases.posting()).contains(&due)
    }

    /// Posts into a room, warm-up and window.
    pub fn posts_in_room(&self, room: u32) -> u64 {
        self.drawn.posts_by_room.get(room as usize).copied().unwrap_or(0)
    }

    /// All posts, warm-up and window.
    pub fn posts_total(&self) -> u64 {
        self.drawn.schedule.posts()
    }

    /// Posts that are due in the window.
    pub fn posts_in_window(&self) -> u64 {
        self.drawn.posts_in_window
    }

    /// The same, each times the members of its room.
    pub fn deliveries_in_window(&self) -> u64 {
        self.drawn.deliveries_in_window
    }

    /// What a post says: `payload_bytes` characters of `a-z A-Z 0-9 - _`.
    pub fn text(&self, author: u32, ordinal: u64) -> &str {
        self.text_at_offset(self.text_offset(author, ordinal))
    }

    /// Where a post's text is found, for those who look it up again and again.
    pub fn text_offset(&self, author: u32, ordinal: u64) -> usize {
        self.drawn.texts.place(author, ordinal)
    }

    /// The text at a place. The place is one [`Plan::text_offset`] gave.
    pub fn text_at_offset(&self, place: usize) -> &str {
        self.drawn.texts.at(place)
    }

    /// The clients of one of `workers` workers, rising; the workers together have all clients. Where `workers` divides `rooms`, no room is
    /// split between two.
    pub fn clients_of_worker(&self, worker: u32, workers: u32) -> impl Iterator<Item = u32> + use<> {
        (worker..self.clients).step_by(workers as usize)
    }

    /// Where in its interval a poller starts.
    pub fn poll_phase(&self, client: u32) -> Duration {
        let bits = hash(self.seed, RngStream::PollPhase, client.into(), 0);
        Duration::from_micros(scale(bits, self.tuning.polling.interval_ms * 1000))
    }

    /// Largest number of sockets that the generator holds at once: one per client, and a second one for an author whose first one waits
    /// for messages.
    pub fn sockets(&self, transport: Transport) -> u64 {
        let extra = match transport.info().extra_connections {
            ExtraConnections::None => 0,
            ExtraConnections::PerAuthor => self.authors,
            ExtraConnections::PerClient => self.clients,
            ExtraConnections::TwoPerClient => 2 * self.clients,
        };
        u64::from(self.clients) + u64::from(extra)
    }

    /// About how long one run takes.
    pub fn run_estimate(&self, transport: Transport) -> Duration {
        let phases = &self.phases;
        // The probe and the last message each take a poller one interval.
        let polling = self.tuning.of(transport).interval.unwrap_or_default() * 2;
        phases.ramp_up() + phases.settle() + phases.posting() + polling + RUN_OVERHEAD
    }
}
