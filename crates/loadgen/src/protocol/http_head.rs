//! The head of an HTTP response, and where its body ends (RFC 9112, section 6.3).

use std::mem::MaybeUninit;
use std::time::Duration;

use wire::CURSOR_HEADER;

use crate::error::Fault;
use results::FaultKind;

const HEADERS_MAX: usize = 64;
/// Largest accepted length of a body or chunk.
pub(super) const LENGTH_MAX: u64 = 1 << 40;

/// The parts of a head that the load generator uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of status line, headers and empty line, and of the interim responses before them.
    pub(crate) bytes: usize,
    /// The cursor for a client that polled without one.
    pub(crate) cursor: Option<u64>,
    /// The server will close the connection.
    pub(crate) closes: bool,
    /// `Retry-After`; zero if it is a date, which is not parsed.
    pub(crate) retry_after: Option<Duration>,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
    UntilClose,
}

/// Storage for the headers of a response.
pub(super) type Headers<'a> = [MaybeUninit<httparse::Header<'a>>; HEADERS_MAX];

/// Not initialised, because that would take as long as the parsing.
pub(super) const fn no_headers<'a>() -> Headers<'a> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Parses status line and headers, and returns how many bytes they are; `None` if they are
/// incomplete.
pub(super) fn parse<'h, 'b>(
    bytes: &'b [u8],
    headers: &'h mut Headers<'b>,
) -> Result<Option<(httparse::Response<'h, 'b>, usize)>, Fault> {
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, headers)
        .map_err(|error| bad(format!("not a response head: {error}")))?;
    Ok(match parsed {
        httparse::Status::Complete(bytes) => Some((response, bytes)),
        httparse::Status::Partial => None,
    })
}

/// Passes name and value of each header of a complete head.
pub(crate) fn headers_of(head: &[u8], mut on_header: impl FnMut(&str, &str)) -> Result<(), Fault> {
    let mut headers = no_headers();
    let (response, _) = parse(head, &mut headers)?.ok_or_else(|| bad("an incomplete response head"))?;
    for header in response.headers.iter() {
        on_header(header.name, std::str::from_utf8(header.value).unwrap_or("").trim());
    }
    Ok(())
}

/// Reads a head from the start of `bytes`; `None` if it is incomplete.
pub(super) fn parse_head(bytes: &[u8]) -> Result<Option<(Head, Length)>, Fault> {
    let mut headers = no_headers();
    let Some((response, bytes)) = parse(bytes, &mut headers)? else { return Ok(None) };
    let (status, is_1_0) = (response.code.unwrap_or(0), response.version == Some(0));
    let mut head = Head { status, bytes, cursor: None, closes: false, retry_after: None };
    let (mut length, mut codings, mut close, mut keep) = (None, None, false, false);
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = std::str::from_utf8(header.value).unwrap_or("");
        if is("content-length") {
            length = Some(parse_length(value, length)?);
        } else if is("transfer-encoding") {
            codings = Some(value);
        } else if is("connection") {
            close |= has(value, "close");
            keep |= has(value, "keep-alive");
        } else if is("retry-after") {
            head.retry_after = Some(retry_after(value));
        } else if is(CURSOR_HEADER) {
            head.cursor = Some(wire::parse_after(CURSOR_HEADER, value).map_err(|problem| bad(problem.to_string()))?);
        }
    }
    let body = match (codings, length) {
        _ if matches!(status, 100..=199 | 204 | 304) => Length::Bytes(0),
        (Some(_), _) if is_1_0 => return Err(bad("a transfer encoding in HTTP/1.0")),
        // A transfer encoding overrides a content length.
        (Some(codings), _) if list(codings).next_back().is_some_and(is_chunked) => Length::Chunked,
        (None, Some(bytes)) => Length::Bytes(bytes),
        _ => Length::UntilClose,
    };
    head.closes = close || (is_1_0 && !keep) || body == Length::UntilClose;
    Ok(Some((head, body)))
}

/// The value of `Retry-After`.
pub(crate) fn retry_after(value: &str) -> Duration {
    Duration::from_secs(value.parse().unwrap_or(0))
}

/// Parses a content length. It may be repeated, in a list or in another header, but must be the
/// same.
fn parse_length(value: &str, before: Option<u64>) -> Result<u64, Fault> {
    let mut length = before;
    for item in list(value) {
        // `parse` would accept a plus sign.
        let digits = Some(item).filter(|item| item.bytes().all(|byte| byte.is_ascii_digit()));
        let found = digits.and_then(|digits| digits.parse().ok()).filter(|found| *found <= LENGTH_MAX);
        let found = found.ok_or_else(|| bad(format!("a content length of {}", shown(item))))?;
        if length.is_some_and(|length| length != found) {
            return Err(bad("two content lengths that differ"));
        }
        length = Some(found);
    }
    length.ok_or_else(|| bad("a content length of nothing"))
}

fn is_chunked(coding: &str) -> bool {
    coding.eq_ignore_ascii_case("chunked")
}

/// The items of a header that holds a list, without empty ones.
fn list(value: &str) -> impl DoubleEndedIterator<Item = &str> {
    value.split(',').map(|item| item.trim_matches([' ', '\t'])).filter(|item| !item.is_empty())
}

/// Whether a list has an item, in upper or lower case.
pub(super) fn has(value: &str, item: &str) -> bool {
    list(value).any(|found| found.eq_ignore_ascii_case(item))
}

/// Text from a server, quoted and shortened for an error.
pub(super) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    format!("{:?}", text.chars().take(SHOWN_MAX).collect::<String>())
}

fn bad(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads these headers in an HTTP/1.1 response.
    fn read(headers: &str) -> Result<(Length, bool), String> {
        read_as("HTTP/1.1 200 OK", headers)
    }

    fn read_as(status: &str, headers: &str) -> Result<(Length, bool), String> {
        let lines: String = headers.split_terminator('\n').map(|line| format!("{line}\r\n")).collect();
        let text = format!("{status}\r\n{lines}\r\n");
        match parse_head(text.as_bytes()) {
            Ok(head) => {
                let (head, length) = head.expect("a complete head");
                assert_eq!(head.bytes, text.len());
                Ok((length, head.closes))
            }
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::BadBytes);
                Err(fault.detail)
            }
        }
    }

    #[test]
    fn where_a_body_ends() {
        for (headers, length, closes) in [
            ("", Length::UntilClose, true),
            ("Content-Length: 5", Length::Bytes(5), false),
            ("content-length:  05 ", Length::Bytes(5), false),
            ("content-length: 5\ncontent-length: 5", Length::Bytes(5), false),
            ("content-length: 5, 5", Length::Bytes(5), false),
            ("transfer-encoding: chunked", Length::Chunked, false),
            ("Transfer-Encoding: Chunked", Length::Chunked, false),
            ("transfer-encoding: gzip, CHUNKED", Length::Chunked, false),
            ("transfer-encoding: gzip\ntransfer-encoding:\tchunked", Length::Chunked, false),
            ("transfer-encoding: , chunked ,", Length::Chunked, false),
            ("transfer-encoding: chunked\ncontent-length: 7", Length::Chunked, false),
            ("content-length: 7\ntransfer-encoding: chunked", Length::Chunked, false),
            ("transfer-encoding: chunked, gzip", Length::UntilClose, true),
            ("transfer-encoding: gzip\ncontent-length: 7", Length::UntilClose, true),
            ("content-length: 5\nx: folded\n over lines", Length::Bytes(5), false),
        ] {
            assert_eq!(read(headers), Ok((length, closes)), "{headers:?}");
        }
    }

    #[test]
    fn invalid_lengths() {
        for length in ["", ",", "-1", "+5", "0x5", "5.0", "5 5", "5, x", "99999999999999999999", "1099511627777"] {
            let error = read(&format!("content-length: {length}")).unwrap_err();
            assert!(error.starts_with("a content length of"), "{length:?}: {error}");
        }
        assert_eq!(read("content-length: 5\ncontent-length: 6"), Err("two content lengths that differ".to_owned()));
        assert_eq!(read("content-length: 5, 6"), Err("two content lengths that differ".to_owned()));
        assert_eq!(read(&format!("content-length: {LENGTH_MAX}")), Ok((Length::Bytes(LENGTH_MAX), false)));
    }

    #[test]
    fn statuses_without_a_body() {
        for status in ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 103 Early Hints"] {
            for headers in ["", "content-length: 5", "transfer-encoding: chunked"] {
                assert_eq!(read_as(status, headers), Ok((Length::Bytes(0), false)), "{status} {headers}");
            }
        }
    }

    #[test]
    fn whether_the_server_closes_the_connection() {
        for (status, headers, closes) in [
            ("HTTP/1.1 200 OK", "", false),
            ("HTTP/1.1 200 OK", "Connection: Close", true),
            ("HTTP/1.1 200 OK", "connection: te, close", true),
            ("HTTP/1.1 200 OK", "connection: te\nconnection: close", true),
            ("HTTP/1.1 200 OK", "connection: closed", false),
            ("HTTP/1.0 200 OK", "", true),
            ("HTTP/1.0 200 OK", "connection: Keep-Alive", false),
            ("HTTP/1.0 200 OK", "connection: close\nconnection: keep-alive", true),
        ] {
            let headers = format!("content-length: 0\n{headers}");
            assert_eq!(read_as(status, &headers), Ok((Length::Bytes(0), closes)), "{status} {headers}");
        }
        let chunked = read_as("HTTP/1.0 200 OK", "transfer-encoding: chunked\nconnection: keep-alive");
        assert_eq!(chunked, Err("a transfer encoding in HTTP/1.0".to_owned()));
    }

    #[test]
    fn retry_after_in_seconds() {
        for (value, seconds) in [("7", 7), ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("", 0), ("-3", 0)] {
            let text = format!("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nRetry-After: {value}\r\n\r\n");
            let (head, _) = parse_head(text.as_bytes()).unwrap().unwrap();
            assert_eq!((head.status, head.retry_after), (503, Some(Duration::from_secs(seconds))), "{value:?}");
        }
    }
}
