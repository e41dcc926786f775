//! The list of fields: what a scenario may say. Checks, defaults, error texts, the JSON Schema and the table in
//! `scenarios/README.md` are all made from it; a test holds it and [`crate::Scenario`] together.

use wire::{Encoding, TEXT_BYTES_CEILING, Transport};

use crate::SEATS_MAX;
use crate::kind::Kind;
use crate::tables::{CLAIM, PUBLISHED};
use crate::words::{ArrivalsWord, Client};

/// One key of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Dotted path.
    pub(crate) path: &'static str,
    /// What it may hold.
    pub(crate) kind: Kind,
    /// What it holds when the file does not say.
    pub(crate) given: Given,
    /// What it does.
    pub(crate) doc: &'static str,
}

/// What a key holds when the file does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given {
    /// The file has to say.
    Required,
    /// Nothing, and that has a meaning of its own.
    Optional,
    /// This, in TOML.
    Value(&'static str),
    /// Every word the field knows.
    EveryWord,
}

impl Field {
    /// Last part of the path.
    pub(crate) fn key(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Path of the table it stands in, empty at the top.
    pub(crate) fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Whether a sweep may change it: not what belongs to the job as a whole.
    pub(crate) fn sweepable(&self) -> bool {
        !matches!(
            self.path,
            "name" | "question" | "repetitions" | "seed" | "limits.invalid_reruns" | "claim" | "published"
        )
    }

    /// The default, where there is one.
    pub(crate) fn default(&self) -> Option<toml::Value> {
        match self.given {
            Given::Required | Given::Optional => None,
            Given::Value(text) => Some(text.parse().expect("defaults are TOML: a test reads them all")),
            Given::EveryWord => {
                Some(toml::Value::Array(self.kind.words().into_iter().map(toml::Value::from).collect()))
            }
        }
    }
}

/// The field of a path.
pub(crate) fn field(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// Whether a path names a table of the file.
pub(crate) fn is_section(path: &str) -> bool {
    FIELDS.iter().any(|field| field.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// What stands in a table, each key and each table in it once.
pub(crate) fn children(section: &str) -> Vec<&'static str> {
    let inside = FIELDS.iter().filter_map(|field| match section {
        "" => Some(field.path),
        _ => field.path.strip_prefix(section)?.strip_prefix('.'),
    });
    let mut names: Vec<_> = inside.map(|rest| rest.split('.').next().unwrap_or(rest)).collect();
    names.dedup();
    names
}

const fn whole(path: &'static str, min: u64, max: u64, given: Given, doc: &'static str) -> Field {
    Field { path, kind: Kind::Whole { min, max }, given, doc }
}

const fn real(path: &'static str, min: f64, max: f64, given: Given, doc: &'static str) -> Field {
    Field { path, kind: Kind::Real { min, max }, given, doc }
}

const fn other(path: &'static str, kind: Kind, given: Given, doc: &'static str) -> Field {
    Field { path, kind, given, doc }
}

fn transports() -> Vec<&'static str> {
    Transport::ALL.iter().map(|t| t.name()).collect()
}

fn encodings() -> Vec<&'static str> {
    [Encoding::Json, Encoding::Binary].iter().map(|e| e.name()).collect()
}

fn clients() -> Vec<&'static str> {
    Client::ALL.iter().map(|c| c.name()).collect()
}

fn arrivals() -> Vec<&'static str> {
    ArrivalsWord::ALL.iter().map(|a| a.name()).collect()
}

use Given::{EveryWord, Optional, Required, Value};

const SEATS: u64 = SEATS_MAX as u64;
const SEED_MAX: u64 = (1 << 53) - 1;
const TEXT_BYTES: u64 = TEXT_BYTES_CEILING as u64;

/// All of them, tables together, in the order the README shows.
#[rustfmt::skip]
pub(crate) const FIELDS: &[Field] = &[
    other("name", Kind::Name, Required, "Name of the results folder and of the scenario in reports"),
    other("question", Kind::Text { chars_max: 200 }, Required, "What this measures, in one sentence; reports show it"),
    other("transports", Kind::SomeOf(transports), EveryWord, "Which transports to run; `tcp`, the floor, is always added"),
    other("encoding", Kind::OneOf(encodings), Value("\"json\""), "How messages are written; a transport that cannot carry it uses its own default"),
    other("client", Kind::OneOf(clients), Value("\"lean\""), "HTTP client of the load generator"),
    whole("clients", 1, SEATS, Required, "Simulated clients"),
    whole("rooms", 1, SEATS, Required, "Rooms; clients are spread evenly over them"),
    whole("rooms_per_client", 1, 1000, Value("1"), "Rooms each client is in; each is a seat with a connection of its own"),
    whole("repetitions", 1, 1000, Value("1"), "Runs of every transport at every point of the sweep, in a fresh random order each round"),
    whole("seed", 0, SEED_MAX, Value("1"), "Where all chance comes from: the same file and seed give the same plan to the last post"),

    real("posts.per_client_per_s", 0.0, 10_000.0, Required, "Mean rate of every author in each of its rooms"),
    other("posts.authors", Kind::AllOrWhole { max: SEATS }, Value("\"all\""), "Who posts: everybody, or so many members of each room"),
    other("posts.arrivals", Kind::OneOf(arrivals), Value("\"poisson\""), "When: `poisson` exponential gaps; `uniform` equal gaps from a seeded start; `staggered` equal gaps, authors evenly spread over one; `burst` several at one instant, then a pause that keeps the rate"),
    whole("posts.burst_size", 1, 10_000, Value("10"), "Posts a burst, for `arrivals = \"burst\"`"),
    whole("posts.payload_bytes", 1, TEXT_BYTES, Value("120"), "Length of every text"),

    real("phases.ramp_up_s", 0.0, 3600.0, Value("2.0"), "All clients connect, evenly spread over this time"),
    real("phases.settle_s", 0.0, 3600.0, Value("1.0"), "Silence after everybody has seen the probe"),
    real("phases.warm_up_s", 0.0, 3600.0, Value("2.0"), "Posts flow, nothing counts yet"),
    real("phases.window_s", 0.1, 3600.0, Value("10.0"), "What is measured"),
    real("phases.drain_quiet_s", 0.1, 600.0, Value("2.0"), "The drain ends when everything planned has arrived, or when nothing came for this long"),
    real("phases.drain_max_s", 0.1, 600.0, Value("30.0"), "The drain ends at the latest after this"),

    whole("tuning.polling.interval_ms", 1, 600_000, Value("1000"), "Mean time from one poll to the next; every client starts at a seeded place in its interval"),
    real("tuning.polling.jitter", 0.0, 1.0, Value("0.0"), "Width of the range this time is drawn from, as a share of the interval, centred on it; 0 polls on a fixed schedule"),
    whole("tuning.polling.request_bytes", 0, 7168, Value("0"), "Size the head of a poll is brought to with a cookie, as browsers send them; 0 adds nothing"),
    other("tuning.polling.keep_alive", Kind::Flag, Value("true"), "One connection for all polls; false opens one for each"),
    whole("tuning.long-polling.hold_ms", 1, 600_000, Value("25000"), "How long the server holds a request that has nothing to answer"),
    other("tuning.long-polling.keep_alive", Kind::Flag, Value("true"), "One connection for all requests; false opens one for each"),
    real("tuning.http-streaming.age_s", 0.1, 86_400.0, Value("300.0"), "Age at which the server ends a response; the client resumes with its cursor"),
    whole("tuning.http-streaming.bytes_max", 1024, 1 << 40, Value("67108864"), "Bytes after which the server ends a response"),
    real("tuning.http-streaming.heartbeat_s", 0.1, 3600.0, Value("15.0"), "Silence after which the server sends a sign of life"),
    real("tuning.sse.age_s", 0.1, 86_400.0, Value("300.0"), "Age at which the server ends a response; the client resumes with its cursor"),
    whole("tuning.sse.bytes_max", 1024, 1 << 40, Value("67108864"), "Bytes after which the server ends a response"),
    real("tuning.sse.heartbeat_s", 0.1, 3600.0, Value("15.0"), "Silence after which the server sends a comment"),
    real("tuning.websocket.age_s", 0.1, 86_400.0, Value("86400.0"), "Age at which the server closes a connection; the client resumes with its cursor"),
    real("tuning.websocket.heartbeat_s", 0.1, 3600.0, Value("15.0"), "Silence after which the server pings"),
    real("tuning.socketio.heartbeat_s", 0.1, 3600.0, Value("25.0"), "How often the server pings, on polling and on a WebSocket"),
    real("tuning.stomp.heartbeat_s", 0.1, 3600.0, Value("15.0"), "How often the server sends a heart-beat"),

    whole("limits.connections_max", 1, 2 * SEATS, Value("50000"), "Sockets the generator may hold at once; a scenario that needs more is refused"),
    whole("limits.posts_max", 1, 50_000_000, Value("5000000"), "Posts all points of the sweep may plan together; a scenario that needs more is refused"),
    whole("limits.retries_max", 0, 1_000_000, Value("100"), "Times one seat may try again after a fault in a run"),
    whole("limits.invalid_reruns", 0, 1000, Value("2"), "Invalid runs the job may repeat"),

    other("cores.server", Kind::CoreList, Optional, "Cores the server is pinned to; without `[cores]` the run looks at the machine and chooses"),
    other("cores.generator", Kind::CoreList, Optional, "Cores the load generator is pinned to, a worker thread each"),

    real("prices.vcpu_hour", 0.0, 1e6, Optional, "Price of one vCPU for an hour; without `[prices]` no cost is shown"),
    real("prices.gb_hour", 0.0, 1e6, Optional, "Price of a GB of memory for an hour"),
    real("prices.gb_out", 0.0, 1e6, Optional, "Price of a GB sent out"),
    other("prices.currency", Kind::Text { chars_max: 8 }, Optional, "What the prices are in, such as `EUR`"),

    other("claim", Kind::Tables(CLAIM), Optional, "Sentences the report confirms, refutes or leaves open"),
    other("published", Kind::Tables(PUBLISHED), Optional, "Figures of others that the report prints beside ours"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_its_field_takes() {
        for field in FIELDS {
            if let Some(value) = field.default() {
                assert_eq!(field.kind.accept(&value), Some(value), "{}", field.path);
            }
        }
    }

    #[test]
    fn paths_are_unique_and_tables_stand_together() {
        for (at, field) in FIELDS.iter().enumerate() {
            assert!(FIELDS[..at].iter().all(|other| other.path != field.path), "{}", field.path);
            assert_eq!(
                children(field.section()).iter().filter(|&&key| key == field.key()).count(),
                1,
                "{}",
                field.path
            );
        }
        assert_eq!(
            children("tuning"),
            ["polling", "long-polling", "http-streaming", "sse", "websocket", "socketio", "stomp"]
        );
        assert!(is_section("tuning") && is_section("tuning.sse") && !is_section("client") && !is_section("tun"));
    }
}
