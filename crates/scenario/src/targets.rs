//! Other people's servers: how to start them, how to know that they are ready, and what they speak.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::{Encoding, OURS, Transport};

use crate::error::ScenarioError;
use crate::fields::{Field, Given};
use crate::kind::Kind;
use crate::settings::seconds;
use crate::words::Scenario;

/// `[[target]]`: a server that is measured beside ours, in the same rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct TargetWords {
    pub name: String,
    pub command: CommandWords,
    pub folder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    pub ready_within_s: f64,
    pub transports: Vec<Transport>,
    pub dialect: DialectWord,
    pub path: String,
}

/// A command: words in one string, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandWords {
    /// Words between blanks; nothing is quoted, no shell reads it.
    Line(String),
    /// One string a word.
    Words(Vec<String>),
}

/// What a target speaks, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialectWord {
    /// As our server.
    Pushbench,
    /// Every text goes to everybody, its sender too.
    Broadcast,
    /// Every text goes back to its sender.
    Echo,
}

impl DialectWord {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Pushbench, Self::Broadcast, Self::Echo];

    /// The name used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pushbench => "pushbench",
            Self::Broadcast => "broadcast",
            Self::Echo => "echo",
        }
    }
}

fn transports() -> Vec<&'static str> {
    Transport::ALL.iter().filter(|transport| transport.is_http()).map(|transport| transport.name()).collect()
}

fn dialects() -> Vec<&'static str> {
    DialectWord::ALL.iter().map(|dialect| dialect.name()).collect()
}

const fn field(path: &'static str, kind: Kind, given: Given, doc: &'static str) -> Field {
    Field { path, kind, given, doc }
}

const TEXT: Kind = Kind::Text { chars_max: 1000 };

#[rustfmt::skip]
pub(crate) const TARGET: &[Field] = &[
    field("name", Kind::Name, Given::Required, "What tables call it: `websocket @ name`"),
    field("command", Kind::Command, Given::Required, "What starts it, `{port}` where its port belongs; a string is split at blanks and read by no shell. It is started for every run, on the server's cores, and ended with it: SIGTERM to all its processes, SIGKILL 3 s later"),
    field("folder", TEXT, Given::Value("\".\""), "Where it is started, from the folder of the scenario's file"),
    field("needs", TEXT, Given::Optional, "A file or folder, from `folder`, without which it cannot start"),
    field("prepare", TEXT, Given::Optional, "The command that makes what it needs; shown when that is missing, never run"),
    field("ready", TEXT, Given::Optional, "It is ready when a line of its standard output contains this; without it, when its port accepts"),
    field("ready_within_s", Kind::Real { min: 0.1, max: 600.0 }, Given::Value("10.0"), "It has to be ready within this"),
    field("transports", Kind::SomeOf(transports), Given::Required, "Which transports to run against it"),
    field("dialect", Kind::OneOf(dialects), Given::Value("\"pushbench\""), "What it speaks: `pushbench` as our server; `broadcast` sends every text of a WebSocket to everybody, its sender too, for one room; `echo` sends it back to its sender, for rooms of one"),
    field("path", TEXT, Given::Value("\"/\""), "Path of the WebSocket, for `broadcast` and `echo`; `{room}` becomes the room's name"),
];

/// Another server, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// What tables call it.
    pub name: String,
    /// Program and arguments; `{port}` stands in them.
    pub command: Vec<String>,
    /// Where it is started, from the folder of the scenario's file.
    pub folder: String,
    /// What must be there, from `folder`, and what makes it.
    pub needs: Option<(String, Option<String>)>,
    /// How to know that it is ready; `None` when its port accepts.
    pub ready_line: Option<String>,
    /// How long that may take.
    pub ready_within: Duration,
    /// What to run against it.
    pub transports: Vec<Transport>,
    /// What it speaks.
    pub dialect: Dialect,
}

/// What a server speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Rooms, seqs, cursors: ours.
    #[default]
    Pushbench,
    /// It knows nothing of us and repeats what it is told, to everybody in its one room.
    Repeated {
        /// Where its WebSocket is.
        path: String,
    },
}

/// What a run is of, and what a row of a table shows: a transport of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Which transport.
    pub transport: Transport,
    /// Whose; `None` is ours.
    pub peer: Option<Arc<Peer>>,
}

impl Lane {
    /// The name of its server.
    pub fn target(&self) -> &str {
        self.peer.as_ref().map_or(OURS, |peer| &peer.name)
    }

    /// What its server speaks.
    pub fn dialect(&self) -> Dialect {
        self.peer.as_ref().map_or(Dialect::Pushbench, |peer| peer.dialect.clone())
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            None => self.transport.fmt(f),
            Some(peer) => write!(f, "{} @ {}", self.transport, peer.name),
        }
    }
}

/// Decides all targets of a scenario with so many seats.
pub(crate) fn peers(scenario: &Scenario, seats: u32) -> Result<Vec<Arc<Peer>>, ScenarioError> {
    let mut names = BTreeSet::from([OURS]);
    let mut peers = Vec::new();
    for (at, words) in scenario.target.iter().enumerate() {
        let conflict = |key: &str, found: &dyn fmt::Display, why: String| {
            Err(ScenarioError::conflict(&format!("target[{}].{key}", at + 1), found, why))
        };
        if !names.insert(&words.name) {
            return conflict("name", &words.name, "that is the name of another target: choose one of its own".into());
        }
        let command = words.command.words();
        if !command.iter().any(|word| word.contains("{port}")) {
            let why = "{port} does not stand in it: the server has to listen where it is told to";
            return conflict("command", &command.join(" "), why.into());
        }
        if words.prepare.is_some() && words.needs.is_none() {
            return conflict("prepare", &"without needs", "it makes what needs names: write that too".into());
        }
        if words.dialect != DialectWord::Pushbench {
            let name = words.dialect.name();
            if let Some(other) = words.transports.iter().find(|transport| **transport != Transport::Websocket) {
                return conflict("transports", other, format!("{name} is spoken over websocket: leave out the others"));
            }
            if scenario.encoding != Encoding::Json {
                let why = format!("it sends texts: leave out encoding = \"{}\"", scenario.encoding.name());
                return conflict("dialect", &name, why);
            }
            let (rooms, why) = if words.dialect == DialectWord::Broadcast {
                (1, "everybody is in one room of it: write rooms = 1".to_owned())
            } else {
                (seats, format!("everybody is alone with it: write rooms = {seats}, one for each seat"))
            };
            if scenario.rooms != rooms {
                return conflict("dialect", &name, why);
            }
        }
        if words.dialect == DialectWord::Pushbench && words.path != "/" {
            let why = "a server that speaks like ours has our paths: leave it out, or write another dialect";
            return conflict("path", &words.path, why.into());
        }
        peers.push(Arc::new(Peer::from_words(words, command)));
    }
    Ok(peers)
}

impl CommandWords {
    fn words(&self) -> Vec<String> {
        match self {
            Self::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
            Self::Words(words) => words.clone(),
        }
    }
}

impl Peer {
    fn from_words(words: &TargetWords, command: Vec<String>) -> Self {
        Self {
            name: words.name.clone(),
            command,
            folder: words.folder.clone(),
            needs: words.needs.clone().map(|needs| (needs, words.prepare.clone())),
            ready_line: words.ready.clone(),
            ready_within: seconds(words.ready_within_s),
            transports: Transport::ALL.into_iter().filter(|t| words.transports.contains(t)).collect(),
            dialect: match words.dialect {
                DialectWord::Pushbench => Dialect::Pushbench,
                DialectWord::Broadcast | DialectWord::Echo => Dialect::Repeated { path: words.path.clone() },
            },
        }
    }
}
