//! What is wrong with something that came from outside: for the sender as JSON, for the receiver as an error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A refusal a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct ErrorBody {
    /// What is wrong, in a sentence.
    pub error: String,
    /// The thing it is about: a parameter, a header, a limit.
    #[serde(default)]
    pub field: String,
    /// The value found, cut to a readable length.
    #[serde(default)]
    pub value: String,
    /// What to do instead.
    #[serde(default)]
    pub hint: String,
}

impl ErrorBody {
    /// Longest part of a foreign value that is quoted back.
    const QUOTED_CHARS_MAX: usize = 80;

    /// A problem with a named thing.
    pub fn new(field: &str, value: &str, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            field: field.to_owned(),
            value: value.chars().take(Self::QUOTED_CHARS_MAX).collect(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        if !self.field.is_empty() {
            write!(f, " ({}: {:?})", self.field, self.value)?;
        }
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame announces more than the receiver takes.
    #[error("a frame of {found} bytes, {max} are allowed")]
    TooBig {
        /// What the frame says.
        found: usize,
        /// What the receiver takes.
        max: usize,
    },
    /// A frame is too short for its kind.
    #[error("the item ends in the middle of {0}")]
    Truncated(&'static str),
    /// The kind byte is not one of ours.
    #[error("no item has kind {0}")]
    UnknownKind(u8),
    /// Text is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Not the JSON expected here.
    #[error("not the JSON expected: {0}")]
    Json(String),
}

impl From<serde_json::Error> for WireError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_the_thing_the_value_and_the_next_step() {
        let problem = ErrorBody::new("after", "x9", "a cursor is a whole number", "leave it out to start from now");
        assert_eq!(problem.to_string(), "a cursor is a whole number (after: \"x9\"); leave it out to start from now");
    }

    #[test]
    fn a_foreign_value_is_cut() {
        assert_eq!(ErrorBody::new("room", &"ä".repeat(900), "e", "h").value.chars().count(), 80);
    }
}
