//! The query of a read request, and the start position in a log.

use serde::{Deserialize, Serialize};

use crate::{Encoding, ErrorBody};

/// The position in a room's log at which a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Option<u64>", into = "Option<u64>")]
pub enum StartAt {
    /// After the newest message.
    #[default]
    Live,
    /// After this `seq`; 0 is the start of the log.
    After(u64),
}

impl From<Option<u64>> for StartAt {
    fn from(after: Option<u64>) -> Self {
        after.map_or(Self::Live, Self::After)
    }
}

impl From<StartAt> for Option<u64> {
    fn from(start: StartAt) -> Self {
        match start {
            StartAt::Live => None,
            StartAt::After(seq) => Some(seq),
        }
    }
}

/// A checked query of a read request. Unknown parameters are errors, so that typing errors are
/// noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadQuery<'a> {
    /// `after=`
    pub start: StartAt,
    /// `hold_ms=`
    pub hold_ms: Option<u64>,
    /// `encoding=`
    pub encoding: Option<Encoding>,
    /// `token=`
    pub token: Option<&'a str>,
}

impl<'a> ReadQuery<'a> {
    /// Parses a query string; `allowed` lists the parameters of the endpoint.
    pub fn parse(query: &'a str, allowed: &[&str]) -> Result<Self, ErrorBody> {
        let mut parsed = Self::default();
        let mut rest = query;
        while !rest.is_empty() {
            let pair;
            (pair, rest) = split_at_byte(rest, b'&');
            if pair.is_empty() {
                continue;
            }
            let (key, value) = split_at_byte(pair, b'=');
            if !allowed.contains(&key) {
                let hint = match allowed {
                    [] => "leave the query out".to_owned(),
                    known => format!("there is {}", known.join(", ")),
                };
                return Err(ErrorBody::new(key, value, "no such parameter here", hint));
            }
            match key {
                "after" => parsed.start = StartAt::After(parse_after("after", value)?),
                "hold_ms" => {
                    parsed.hold_ms =
                        Some(parse_number("hold_ms", value, "a hold time is a whole number of milliseconds")?);
                }
                "encoding" => parsed.encoding = Some(parse_encoding(value)?),
                _ => parsed.token = Some(value),
            }
        }
        Ok(parsed)
    }
}

/// What is before and after the first such byte. For short texts faster than [`str::split_once`].
fn split_at_byte(text: &str, separator: u8) -> (&str, &str) {
    let at = text.bytes().position(|byte| byte == separator);
    at.map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

/// Parses a cursor from `after=` or `Last-Event-ID`.
pub fn parse_after(field: &str, value: &str) -> Result<u64, ErrorBody> {
    parse_number(field, value, "a cursor is a whole number: the last seq seen, 0 for the start of the log")
}

fn parse_number(field: &str, value: &str, error: &str) -> Result<u64, ErrorBody> {
    let digits_only = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits_only => Ok(number),
        _ => Err(ErrorBody::new(field, value, error, format!("write {field}=0 or more, at most {}", u64::MAX))),
    }
}

fn parse_encoding(value: &str) -> Result<Encoding, ErrorBody> {
    [Encoding::Json, Encoding::Binary]
        .into_iter()
        .find(|e| e.name() == value)
        .ok_or_else(|| ErrorBody::new("encoding", value, "no such encoding", "use json or binary"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: &[&str] = &["after", "hold_ms", "encoding", "token"];

    #[test]
    fn parameters_are_read() {
        assert_eq!(
            ReadQuery::parse("after=7&hold_ms=250&encoding=binary&token=t", ALL).unwrap(),
            ReadQuery {
                start: StartAt::After(7),
                hold_ms: Some(250),
                encoding: Some(Encoding::Binary),
                token: Some("t")
            }
        );
        assert_eq!(ReadQuery::parse("", ALL).unwrap().start, StartAt::Live);
    }

    #[test]
    fn unknown_parameters_are_refused_with_the_known_ones_and_wrong_values_with_the_allowed_ones() {
        let error = |query| ReadQuery::parse(query, &["after"]).unwrap_err().to_string();
        assert_eq!(error("afer=1"), "no such parameter here (afer: \"1\"); there is after");
        for bad in ["after=", "after=-1", "after=+1", "after=1e3", "after=99999999999999999999", "after"] {
            assert!(error(bad).contains("a cursor is a whole number"), "{bad}");
        }
        assert!(ReadQuery::parse("hold_ms=soon", ALL).unwrap_err().error.contains("milliseconds"));
        assert!(ReadQuery::parse("encoding=xml", ALL).unwrap_err().hint.contains("json or binary"));
    }

    proptest! {
        #[test]
        fn arbitrary_queries_never_panic(query in "\\PC*") {
            crate::fuzz::query(query.as_bytes());
        }
    }
}
