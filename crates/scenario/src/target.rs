//! External servers: how they are started, when they are ready, and which protocol they use.

use std::time::Duration;

use garde::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::check::{each_once, one_line, one_line_if_any, short_name};
use crate::protocol::TargetProtocol;
use crate::time::seconds;

/// Maximum length of an argument of a command, in characters.
const WORD_CHARS_MAX: usize = 4096;

/// `[[target]]`: a server that is measured beside the built-in one, in the same rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ExternalServer {
    /// Name of the target in tables, as in `websocket @ name`
    #[garde(custom(short_name))]
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"), extend("x-takes" = "1 to 64 characters of a-z 0-9 -"))]
    pub name: String,
    /// Command that starts the server, with `{port}` in place of the port number. A string is split at spaces; no shell is used. The server is started for every run, on the server's cores. At the end of the run all its processes get SIGTERM, and SIGKILL after 3 s
    pub command: ServerCommand,
    /// Working directory, relative to the folder of the scenario file
    #[serde(default = "here")]
    #[garde(length(chars, min = 1, max = 1000), custom(one_line))]
    pub folder: String,
    /// File or folder, relative to `folder`, that must exist before the server can start
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = 1000), custom(one_line_if_any))]
    pub needs: Option<String>,
    /// Command that creates what `needs` names. It is shown when that is missing, and never run
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = 1000), custom(one_line_if_any))]
    pub prepare: Option<String>,
    /// The server is ready when a line of its standard output contains this text; without this key, when its port accepts connections
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = 1000), custom(one_line_if_any))]
    pub ready: Option<String>,
    /// Time within which the server must be ready
    #[serde(default = "ready_within_s")]
    #[garde(range(min = 0.1, max = 600.0))]
    pub ready_within_s: f64,
    /// Transports to measure on this target
    #[garde(length(min = 1), custom(http_only))]
    #[schemars(extend("uniqueItems" = true, "x-takes" = "a list of one or more transports other than \"tcp\", without duplicates"))]
    pub transports: Vec<Transport>,
    /// `[target.protocol]`: how clients join, read and post; without it, as on the built-in server
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub protocol: Option<TargetProtocol>,
}

fn here() -> String {
    ".".to_owned()
}

const fn ready_within_s() -> f64 {
    10.0
}

fn http_only(transports: &[Transport], context: &()) -> garde::Result {
    each_once(transports, context)?;
    if transports.iter().all(|transport| transport.is_http()) { Ok(()) } else { Err(garde::Error::new("")) }
}

impl ExternalServer {
    /// An external server with the protocol of the built-in one.
    pub fn new(name: String, command: Vec<String>, transports: Vec<Transport>, ready_within_s: f64) -> Self {
        Self {
            name,
            command: ServerCommand(command),
            folder: here(),
            needs: None,
            prepare: None,
            ready: None,
            ready_within_s,
            transports,
            protocol: None,
        }
    }

    /// Time within which the server must be ready.
    pub fn ready_within(&self) -> Duration {
        seconds(self.ready_within_s)
    }
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany")]
pub struct ServerCommand(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Line(String),
    Words(Vec<String>),
}

impl TryFrom<OneOrMany> for ServerCommand {
    type Error = &'static str;

    fn try_from(command: OneOrMany) -> Result<Self, Self::Error> {
        let words = match command {
            OneOrMany::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
            OneOrMany::Words(words) => words,
        };
        let is_word = |word: &String| one_line(word, &()).is_ok() && word.chars().count() <= WORD_CHARS_MAX;
        if words.is_empty() || !words.iter().all(is_word) { Err("not a command") } else { Ok(Self(words)) }
    }
}

impl JsonSchema for ServerCommand {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServerCommand".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}],
            "x-takes": "a program and its arguments, in one string or a list of strings",
        })
    }
}
