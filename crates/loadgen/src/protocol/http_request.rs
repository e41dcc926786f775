//! HTTP/1.1 requests. What does not change is formatted once per client.

use std::io::Write;
use std::net::SocketAddr;

use wire::{Post, RoomName, StartAt, Transport, encode_post_json};

/// The requests of one client, complete but for the cursor or the post.
#[derive(Debug)]
pub(crate) struct Requests {
    read_head: String,
    read_tail: String,
    post_head: String,
    /// Size to which read requests are padded.
    read_bytes: usize,
}

/// Bytes of the cookie header without its value.
const COOKIE_BYTES: usize = "cookie: \r\n".len();

impl Requests {
    /// `parameters` are in the URL of every read request, `headers` in every request.
    pub(crate) fn new(
        (host, token): (SocketAddr, Option<&str>),
        transport: Transport,
        room: &RoomName,
        parameters: &str,
        headers: &str,
    ) -> Self {
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let common = format!("host: {host}\r\n{authorization}{headers}");
        Self {
            read_head: format!("GET /rooms/{room}/{transport}?{parameters}"),
            read_tail: format!(" HTTP/1.1\r\n{common}\r\n"),
            post_head: format!(
                "POST /rooms/{room}/{transport} HTTP/1.1\r\n{common}content-type: application/json\r\ncontent-length: "
            ),
            read_bytes: 0,
        }
    }

    /// Pads read requests to this size with a cookie. Longer ones stay as they are.
    pub(crate) fn padded(self, read_bytes: usize) -> Self {
        Self { read_bytes, ..self }
    }

    /// Appends a read request.
    pub(crate) fn read(&self, start: StartAt, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(self.read_head.as_bytes());
        if let StartAt::After(after) = start {
            write!(out, "&after={after}").expect("writing to memory does not fail");
        }
        out.extend_from_slice(self.read_tail.as_bytes());
        let padding = self.read_bytes.saturating_sub(out.len() - begin + COOKIE_BYTES);
        if padding > 0 {
            out.truncate(out.len() - 2);
            write!(out, "cookie: {:x<padding$}\r\n\r\n", "").expect("writing to memory does not fail");
        }
    }

    /// Appends a post, and returns the bytes of its body.
    pub(crate) fn post(&self, post: &Post<'_>, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        encode_post_json(post, out);
        let body = out.split_off(start);
        out.extend_from_slice(self.post_head.as_bytes());
        write!(out, "{}\r\n\r\n", body.len()).expect("writing to memory does not fail");
        out.extend_from_slice(&body);
        body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sent_bytes() {
        let host = "127.0.0.1:80".parse().unwrap();
        let requests =
            Requests::new((host, Some("secret-1")), Transport::LongPolling, &"r".parse().unwrap(), "hold_ms=9", "");
        let mut out = Vec::new();
        requests.read(StartAt::After(7), &mut out);
        assert_eq!(
            String::from_utf8(std::mem::take(&mut out)).unwrap(),
            "GET /rooms/r/long-polling?hold_ms=9&after=7 HTTP/1.1\r\nhost: 127.0.0.1:80\r\nauthorization: Bearer secret-1\r\n\r\n"
        );
        let body = requests.post(&Post { author: 1, ordinal: 2, text: "x".into() }, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("content-length: 35\r\n\r\n{\"author\":1,\"ordinal\":2,\"text\":\"x\"}"), "{text}");
        assert_eq!(body, 35);
    }

    #[test]
    fn a_padded_request_has_its_size_whatever_the_cursor() {
        let host = "127.0.0.1:80".parse().unwrap();
        let plain = Requests::new((host, None), Transport::Polling, &"r".parse().unwrap(), "", "");
        let read = |requests: &Requests, start| {
            let mut out = b"before".to_vec();
            requests.read(start, &mut out);
            String::from_utf8(out.split_off(6)).unwrap()
        };
        let unpadded = read(&plain, StartAt::Live);
        let padded = plain.padded(300);
        for start in [StartAt::Live, StartAt::After(7), StartAt::After(7_000)] {
            let text = read(&padded, start);
            assert_eq!((text.len(), text.matches("\r\n\r\n").count()), (300, 1), "{text}");
            assert!(text.contains("\r\ncookie: xxx") && text.ends_with("x\r\n\r\n"), "{text}");
        }
        assert_eq!(read(&padded.padded(unpadded.len()), StartAt::Live), unpadded, "too small for a cookie");
    }
}
