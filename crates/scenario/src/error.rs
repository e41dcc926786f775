//! Errors of a scenario file: place, key, value found, allowed values.

use std::collections::BTreeMap;
use std::fmt;

/// Where a key was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// In no file: the scenario was built by a program.
    #[default]
    Program,
    /// In a file; a key that is missing has no line.
    File {
        /// The file's name as it was given.
        name: String,
        /// Counted from 1.
        line: Option<usize>,
    },
    /// On the command line, as written there.
    Set(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("scenario"),
            Self::File { name, line: Some(line) } => write!(f, "{name}:{line}"),
            Self::File { name, line: None } => f.write_str(name),
            Self::Set(text) => write!(f, "--set {text}"),
        }
    }
}

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error(
        "cannot read the scenario {path}; give the path of a TOML file, or the name of a shipped scenario such as quick"
    )]
    Unreadable {
        /// The path as given.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is larger than [`crate::FILE_BYTES_MAX`].
    #[error("{path} has {found} bytes; a scenario has at most {}", crate::FILE_BYTES_MAX)]
    TooBig {
        /// The path as given.
        path: String,
        /// Its size.
        found: u64,
    },
    /// The file is not TOML.
    #[error("{place}: this is not TOML: {message}")]
    NotToml {
        /// Where.
        place: Place,
        /// The message of the TOML parser.
        message: String,
    },
    /// An override is not `key=value`.
    #[error("--set {text}: {why}; write key=value, such as posts.per_client_per_s=2")]
    BadOverride {
        /// As written.
        text: String,
        /// The reason.
        why: &'static str,
    },
    /// A key that does not exist.
    #[error("{place}: there is no key {key}; {known}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// A similar key, or the keys of the table.
        known: String,
    },
    /// A required key is missing.
    #[error("{place}: {key} is missing; it takes {allowed}")]
    Missing {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The allowed values.
        allowed: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: {key} is {found}; it takes {allowed}")]
    BadValue {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The allowed values.
        allowed: String,
    },
    /// A value that contradicts another key or exceeds a limit.
    #[error("{place}: {key} is {found}, but {why}")]
    Conflict {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The value, and the point of the sweep where the conflict occurs.
        found: String,
        /// The other key or limit, and what to do.
        why: String,
    },
}

impl ScenarioError {
    /// TOML's own error, with line and column.
    pub(crate) fn not_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().map(|span| &text[..text.floor_char_boundary(span.start)]);
        let line = before.map(|before| 1 + before.matches('\n').count());
        let column = before.map(|before| 1 + before.rsplit('\n').next().unwrap_or(before).chars().count());
        let message = error.message().replace('\n', ", ");
        // The parser says so in three ways, for numbers beyond 64 bits, beyond 128 bits, and beyond what its types hold.
        let is_too_large = ["i128", "overflowed", "too large"].iter().any(|word| message.contains(word));
        let number = error.span().and_then(|span| text.get(span)).filter(|_| is_too_large);
        let message =
            number.map_or(message, |number| format!("{number} is too large; a whole number is at most {}", i64::MAX));
        let message = column.map_or(message.clone(), |column| format!("{message} (column {column})"));
        Self::NotToml { place: Place::File { name: file.into(), line }, message }
    }

    pub(crate) fn bad_value(key: &str, found: impl ToString, allowed: impl Into<String>) -> Self {
        Self::BadValue { place: Place::Program, key: key.into(), found: found.to_string(), allowed: allowed.into() }
    }

    pub(crate) fn conflict(key: &str, found: impl ToString, why: impl Into<String>) -> Self {
        Self::Conflict { place: Place::Program, key: key.into(), found: found.to_string(), why: why.into() }
    }

    /// The error with the place its key was written at; `elsewhere` for a key that was not written.
    pub(crate) fn located(mut self, places: &BTreeMap<String, Place>, elsewhere: &Place) -> Self {
        match &mut self {
            Self::Unreadable { .. } | Self::TooBig { .. } | Self::NotToml { .. } | Self::BadOverride { .. } => {}
            Self::UnknownKey { place, key, .. }
            | Self::Missing { place, key, .. }
            | Self::BadValue { place, key, .. }
            | Self::Conflict { place, key, .. } => {
                let found = places.get(key.as_str()).or_else(|| places.get(&format!("sweep.{key}")));
                // A key missing in one of many tables is missing where that table begins.
                let found =
                    found.or_else(|| places.get(key.rsplit_once('.').filter(|(above, _)| above.contains('['))?.0));
                *place = found.unwrap_or(elsewhere).clone();
            }
        }
        self
    }

    /// The error with the point of the sweep at which it comes up.
    pub(crate) fn at_point(mut self, label: &str) -> Self {
        if let (Self::Conflict { found, .. }, false) = (&mut self, label.is_empty()) {
            found.push_str(&format!(" (at {label})"));
        }
        self
    }
}
