//! The protocol of an external server that does not speak pushbench's: how a client joins, reads
//! and posts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use garde::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::check::one_line;
use crate::template::{Template, is_name};

/// Names that a template may always use.
const CLIENT_NAMES: [&str; 2] = ["room", "client"];
/// Names that a post may use too.
const POST_NAMES: [&str; 3] = ["author", "ordinal", "text"];
/// Headers that the load generator writes itself.
const OWN_HEADERS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// `[target.protocol]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct TargetProtocol {
    /// `false`: the server sends a message to all clients of the room except its author
    #[serde(default = "yes")]
    pub author_receives: bool,
    /// Namespace of a Socket.IO server
    #[serde(default = "root")]
    #[garde(custom(valid_namespace))]
    #[schemars(extend("x-takes" = "a namespace that begins with /, without a comma"))]
    pub namespace: String,
    /// Request that each client makes once before everything else. Cookies that it sets are sent with every later request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub login: Option<Login>,
    /// What a client does before it reads, in this order
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), dive)]
    pub join: Vec<Step>,
    /// Request that reads messages: each poll, the start of a stream, or the handshake of a WebSocket
    #[serde(default)]
    #[garde(dive)]
    pub read: Request,
    /// How a client posts
    #[garde(dive)]
    pub post: Step,
    /// Values of the last response that the next request needs, by name. A name without a value yet leaves nothing in a path, and leaves a header out
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-takes" = "a table of names, each with \"json:/pointer\", \"header:name\" or \"event-id\""))]
    pub cursor: BTreeMap<String, ValueSource>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Request {
    /// Method; without this key, POST with a body and GET without one
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(valid_method))]
    #[schemars(extend("x-takes" = "a method such as GET, in capital letters"))]
    pub method: Option<String>,
    /// Path and query; without this key, `/`, and `/socket.io/` for Socket.IO
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(valid_path))]
    #[schemars(extend("x-takes" = "a path that begins with /, with names in braces such as {room}"))]
    pub path: Option<Template>,
    /// Headers. A body without `content-type` is sent as `application/json`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[garde(custom(valid_headers))]
    #[schemars(extend("x-takes" = "a table of headers, each with a text on one line; not host, connection, content-length or transfer-encoding"))]
    pub headers: BTreeMap<String, Template>,
    /// Body
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Template>,
}

/// `[target.protocol.login]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Login {
    /// The request
    #[garde(dive)]
    pub request: Request,
    /// Values of its response that later requests and messages may name
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-takes" = "a table of names, each with \"json:/pointer\" or \"header:name\""))]
    pub values: BTreeMap<String, ValueSource>,
}

/// Something that a client sends: a WebSocket message, a Socket.IO event or a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Step {
    /// A text message on the WebSocket
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Template>,
    /// A Socket.IO event: a JSON list of its name and its arguments
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-takes" = "a JSON list of a name and arguments, such as '[\"say\", \"{text}\"]'"))]
    pub emit: Option<Template>,
    /// The server acknowledges the event
    #[serde(default)]
    pub ack: bool,
    /// A request, which its status acknowledges
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub request: Option<Request>,
    /// The step is over when the server has sent a message that contains this text. A step of `join` may only wait
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Template>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ValueSource {
    /// A JSON pointer into the body (RFC 6901), as keys; `-` is the last item of a list.
    Json(Vec<String>),
    /// A header of the response, in lower case.
    Header(String),
    /// The id of the last server-sent event.
    EventId,
}

impl TryFrom<String> for ValueSource {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "event-id" {
            return Ok(Self::EventId);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return is_header(name).then(|| Self::Header(name.to_ascii_lowercase())).ok_or("not a header");
        }
        let keys = text.strip_prefix("json:").and_then(|pointer| pointer.strip_prefix('/')).ok_or("not a source")?;
        Ok(Self::Json(keys.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

impl From<ValueSource> for String {
    fn from(source: ValueSource) -> Self {
        match source {
            ValueSource::EventId => "event-id".to_owned(),
            ValueSource::Header(name) => format!("header:{name}"),
            ValueSource::Json(keys) => {
                let escaped = keys.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")));
                format!("json:{}", escaped.collect::<String>())
            }
        }
    }
}

impl JsonSchema for ValueSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ValueSource".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(json:/.*|header:[!-~]+|event-id)$"})
    }
}

fn root() -> String {
    "/".to_owned()
}

fn valid_namespace(name: &str, (): &()) -> garde::Result {
    let is_namespace = name.starts_with('/') && name.len() <= 200 && !name.contains([',', '?', ' ', '\0']);
    if is_namespace { Ok(()) } else { bad() }
}

const fn yes() -> bool {
    true
}

fn bad() -> garde::Result {
    Err(garde::Error::new(""))
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn valid_method(method: &Option<String>, (): &()) -> garde::Result {
    let is_method = |text: &String| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase());
    if method.as_ref().is_none_or(is_method) { Ok(()) } else { bad() }
}

fn valid_path(path: &Option<Template>, (): &()) -> garde::Result {
    let is_path = |path: &Template| path.text().starts_with('/') && path.text().bytes().all(|b| b.is_ascii_graphic());
    if path.as_ref().is_none_or(is_path) { Ok(()) } else { bad() }
}

fn valid_headers(headers: &BTreeMap<String, Template>, context: &()) -> garde::Result {
    let is_allowed = |(name, value): (&String, &Template)| {
        let is_ours = OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own));
        is_header(name) && !is_ours && one_line(value.text(), context).is_ok()
    };
    if headers.iter().all(is_allowed) { Ok(()) } else { bad() }
}

/// A key of the protocol, its value, and what is wrong with it.
pub(crate) type Problem = (String, String, String);

impl TargetProtocol {
    /// Transports that a protocol can describe.
    pub(crate) const TRANSPORTS: [Transport; 8] = [
        Transport::Polling,
        Transport::LongPolling,
        Transport::HttpStreaming,
        Transport::Sse,
        Transport::Websocket,
        Transport::SocketioPolling,
        Transport::SocketioWebsocket,
        Transport::Socketio,
    ];

    /// Whether the server has rooms: without `{room}` all clients are in one.
    pub(crate) fn has_rooms(&self) -> bool {
        self.templates().into_iter().any(|(_, template)| template.names().any(|name| name == "room"))
    }

    /// The first contradiction between keys of the protocol, or between them and the transports.
    pub(crate) fn problem(&self, transports: &[Transport]) -> Option<Problem> {
        self.unknown_name().or_else(|| self.misplaced_source()).or_else(|| {
            let joins = self.join.iter().enumerate().map(|(at, step)| (format!("join[{}]", at + 1), step));
            joins
                .chain([("post".to_owned(), &self.post)])
                .find_map(|(key, step)| transports.iter().find_map(|transport| step.problem(&key, *transport)))
        })
    }

    /// Every template with its key.
    fn templates(&self) -> Vec<(String, &Template)> {
        let mut found = self.read.templates("read");
        if let Some(login) = &self.login {
            found.extend(login.request.templates("login.request"));
        }
        let joins = self.join.iter().enumerate().map(|(at, step)| (format!("join[{}]", at + 1), step));
        for (key, step) in joins.chain([("post".to_owned(), &self.post)]) {
            let texts = [("send", &step.send), ("emit", &step.emit), ("until", &step.until)];
            found.extend(texts.into_iter().filter_map(|(name, text)| Some((format!("{key}.{name}"), text.as_ref()?))));
            found.extend(step.request.iter().flat_map(|request| request.templates(&format!("{key}.request"))));
        }
        found
    }

    fn unknown_name(&self) -> Option<Problem> {
        let known_by_post = |key: &str| key.starts_with("post");
        let of_login = || self.login.iter().flat_map(|login| login.values.keys());
        for (key, template) in self.templates() {
            let mut known: BTreeSet<&str> = CLIENT_NAMES.into();
            known.extend(POST_NAMES.iter().filter(|_| known_by_post(&key)));
            if !key.starts_with("login") {
                known.extend(of_login().map(String::as_str));
                known.extend(self.cursor.keys().map(String::as_str));
            }
            if let Some(name) = template.names().find(|name| !known.contains(name)) {
                let known: Vec<_> = known.into_iter().map(|name| format!("{{{name}}}")).collect();
                return problem(
                    &key,
                    template.text(),
                    format!("{{{name}}} has no value there; {} have", known.join(", ")),
                );
            }
        }
        let all = self.cursor.keys().map(|name| ("cursor", name)).chain(of_login().map(|name| ("login.values", name)));
        for (table, name) in all {
            if !is_name(name) || CLIENT_NAMES.contains(&name.as_str()) || POST_NAMES.contains(&name.as_str()) {
                let why = "a name is made of a-z, 0-9 and _, begins with a letter, and is not one that pushbench gives";
                return problem(table, name, why);
            }
        }
        None
    }

    fn misplaced_source(&self) -> Option<Problem> {
        let of_login = self.login.iter().flat_map(|login| &login.values);
        let (name, _) = of_login.into_iter().find(|(_, source)| **source == ValueSource::EventId)?;
        problem(&format!("login.values.{name}"), "event-id", "a login has no events: write json:/… or header:…")
    }
}

impl Request {
    /// The request without a header.
    #[must_use]
    pub fn without_header(&self, name: &str) -> Self {
        let mut request = self.clone();
        request.headers.retain(|header, _| !header.eq_ignore_ascii_case(name));
        request
    }

    fn templates(&self, key: &str) -> Vec<(String, &Template)> {
        let path = self.path.iter().map(|path| (format!("{key}.path"), path));
        let headers = self.headers.iter().map(|(name, value)| (format!("{key}.headers.{name}"), value));
        let body = self.body.iter().map(|body| (format!("{key}.body"), body));
        path.chain(headers).chain(body).collect()
    }
}

impl Step {
    /// Whether the server says that it has a post of this form.
    pub const fn is_acknowledged(&self) -> bool {
        self.request.is_some() || self.ack || self.until.is_some()
    }

    /// What this step lacks or cannot have on a transport.
    fn problem(&self, key: &str, transport: Transport) -> Option<Problem> {
        let named = [("send", self.send.is_some()), ("emit", self.emit.is_some()), ("request", self.request.is_some())];
        let mut given = named.into_iter().filter_map(|(name, is_given)| is_given.then_some(name));
        let is_socketio = transport.is_socketio();
        let wants = match (transport, is_socketio) {
            (_, true) => "emit or request",
            (Transport::Websocket, _) => "send or request",
            _ => "request",
        };
        let waits_only = self.until.is_some() && key != "post" && wants != "request";
        let Some(one) = given.next() else {
            return if waits_only { None } else { problem(key, "empty", format!("{transport} needs {wants}")) };
        };
        if let Some(other) = given.next() {
            return problem(&format!("{key}.{other}"), "there too", format!("{key} has {one}: write another step"));
        }
        if !wants.split(" or ").any(|name| name == one) {
            return problem(&format!("{key}.{one}"), "there", format!("{transport} needs {wants} in its place"));
        }
        if self.ack && self.emit.is_none() {
            return problem(&format!("{key}.ack"), "true", "only an event of Socket.IO (emit) is acknowledged");
        }
        if self.until.is_some() && self.request.is_some() {
            return problem(&format!("{key}.until"), "there", "a request ends with its response: leave one out");
        }
        let emit = self.emit.as_ref()?;
        let mut shown = Vec::new();
        emit.render(|_| Some("1".into()), &mut shown);
        let list = serde_json::from_slice::<Vec<serde_json::Value>>(&shown).ok();
        let is_event = list.is_some_and(|list| list.first().is_some_and(serde_json::Value::is_string));
        if is_event {
            None
        } else {
            problem(&format!("{key}.emit"), emit.text(), "it is no JSON list that begins with a name")
        }
    }
}

fn problem(key: &str, found: impl Display, why: impl Into<String>) -> Option<Problem> {
    Some((key.to_owned(), found.to_string(), why.into()))
}
