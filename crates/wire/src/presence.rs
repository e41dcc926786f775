//! Presence: the names of the people in a room, for pages such as the one that the server offers.
//! Load generators report none.

use serde::{Deserialize, Serialize};

use crate::ErrorBody;

/// Author of the notices that the server posts to a room. Their text is a [`Notice`] as JSON.
pub const NOTICE_AUTHOR: u32 = u32::MAX;

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Author number of their posts.
    pub author: u32,
    /// What they want to be called.
    pub name: PersonName,
}

/// A name of 1 to 40 characters without control characters and outer spaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

impl PersonName {
    /// Maximum length.
    pub const CHARS_MAX: usize = 40;
}

impl TryFrom<String> for PersonName {
    type Error = ErrorBody;

    fn try_from(text: String) -> Result<Self, ErrorBody> {
        let is_name = (1..=Self::CHARS_MAX).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if is_name {
            return Ok(Self(text));
        }
        let hint = format!("use 1 to {} characters, without control characters and outer spaces", Self::CHARS_MAX);
        Err(ErrorBody::new("name", &text, "not a name", hint))
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> Self {
        name.0
    }
}

/// A report about oneself. It has to be repeated while the person is in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresenceReport {
    /// Author number.
    pub author: u32,
    /// The name; `None`: the person has left.
    #[serde(default)]
    pub name: Option<PersonName>,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// Identifies the running server. After a restart it is another one, and all logs are new.
    pub server: String,
    /// Everybody in the room.
    pub people: Vec<Person>,
}

/// What happened in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// Somebody came, or has a new name.
    Joined(Person),
    /// Somebody left.
    Left(Person),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_checked() {
        let report = |name: &str| serde_json::from_str::<PresenceReport>(&format!(r#"{{"author":7,"name":{name}}}"#));
        for name in ["Anna", "Ä", "a b", "<img src=x>", &"n".repeat(40)] {
            assert_eq!(report(&format!("{name:?}")).unwrap().name.map(String::from).as_deref(), Some(name));
        }
        assert_eq!(report("null").unwrap().name, None);
        for bad in ["", " Anna", "Anna ", "a\\nb", &"n".repeat(41)] {
            let error = report(&format!("\"{bad}\"")).unwrap_err().to_string();
            assert!(error.contains("use 1 to 40 characters"), "{error}");
        }
    }

    #[test]
    fn notices_are_json() {
        let anna = Person { author: 7, name: PersonName("Anna".into()) };
        assert_eq!(serde_json::to_string(&Notice::Joined(anna)).unwrap(), r#"{"joined":{"author":7,"name":"Anna"}}"#);
    }
}
