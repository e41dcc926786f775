//! Properties of every parser for any input, for property tests and for the targets in
//! `crates/fuzz`.

use crate::stomp::StompFrame;
use crate::{
    Event, EventDecoder, ReadQuery, RoomName, ServerItem, WireError, decode_down, decode_json, decode_post_json,
    decode_up, encode_down, encode_json, encode_post_json, encode_up, json, parse_after, split_frame,
};

/// A frame is at most as long as the limit and lies within the buffer.
pub fn frames(bytes: &[u8]) {
    let max = bytes.len() / 2;
    if let Ok(Some(frame)) = split_frame(bytes, max) {
        assert!(frame.item.len() <= max && frame.taken <= bytes.len());
    }
}

/// A decoded binary item is equal to itself after encoding and decoding.
pub fn binary(bytes: &[u8]) {
    let mut out = Vec::new();
    if let Ok(item) = decode_down(bytes) {
        encode_down(&item, &mut out);
        assert_eq!(decode_down(&out), Ok(item));
    }
    out.clear();
    if let Ok(item) = decode_up(bytes) {
        encode_up(&item, &mut out);
        assert_eq!(decode_up(&out), Ok(item));
    }
}

/// The same for a JSON item; the fast and the general decoder agree.
pub fn json(bytes: &[u8]) {
    let mut out = Vec::new();
    if let Ok(item) = decode_json(bytes) {
        encode_json(&item, &mut out);
        assert_eq!(decode_json(&out), Ok(item));
    }
    out.clear();
    if let Ok(post) = decode_post_json(bytes) {
        encode_post_json(&post, &mut out);
        assert_eq!(decode_post_json(&out), Ok(post));
    }
    if let Some(plain) = json::plain_message(bytes) {
        assert_eq!(json::decode_any(bytes), Ok(ServerItem::Message(plain)));
    }
}

/// Events do not depend on how the bytes are split.
pub fn events(bytes: &[u8]) {
    let chunks: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(decode_events(&chunks), decode_events(&[bytes]));
}

/// The body of a STOMP frame is part of its text.
pub fn stomp(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(Some(frame)) = StompFrame::parse(text) {
        assert!(text.contains(frame.body));
        frame.header("content-length");
    }
}

/// An invalid query, cursor or room name gives an error with a text.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let refused = |problem: crate::ErrorBody| assert!(!problem.to_string().is_empty());
    ReadQuery::parse(text, &["after", "hold_ms", "encoding", "token"]).map_or_else(refused, drop);
    parse_after("after", text).map_or_else(refused, drop);
    text.parse::<RoomName>().map_or_else(refused, drop);
}

type Events = Vec<(String, Vec<u8>, String)>;

pub(crate) fn decode_events(chunks: &[&[u8]]) -> Result<Events, WireError> {
    let mut decoder = EventDecoder::new(1 << 16);
    let mut seen = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk, |event: Event<'_>| {
            seen.push((event.name.to_owned(), event.data.to_owned(), event.last_id.to_owned()));
            Ok::<_, WireError>(())
        })?;
    }
    Ok(seen)
}
