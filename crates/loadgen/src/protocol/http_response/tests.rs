//! Responses in chunks of any size, and bytes that are no response.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Seen {
    heads: Vec<(u16, Option<u64>, bool)>,
    bodies: Vec<Vec<u8>>,
    ends: usize,
    head_bytes: usize,
    framing: usize,
}

fn read(chunks: &[&[u8]]) -> Result<Seen, Fault> {
    let mut reader = ResponseReader::new();
    let mut seen = Seen::default();
    for chunk in chunks {
        let mut rest = *chunk;
        while !rest.is_empty() {
            let parsed = reader.feed(rest, |part| {
                match part {
                    Part::Head(head, _) => {
                        seen.heads.push((head.status, head.cursor, head.closes));
                        seen.head_bytes += head.bytes;
                        seen.bodies.push(Vec::new());
                    }
                    Part::Body(bytes) => seen.bodies.last_mut().unwrap().extend_from_slice(bytes),
                    Part::Framing(bytes) => seen.framing += bytes,
                    Part::End => seen.ends += 1,
                }
                Ok::<_, Fault>(())
            })?;
            rest = &rest[parsed..];
        }
    }
    Ok(seen)
}

/// Reads bytes as one chunk, as two chunks split at every place, and byte by byte: the result must
/// be the same.
fn read_chunked(bytes: &[u8]) -> Result<Seen, Fault> {
    let whole = read(&[bytes]);
    for cut in 0..bytes.len() {
        let text = || String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "split at {cut}: {:?}", text());
    }
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    whole
}

const THREE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\npushbench-cursor: 42\r\n\r\nabc\
    HTTP/1.1 204 No Content\r\n\r\n\
    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";

#[test]
fn sized_empty_and_chunked() {
    let seen = read_chunked(THREE).unwrap();
    assert_eq!(seen.heads, [(200, Some(42), false), (204, None, false), (200, None, true)]);
    assert_eq!(seen.bodies, [b"abc".to_vec(), vec![], b"hello0123456789".to_vec()]);
    assert_eq!((seen.ends, seen.framing), (3, 3 + 2 + 7 + 2 + 3 + 2));
    assert_eq!(seen.head_bytes + seen.framing + 3 + 15, THREE.len());
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// Every byte belongs to a head, a body or framing.
#[test]
fn responses_in_every_valid_form() {
    for (text, body, is_whole) in [
        (SIZED.to_owned(), "hi", true),
        // Interim responses with headers of their own before the final one.
        (format!("HTTP/1.1 100 Continue\r\n\r\n{SIZED}"), "hi", true),
        (format!("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{SIZED}"), "hi", true),
        ("HTTP/1.1 102 Processing\r\n\r\n".repeat(50) + SIZED, "hi", true),
        // A body that ends with the connection.
        ("HTTP/1.1 200 OK\r\n\r\nhi".to_owned(), "hi", false),
        ("HTTP/1.0 200 OK\r\n\r\nhi".to_owned(), "hi", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned(), "hi", true),
        (SIZED.replace("content-length: 2", "content-length: 2\r\nContent-Length: 2"), "hi", true),
        // Line ends without CR are accepted in heads, as RFC 9112 allows, but not after a chunk.
        (SIZED.replace("\r\n", "\n"), "hi", true),
        (format!("{CHUNKED}2\r\nhi\r\n0\r\n\r\n"), "hi", true),
        (CHUNKED.replace("chunked", "gzip, Chunked") + "2\r\nhi\r\n0\r\n\r\n", "hi", true),
        (CHUNKED.replace("chunked", "chunked\r\ncontent-length: 7") + "2\r\nhi\r\n0\r\n\r\n", "hi", true),
        (format!("{CHUNKED}1\r\nh\r\n00001\r\ni\r\n000\r\n\r\n"), "hi", true),
        (format!("{CHUNKED}2;foo=\"bar\\\"\";a=b\r\nhi\r\n0;last\r\n\r\n"), "hi", true),
        (format!("{CHUNKED}2 ; x\r\nhi\r\n0\r\nx-checksum: abc\r\nfoo: bar\r\n\r\n"), "hi", true),
        (format!("{CHUNKED}2\r\nhi\r\n0\r\n{}\r\n", "a: b\r\n".repeat(100)), "hi", true),
    ] {
        let seen = read_chunked(text.as_bytes()).unwrap();
        assert_eq!(seen.bodies, [body.as_bytes()], "{text:?}");
        assert_eq!((seen.heads.len(), seen.ends), (1, usize::from(is_whole)), "{text:?}");
        assert_eq!(seen.head_bytes + seen.framing + body.len(), text.len(), "{text:?}");
    }
}

#[test]
fn a_switch_of_protocols_ends_where_its_head_ends() {
    let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n";
    for cut in 0..head.len() {
        let (mut reader, mut written) = (ResponseReader::new(), Vec::new());
        let mut feed = |bytes: &[u8]| {
            let part = |part: Part<'_>| {
                if let Part::Head(head, bytes) = part {
                    assert_eq!(head.status, 101);
                    written.extend_from_slice(bytes);
                }
                Ok::<_, Fault>(())
            };
            reader.feed(bytes, part).unwrap()
        };
        assert_eq!(feed(&head.as_bytes()[..cut]), cut);
        let rest = [&head.as_bytes()[cut..], b"\x81\x00"].concat();
        assert_eq!(feed(&rest), rest.len() - 2, "split at {cut}");
        assert!(written.starts_with(b"HTTP/1.1 101") && written.ends_with(b"\r\n\r\n"), "split at {cut}");
    }
}

#[test]
fn invalid_bytes_are_described() {
    let head = |length| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let chunk = |line: &str| format!("{CHUNKED}{line}");
    for (text, error) in [
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "not a response head"),
        ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), "not a response head"),
        ("HTTP/1.1 OK\r\n\r\n".to_owned(), "not a response head"),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(65)), "too many headers"),
        (head("x"), "a content length of \"x\""),
        (head("-1"), "a content length of \"-1\""),
        (head("+2"), "a content length of \"+2\""),
        (head("99999999999999999999"), "a content length of \"9999"),
        (head("2\r\ncontent-length: 3"), "two content lengths that differ"),
        (CHUNKED.replace("1.1", "1.0"), "a transfer encoding in HTTP/1.0"),
        (chunk("zz\r\n"), "a chunk without a size"),
        (chunk("-1\r\n"), "a chunk without a size"),
        (chunk("\r\n"), "a chunk without a size"),
        (chunk(";x\r\n"), "a chunk without a size"),
        (chunk("ffffffffffffffff\r\n"), "a chunk without a size"),
        (chunk("10000000000000000\r\n"), "a chunk without a size"),
        (chunk("2\nhi\n0\n\n"), "a chunk line that ends without CR LF"),
        (chunk("1\r\nab\r\n"), "longer than its size"),
        (chunk("1\r\na\r\n\r\n"), "a chunk without a size"),
    ] {
        let fault = read_chunked(text.as_bytes()).unwrap_err();
        assert!(fault.detail.contains(error) && fault.kind == FaultKind::BadBytes, "{text:?}: {fault}");
    }
}

/// A limit holds whatever the chunks; one byte less is accepted.
#[test]
fn every_part_has_a_limit() {
    let line = |bytes: usize| format!("{CHUNKED}2;{}\r\nhi\r\n0\r\n\r\n", "x".repeat(bytes - 4));
    let trailers = |bytes: usize| format!("{CHUNKED}0\r\n{}\r\n\r\n", "x".repeat(bytes - 4));
    let head = |bytes: usize| format!("{SIZED}{:x<1$}\r\n\r\n", "HTTP/1.1 204 x\r\nx: ", bytes - 4);
    let interim = |responses| "HTTP/1.1 100 Continue\r\n\r\n".repeat(responses) + SIZED;
    for (fits, too_much, error) in [
        (line(CHUNK_LINE_BYTES_MAX), line(CHUNK_LINE_BYTES_MAX + 1), "a chunk size of more than 256 bytes"),
        (trailers(TRAILER_BYTES_MAX), trailers(TRAILER_BYTES_MAX + 1), "trailers of more than 16384 bytes"),
        (head(HEAD_BYTES_MAX), head(HEAD_BYTES_MAX + 1), "a response head of more than 16384 bytes"),
        (interim(INTERIM_MAX as usize), interim(INTERIM_MAX as usize + 1), "more than 100 interim responses"),
    ] {
        for pieces in [usize::MAX, 1000, 7] {
            let cut = |text: &str| read(&text.as_bytes().chunks(pieces).collect::<Vec<_>>());
            assert!(cut(&fits).is_ok(), "{:?} in pieces of {pieces}", cut(&fits));
            assert_eq!(cut(&too_much).unwrap_err().detail, error, "in pieces of {pieces}");
        }
    }
    let endless = format!("{CHUNKED}0\r\n{}", "x: y\r\n".repeat(TRAILER_BYTES_MAX));
    assert_eq!(read(&[endless.as_bytes()]).unwrap_err().detail, "trailers of more than 16384 bytes");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::response(&bytes);
        crate::fuzz::response(&[CHUNKED.as_bytes(), &bytes].concat());
    }
}
