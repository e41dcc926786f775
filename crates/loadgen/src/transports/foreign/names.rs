//! The values that the templates of a protocol name: who the client is, what it posts, and what it
//! has learned from responses.

use std::borrow::Cow;

use scenario::{Template, ValueSource};

use crate::client::Client;
use crate::error::Fault;
use crate::learned::Learned;
use crate::protocol::http_response::headers_of;
use crate::run_context::RunContext;

/// A post as the templates name it.
#[derive(Debug)]
pub(super) struct NamedPost {
    pub(super) ordinal: String,
    pub(super) text: String,
}

impl NamedPost {
    pub(super) fn new(run: &RunContext, post: &wire::Post<'_>) -> Self {
        let text = run.markers.as_ref().map(|markers| markers.text(&run.plan, post.author, post.ordinal));
        Self { ordinal: post.ordinal.to_string(), text: text.unwrap_or_default() }
    }
}

/// Where a value is inserted, and so what must not be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The path of a request: everything but letters, digits and `-._~` is percent-encoded.
    Path,
    /// A header: no control characters.
    Header,
    /// A body or a message: as it is.
    Body,
}

/// What the templates of a client name.
#[derive(Debug)]
pub(super) struct Names {
    room: String,
    client: String,
}

impl Names {
    pub(super) fn of(run: &RunContext, client: &Client) -> Self {
        Self { room: run.plan.room_name(client.room).to_string(), client: client.id.to_string() }
    }

    /// Appends a template with its values. Returns whether each name had one.
    pub(super) fn render(
        &self,
        template: &Template,
        learned: &Learned,
        post: Option<&NamedPost>,
        place: Place,
        out: &mut Vec<u8>,
    ) -> bool {
        let value = |name: &str| match name {
            "room" => Some(Cow::Borrowed(self.room.as_str())),
            "client" | "author" => Some(Cow::Borrowed(self.client.as_str())),
            "ordinal" => post.map(|post| Cow::Borrowed(post.ordinal.as_str())),
            "text" => post.map(|post| Cow::Borrowed(post.text.as_str())),
            _ => learned.value(name).map(|value| fit(value, place)),
        };
        template.render(value, out)
    }
}

/// A learned value as a place allows it.
fn fit(value: &str, place: Place) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match place {
        Place::Path if !value.bytes().all(is_plain) => {
            let encode = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            value.bytes().map(encode).collect()
        }
        Place::Header if value.chars().any(char::is_control) => value.chars().filter(|c| !c.is_control()).collect(),
        _ => value.into(),
    }
}

/// The value at a pointer of a JSON text, or of the last one in a body of several; text without its
/// quotes. `None` if there is none.
pub(super) fn at_pointer(json: &[u8], keys: &[String]) -> Option<String> {
    let root: serde_json::Value = serde_json::Deserializer::from_slice(json).into_iter().last()?.ok()?;
    let found = keys.iter().try_fold(&root, |here, key| match here {
        serde_json::Value::Array(items) if key == "-" => items.last(),
        serde_json::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })?;
    match found {
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value of a source in a response, if it has one.
pub(super) fn value_in(source: &ValueSource, head: &[u8], body: &[u8]) -> Result<Option<String>, Fault> {
    match source {
        ValueSource::Json(keys) => Ok(at_pointer(body, keys)),
        ValueSource::EventId => Ok(None),
        ValueSource::Header(wanted) => {
            let mut found = None;
            headers_of(head, |name, value| {
                if name.eq_ignore_ascii_case(wanted) {
                    found = Some(value.to_owned());
                }
            })?;
            Ok(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_response() {
        let body = br#"{"last":7,"messages":[{"id":"a/b"},{"id":"c d"}],"none":null}"#;
        let json = |pointer: &str| {
            let source = ValueSource::try_from(format!("json:{pointer}")).unwrap();
            value_in(&source, b"HTTP/1.1 200 OK\r\n\r\n", body).unwrap()
        };
        assert_eq!((json("/last").as_deref(), json("/messages/-/id").as_deref()), (Some("7"), Some("c d")));
        assert_eq!(json("/messages/0/id").as_deref(), Some("a/b"));
        assert_eq!((json("/none"), json("/messages"), json("/messages/9/id"), json("/x")), (None, None, None, None));
        assert_eq!(at_pointer(b"{\"seq\":1}\n{\"seq\":2}\n", &["seq".to_owned()]).as_deref(), Some("2"));
        assert_eq!(at_pointer(b"{\"seq\":1}\nnot JSON", &["seq".to_owned()]), None);
        let etag = ValueSource::try_from("header:ETag".to_owned()).unwrap();
        assert_eq!(value_in(&etag, b"HTTP/1.1 200 OK\r\netag: \"0\"\r\n\r\n", b"").unwrap().as_deref(), Some("\"0\""));
    }

    #[test]
    fn learned_values_cannot_break_out_of_their_place() {
        assert_eq!(fit("a b&c=\"é\"", Place::Path), "a%20b%26c%3D%22%C3%A9%22");
        assert_eq!(fit("x\r\nevil: 1", Place::Header), "xevil: 1");
        assert_eq!(fit("\"0\"", Place::Header), "\"0\"");
    }
}
