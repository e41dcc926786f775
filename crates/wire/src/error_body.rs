//! Errors of input: the JSON body of an error answer, and decoding errors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The JSON body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct ErrorBody {
    /// The error in a sentence.
    pub error: String,
    /// The parameter, header or limit that the error is about.
    #[serde(default)]
    pub field: String,
    /// The value found, at most 80 characters of it.
    #[serde(default)]
    pub value: String,
    /// What to do.
    #[serde(default)]
    pub hint: String,
}

impl ErrorBody {
    /// The field of the error of a post that is refused because the log that servers share does not
    /// answer. The connection stays open.
    pub const LOG: &str = "log";
    /// Maximum length of a quoted value.
    const QUOTED_CHARS_MAX: usize = 80;

    /// An error about a field and its value.
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

/// Decoding errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length of a frame exceeds the limit of the receiver.
    #[error("a frame of {found} bytes, {max} are allowed")]
    TooBig {
        /// Length of the frame.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// An item ends before its last field.
    #[error("the item ends in the middle of {0}")]
    Truncated(&'static str),
    /// The kind byte is unknown.
    #[error("no item has kind {0}")]
    UnknownKind(u8),
    /// A text is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// JSON of another type than expected.
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
    fn an_error_is_printed_with_field_value_and_hint() {
        let body = ErrorBody::new("after", "x9", "a cursor is a whole number", "leave it out to start from now");
        assert_eq!(body.to_string(), "a cursor is a whole number (after: \"x9\"); leave it out to start from now");
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(ErrorBody::new("room", &"ä".repeat(900), "e", "h").value.chars().count(), 80);
    }
}
