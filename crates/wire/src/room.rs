//! Room names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ErrorBody;

/// A valid room name: 1 to 64 characters of `a-z A-Z 0-9 . _ -`, but not `.` or `..`. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Maximum length.
    pub const CHARS_MAX: usize = 64;

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = ErrorBody;

    fn from_str(text: &str) -> Result<Self, ErrorBody> {
        if matches!(text, "." | "..") {
            let error = "clients remove this name from a URL as a step in its path";
            return Err(ErrorBody::new("room", text, error, "use another name"));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=Self::CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(ErrorBody::new("room", text, "not a room name", "use 1 to 64 characters of a-z A-Z 0-9 . _ -"))
    }
}

impl TryFrom<String> for RoomName {
    type Error = ErrorBody;

    fn try_from(text: String) -> Result<Self, ErrorBody> {
        text.parse()
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl std::borrow::Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "Lobby_1.x-Y", "...", ".a", &"r".repeat(64)] {
            assert_eq!(good.parse::<RoomName>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ä", "a/b", &"r".repeat(65), "%20", "%2e", "%2E%2e"] {
            let error_body = bad.parse::<RoomName>().unwrap_err();
            assert_eq!((error_body.field.as_str(), error_body.hint.contains("1 to 64")), ("room", true));
        }
    }
    #[test]
    fn a_step_in_a_path_is_no_room_name() {
        for step in [".", ".."] {
            let error_body = step.parse::<RoomName>().unwrap_err();
            assert_eq!((error_body.field.as_str(), error_body.value.as_str()), ("room", step));
            assert!(error_body.error.contains("a step in its path"), "{error_body}");
        }
    }
}
