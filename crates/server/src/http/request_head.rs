//! What the head of a request says, whether an HTTP library has parsed it or it is still bytes.

use std::fmt::Write;
use std::mem::MaybeUninit;

use axum::http::{HeaderName, Method, Request, Version, header};
use wire::Transport;

/// Maximum bytes of a head: hyper's smallest buffer, larger than any head that the server expects.
pub(crate) const HEAD_BYTES_MAX: usize = 8 << 10;
const LAST_EVENT_ID: &str = "last-event-id";
/// More headers than browsers and proxies send. hyper has the same limit.
const HEADERS_MAX: usize = 100;

/// The parts of a head that the server uses. A header that is not text is an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: &'a str,
    /// Room and transport, if the path is `/rooms/{room}/{transport}`. Otherwise the room is empty.
    pub(crate) room: &'a str,
    pub(crate) transport: Option<Transport>,
    pub(crate) query: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) last_event_id: Option<&'a str>,
    /// Whether the client wants to send further requests on this connection.
    pub(crate) keeps_alive: bool,
}

/// What the bytes of a client begin with.
pub(crate) enum ParsedHead<'a> {
    /// The bytes of the head, and the length of the body behind it.
    Complete {
        head: RequestHead<'a>,
        head_bytes: usize,
        body_bytes: usize,
    },
    Incomplete,
    /// A request that an HTTP library has to answer: an invalid one, or one with a rare feature.
    Unusual,
}

impl<'a> RequestHead<'a> {
    /// The head of a request that an HTTP library has parsed.
    pub(crate) fn of<B>(request: &'a Request<B>) -> Self {
        let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or(""));
        let version = request.version();
        let path = request.uri().path();
        let (room, transport) = room_and_transport(path);
        Self {
            method: request.method().clone(),
            version,
            path,
            room,
            transport,
            query: request.uri().query().unwrap_or(""),
            host: text(header::HOST),
            origin: text(header::ORIGIN),
            authorization: text(header::AUTHORIZATION),
            last_event_id: text(HeaderName::from_static(LAST_EVENT_ID)),
            keeps_alive: keeps_alive(version, text(header::CONNECTION).unwrap_or("")),
        }
    }

    /// Parses the head of a request for one of the server's paths. Its body, if there is one, has a
    /// length.
    pub(crate) fn parse(bytes: &'a [u8]) -> ParsedHead<'a> {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(httparse::Status::Complete(head_bytes)) => match Self::from_parsed(&request) {
                Some((head, body_bytes)) => ParsedHead::Complete { head, head_bytes, body_bytes },
                None => ParsedHead::Unusual,
            },
            Ok(httparse::Status::Partial) => ParsedHead::Incomplete,
            Err(_) => ParsedHead::Unusual,
        }
    }

    fn from_parsed(request: &httparse::Request<'_, 'a>) -> Option<(Self, usize)> {
        let version = if request.version? == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
        let target = request.path.filter(|target| target.starts_with('/'))?;
        let (path, query) = match target.bytes().position(|byte| matches!(byte, b'?' | b'#')) {
            None => (target, ""),
            Some(at) => (&target[..at], target[at..].strip_prefix('?').filter(|query| !query.contains('#'))?),
        };
        let (room, transport) = room_and_transport(path);
        let method = match request.method? {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "POST" => Method::POST,
            _ => return None,
        };
        let [mut host, mut origin, mut authorization, mut last_event_id, mut connection] = [None; 5];
        let mut body_bytes = None;
        for header in request.headers.iter() {
            let is = |name: HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
            let value = || std::str::from_utf8(header.value).unwrap_or("");
            // Most headers are none of these, as their length shows.
            match header.name.len() {
                4 if is(header::HOST) => only_once(&mut host, value())?,
                6 if is(header::ORIGIN) => _ = origin.get_or_insert(value()),
                6 if is(header::EXPECT) => return None,
                10 if is(header::CONNECTION) => only_once(&mut connection, value())?,
                13 if is(header::AUTHORIZATION) => _ = authorization.get_or_insert(value()),
                13 if header.name.eq_ignore_ascii_case(LAST_EVENT_ID) => _ = last_event_id.get_or_insert(value()),
                14 if is(header::CONTENT_LENGTH) => {
                    let is_number = header.value.iter().all(u8::is_ascii_digit);
                    only_once(&mut body_bytes, value().parse().ok().filter(|_| is_number)?)?;
                }
                17 if is(header::TRANSFER_ENCODING) => return None,
                _ => {}
            }
        }
        if host.is_none() && version != Version::HTTP_10 {
            return None;
        }
        let keeps_alive = keeps_alive(version, connection.unwrap_or(""));
        let head = Self {
            method,
            version,
            path,
            room,
            transport,
            query,
            host,
            origin,
            authorization,
            last_event_id,
            keeps_alive,
        };
        Some((head, body_bytes.unwrap_or(0)))
    }

    /// The head of a request without a body as bytes that [`RequestHead::parse`] accepts.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let version = if self.version == Version::HTTP_10 { 0 } else { 1 };
        let connection = if self.keeps_alive { "keep-alive" } else { "close" };
        let mut out = format!("{} {}?{} HTTP/1.{version}\r\n", self.method, self.path, self.query);
        let headers = [
            (header::HOST.as_str(), self.host),
            (header::CONNECTION.as_str(), Some(connection)),
            (header::ORIGIN.as_str(), self.origin),
            (header::AUTHORIZATION.as_str(), self.authorization),
            (LAST_EVENT_ID, self.last_event_id),
        ];
        for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            write!(out, "{name}: {value}\r\n").expect("a String accepts every write");
        }
        (out + "\r\n").into_bytes()
    }
}

/// Sets the value of a header that a request may have once.
fn only_once<T>(header: &mut Option<T>, value: T) -> Option<()> {
    header.replace(value).is_none().then_some(())
}

/// The parts of `/rooms/{room}/{transport}`.
fn room_and_transport(path: &str) -> (&str, Option<Transport>) {
    let parts = path.strip_prefix("/rooms/").and_then(|rest| {
        let (room, transport) = rest.split_at(rest.bytes().position(|byte| byte == b'/')?);
        let transport = transport[1..].parse::<Transport>().ok()?;
        transport.has_room_url().then_some((room, Some(transport)))
    });
    parts.unwrap_or(("", None))
}

/// Whether the client keeps the connection after this request (RFC 9112 §9.3).
fn keeps_alive(version: Version, connection: &str) -> bool {
    if connection.is_empty() {
        return version != Version::HTTP_10;
    }
    let has = |option: &str| connection.split(',').any(|found| found.trim().eq_ignore_ascii_case(option));
    !has("close") && (version != Version::HTTP_10 || has("keep-alive"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &str = "GET /rooms/lobby/polling?after=3 HTTP/1.1\r\nHost: localhost\r\n";

    fn parse(text: &str) -> Option<(RequestHead<'_>, usize, usize)> {
        match RequestHead::parse(text.as_bytes()) {
            ParsedHead::Complete { head, head_bytes, body_bytes } => Some((head, head_bytes, body_bytes)),
            ParsedHead::Incomplete | ParsedHead::Unusual => None,
        }
    }

    #[test]
    fn the_parts_of_a_head_are_found_whatever_their_case() {
        let text = format!("{GET}ORIGIN: http://a\r\nauthorization: Bearer x\r\nLast-Event-Id: 7\r\nx: y\r\n\r\nrest");
        let (head, head_bytes, body_bytes) = parse(&text).unwrap();
        assert_eq!(&text[head_bytes..], "rest");
        assert_eq!((head.path, head.query, body_bytes), ("/rooms/lobby/polling", "after=3", 0));
        assert_eq!(head.host, Some("localhost"));
        assert_eq!(
            (head.origin, head.authorization, head.last_event_id),
            (Some("http://a"), Some("Bearer x"), Some("7"))
        );
        assert_eq!((head.room, head.transport), ("lobby", Some(Transport::Polling)));
        assert!(head.keeps_alive);
    }

    #[test]
    fn a_head_survives_being_written_as_bytes() {
        for more in
            ["", "Connection: close\r\n", "Origin: http://a\r\nAuthorization: Bearer x\r\n", "Last-Event-ID: 7\r\n"]
        {
            let text = format!("{GET}{more}\r\n");
            let (head, ..) = parse(&text).unwrap();
            let bytes = head.to_bytes();
            assert_eq!(parse(std::str::from_utf8(&bytes).unwrap()).unwrap().0, head, "{more}");
        }
    }

    #[test]
    fn http_1_0_ends_the_connection_unless_the_client_keeps_it() {
        for (head, expected) in [
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false),
        ] {
            assert_eq!(parse(head).unwrap().0.keeps_alive, expected, "{head}");
        }
    }

    #[test]
    fn anything_unusual_is_left_to_a_library() {
        for head in [
            "PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        ] {
            assert!(matches!(RequestHead::parse(head.as_bytes()), ParsedHead::Unusual), "{head}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX));
        assert!(matches!(RequestHead::parse(many.as_bytes()), ParsedHead::Unusual));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), begun in any::<bool>()) {
            if begun {
                bytes.splice(..0, GET.bytes());
            }
            RequestHead::parse(&bytes);
        }
    }

    #[test]
    fn every_beginning_of_a_head_is_incomplete() {
        let text = format!("{GET}\r\n");
        for end in 0..text.len() {
            assert!(matches!(RequestHead::parse(&text.as_bytes()[..end]), ParsedHead::Incomplete), "{end}");
        }
    }
}
