//! Texts with `{name}` in them, from which requests and messages are made.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const CHARS_MAX: usize = 10_000;

/// A text in which `{name}` stands for a value. Any other brace is a brace, as in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

impl TryFrom<String> for Template {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let length = text.chars().count();
        if length == 0 || length > CHARS_MAX || text.contains('\0') {
            return Err("not a text of 1 to 10,000 characters");
        }
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, name, after)) = split_at_name(rest) {
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(Part::Name(name.to_owned()));
            rest = after;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        Ok(Self { text, parts })
    }
}

/// The text before the first `{name}`, the name, and the text after it.
fn split_at_name(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let (name, after) = text[at + 1..].split_once('}')?;
        is_name(name).then_some((&text[..at], name, after))
    })
}

/// Whether a text is a name: a lower-case letter, then lower-case letters, digits and `_`.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

impl Template {
    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// A path with those parameters of its query that `keeps` keeps.
    #[must_use]
    pub fn with_parameters(&self, keeps: impl Fn(&Self) -> bool) -> Self {
        let (path, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        let is_kept = |one: &&str| Self::try_from((*one).to_owned()).is_ok_and(|one| keeps(&one));
        let kept: Vec<_> = query.split('&').filter(is_kept).collect();
        let text = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
        Self::try_from(text).expect("a part of a path is a text")
    }

    /// Appends the text with the values of its names. Returns whether each name had a value; a name
    /// without one leaves nothing.
    pub fn render<'a>(&self, value: impl Fn(&str) -> Option<Cow<'a, str>>, out: &mut Vec<u8>) -> bool {
        let mut complete = true;
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Name(name) => match value(name) {
                    Some(value) => out.extend_from_slice(value.as_bytes()),
                    None => complete = false,
                },
            }
        }
        complete
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": CHARS_MAX,
            "x-takes": "a text of 1 to 10,000 characters, with names in braces such as {room}",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn only_names_in_braces_are_replaced() {
        let json = template(r#"{"type":"say","to":"{room}","n":{ordinal},"x":{},"y":{ "z": 1 },"{Room}":"{a b}"}"#);
        assert_eq!(json.names().collect::<Vec<_>>(), ["room", "ordinal"]);
        let mut out = Vec::new();
        let value = |name: &str| Some(Cow::Owned(format!("<{name}>")));
        assert!(json.render(value, &mut out));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"type":"say","to":"<room>","n":<ordinal>,"x":{},"y":{ "z": 1 },"{Room}":"{a b}"}"#
        );
    }

    #[test]
    fn a_name_without_a_value_leaves_nothing() {
        let (path, mut out) = (template("/feed?since={since}&room={room}"), Vec::new());
        assert!(!path.render(|name| (name == "room").then_some(Cow::Borrowed("r")), &mut out));
        assert_eq!(out, b"/feed?since=&room=r");
        let of = |path: &str| template(path).with_parameters(|one| one.names().all(|name| name == "room")).text;
        assert_eq!(of("/feed?since={since}&room={room}&x"), "/feed?room={room}&x");
        assert_eq!((of("/feed?since={since}").as_str(), of("/{room}").as_str()), ("/feed", "/{room}"));
    }

    #[test]
    fn braces_within_braces() {
        assert_eq!(template("{{text}}").names().collect::<Vec<_>>(), ["text"]);
        assert_eq!(template("{ {text} }").names().collect::<Vec<_>>(), ["text"]);
        assert!(template("{").names().next().is_none() && template("}{").names().next().is_none());
        assert!(Template::try_from(String::new()).is_err());
    }
}
