//! One point of a job with everything decided: who sits where, who says what, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use wire::{Encoding, RoomName, Transport};

use crate::schedule::Schedule;
use crate::seeded::{Purpose, hash, scale, unit};
use crate::settings::{Arrivals, Cores, Limits, Phases, Prices, Tuning};
use crate::targets::{Lane, Peer};
use crate::texts::Texts;
use crate::words::Client;

/// Start and stop of the server, probe and collection: what a run takes besides its phases.
const RUN_OVERHEAD: Duration = Duration::from_secs(1);

/// Everything decided. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Empty, or where in the sweep this is: `clients=100, posts.payload_bytes=32`.
    pub label: String,
    /// The same as keys and values.
    pub point: Vec<(String, String)>,
    /// Every key of the scenario by its dotted path, with the value it has here; optional keys that were not written are missing.
    pub settings: Arc<BTreeMap<String, Value>>,
    /// What to run on our server, in the order of [`Transport::ALL`], the floor among them.
    pub transports: Vec<Transport>,
    /// Other servers to run it on.
    pub peers: Vec<Arc<Peer>>,
    /// The encoding asked for; [`Plan::encoding`] says what a transport uses.
    pub encoding_asked: Encoding,
    /// HTTP client of the generator.
    pub client: Client,
    /// Clients as asked for; each has `rooms_per_client` seats, numbered one after the other.
    pub clients: u32,
    /// Seats each client has, in different rooms.
    pub rooms_per_client: u32,
    /// All seats, numbered from 0.
    pub seats: u32,
    /// Rooms, numbered from 0.
    pub rooms: u32,
    /// What the names of the rooms begin with. Another one of the same length changes no byte count.
    pub room_prefix: RoomName,
    /// Seats `0..authors` post; the others only read.
    pub authors: u32,
    /// Mean rate of one author.
    pub posts_per_author_per_s: f64,
    /// How an author's posts follow each other.
    pub arrivals: Arrivals,
    /// Bytes of every text.
    pub payload_bytes: usize,
    /// How long everything takes.
    pub phases: Phases,
    /// What the transports are set to.
    pub tuning: Tuning,
    /// What must not be exceeded.
    pub limits: Limits,
    /// What runs where.
    pub cores: Cores,
    /// What it costs; `None` shows no money.
    pub prices: Option<Prices>,
    /// Where all chance comes from.
    pub seed: u64,
    pub(crate) drawn: Arc<Drawn>,
}

/// What was drawn and counted once.
#[derive(Debug, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) schedule: Schedule,
    pub(crate) texts: Texts,
    pub(crate) posts_by_room: Vec<u64>,
    pub(crate) posts_in_window: u64,
    pub(crate) deliveries_in_window: u64,
}

impl Plan {
    /// Everything a round runs: our transports, then those of each other server.
    pub fn lanes(&self) -> Vec<Lane> {
        let ours = self.transports.iter().map(|&transport| Lane { transport, peer: None });
        let theirs = self
            .peers
            .iter()
            .flat_map(|peer| peer.transports.iter().map(|&transport| Lane { transport, peer: Some(Arc::clone(peer)) }));
        ours.chain(theirs).collect()
    }

    /// Our transports that were asked for: the floor stands among them only where it was named, or where none was.
    pub fn transports_asked(&self) -> Vec<Transport> {
        let named = self.settings.get("transports").and_then(Value::as_array);
        let asked = |transport: &Transport| {
            named.is_none_or(|named| named.iter().any(|name| name.as_str() == Some(transport.name())))
        };
        self.transports.iter().copied().filter(asked).collect()
    }

    /// What a transport writes its messages in: what was asked for, or its own default when it cannot carry that.
    pub fn encoding(&self, transport: Transport) -> Encoding {
        match transport.encodings() {
            known if known.contains(&self.encoding_asked) => self.encoding_asked,
            known => known[0],
        }
    }

    /// The room a seat is in.
    pub fn room_of(&self, seat: u32) -> u32 {
        seat % self.rooms
    }

    /// What the server calls a room.
    pub fn room_name(&self, room: u32) -> RoomName {
        format!("{}-{room}", self.room_prefix).parse().expect("a short room name, a dash and digits are a room name")
    }

    /// The seats of a room, rising.
    pub fn seats_in(&self, room: u32) -> impl Iterator<Item = u32> + use<> {
        (room..self.seats).step_by(self.rooms as usize)
    }

    /// How many seats a room has; its messages reach them all, the author too.
    pub fn members(&self, room: u32) -> u32 {
        (self.seats - room).div_ceil(self.rooms)
    }

    /// When a seat connects, from the start of the ramp-up: evenly spaced.
    pub fn connect_at(&self, seat: u32) -> Duration {
        Duration::from_micros(self.phases.ramp_up.as_micros() as u64 * u64::from(seat) / u64::from(self.seats))
    }

    /// How many posts the plan has for a seat; none for one that only reads.
    pub fn posts_of(&self, seat: u32) -> u64 {
        self.drawn.schedule.of(seat).len() as u64
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
        (self.phases.warm_up..self.phases.posting()).contains(&due)
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
        self.text_at(self.text_place(author, ordinal))
    }

    /// Where a post's text is found, for those who look it up again and again.
    pub fn text_place(&self, author: u32, ordinal: u64) -> usize {
        self.drawn.texts.place(author, ordinal)
    }

    /// The text at a place. The place is one [`Plan::text_place`] gave.
    pub fn text_at(&self, place: usize) -> &str {
        self.drawn.texts.at(place)
    }

    /// The seats of one of `workers` workers, rising; together the shares are the plan. Where `workers` divides `rooms`, no room is
    /// split between two.
    pub fn share(&self, worker: u32, workers: u32) -> impl Iterator<Item = u32> + use<> {
        (worker..self.seats).step_by(workers as usize)
    }

    /// Where in its interval a poller begins.
    pub fn poll_phase(&self, seat: u32) -> Duration {
        let bits = hash(self.seed, Purpose::PollPhase, seat.into(), 0);
        Duration::from_micros(scale(bits, self.tuning.polling.interval.as_micros() as u64))
    }

    /// From a poller's poll number `poll` to its next one: the interval with its jitter.
    pub fn poll_gap(&self, seat: u32, poll: u64) -> Duration {
        let polling = self.tuning.polling;
        let side = unit(hash(self.seed, Purpose::PollGap, seat.into(), poll)) - 0.5;
        polling.interval.mul_f64(1.0 + polling.jitter * side)
    }

    /// Most sockets the generator holds at once: one a seat, and a second for an author whose first one waits for messages.
    pub fn sockets(&self, transport: Transport) -> u64 {
        let posting = match transport {
            Transport::Tcp
            | Transport::Websocket
            | Transport::Polling
            | Transport::SocketioWebsocket
            | Transport::Stomp => 0,
            Transport::LongPolling | Transport::HttpStreaming | Transport::Sse => self.authors,
            // Everybody answers pings, and every session that upgrades has three for a moment.
            Transport::SocketioPolling => self.seats,
            Transport::Socketio => 2 * self.seats,
        };
        u64::from(self.seats) + u64::from(posting)
    }

    /// About how long one run takes.
    pub fn run_estimate(&self, transport: Transport) -> Duration {
        let phases = &self.phases;
        // The probe and the last message each take a poller one interval.
        let waiting = match transport {
            Transport::Polling => self.tuning.polling.interval * 2,
            Transport::Tcp
            | Transport::LongPolling
            | Transport::HttpStreaming
            | Transport::Sse
            | Transport::Websocket
            | Transport::SocketioPolling
            | Transport::SocketioWebsocket
            | Transport::Socketio
            | Transport::Stomp => Duration::ZERO,
        };
        phases.ramp_up + phases.settle + phases.posting() + waiting + RUN_OVERHEAD
    }
}
