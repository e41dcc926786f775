//! The binary encoding: a kind byte, big-endian integers, then text up to the end of the item. The
//! framing marks that end.

use std::borrow::Cow;

use crate::{Ack, ClientItem, Gap, Joined, Message, Post, Reset, ServerItem, WireError};

const KIND_MESSAGE: u8 = 1;
const KIND_GAP: u8 = 2;
const KIND_ACK: u8 = 3;
const KIND_JOINED: u8 = 4;
const KIND_HEARTBEAT: u8 = 5;
const KIND_BYE: u8 = 6;
const KIND_PROBLEM: u8 = 7;
const KIND_RESET: u8 = 8;
const KIND_JOIN: u8 = 16;
const KIND_POST: u8 = 17;

/// Encodes an item of the server.
pub fn encode_down(item: &ServerItem<'_>, out: &mut Vec<u8>) {
    match item {
        ServerItem::Message(message) => {
            out.push(KIND_MESSAGE);
            out.extend_from_slice(&message.seq.to_be_bytes());
            out.extend_from_slice(&message.author.to_be_bytes());
            out.extend_from_slice(&message.ordinal.to_be_bytes());
            out.extend_from_slice(message.text.as_bytes());
        }
        ServerItem::Gap(gap) => push_pair(out, KIND_GAP, gap.from, gap.to),
        ServerItem::Ack(ack) => push_pair(out, KIND_ACK, ack.ordinal, ack.seq),
        ServerItem::Joined(joined) => push_number(out, KIND_JOINED, joined.after),
        ServerItem::Reset(reset) => push_number(out, KIND_RESET, reset.head),
        ServerItem::Heartbeat => out.push(KIND_HEARTBEAT),
        ServerItem::Bye => out.push(KIND_BYE),
        ServerItem::Error(problem) => push_json(out, KIND_PROBLEM, problem),
    }
}

/// Decodes an item of the server.
pub fn decode_down(bytes: &[u8]) -> Result<ServerItem<'_>, WireError> {
    let (kind, mut rest) = split_kind(bytes)?;
    let item = match kind {
        KIND_MESSAGE => {
            return Ok(ServerItem::Message(Message {
                seq: take_u64(&mut rest, "seq")?,
                author: take_u32(&mut rest, "author")?,
                ordinal: take_u64(&mut rest, "ordinal")?,
                text: text(rest)?,
            }));
        }
        KIND_PROBLEM => return Ok(ServerItem::Error(serde_json::from_slice(rest)?)),
        KIND_GAP => ServerItem::Gap(Gap { from: take_u64(&mut rest, "from")?, to: take_u64(&mut rest, "to")? }),
        KIND_ACK => ServerItem::Ack(Ack { ordinal: take_u64(&mut rest, "ordinal")?, seq: take_u64(&mut rest, "seq")? }),
        KIND_RESET => ServerItem::Reset(Reset { head: take_u64(&mut rest, "head")? }),
        KIND_JOINED => ServerItem::Joined(Joined { after: take_u64(&mut rest, "after")? }),
        KIND_HEARTBEAT => ServerItem::Heartbeat,
        KIND_BYE => ServerItem::Bye,
        unknown => return Err(WireError::UnknownKind(unknown)),
    };
    match rest {
        [] => Ok(item),
        more => Err(WireError::TooBig { found: bytes.len(), max: bytes.len() - more.len() }),
    }
}

/// Encodes an item of a client.
pub fn encode_up(item: &ClientItem<'_>, out: &mut Vec<u8>) {
    match item {
        ClientItem::Join(join) => push_json(out, KIND_JOIN, join),
        ClientItem::Post(post) => {
            out.push(KIND_POST);
            out.extend_from_slice(&post.author.to_be_bytes());
            out.extend_from_slice(&post.ordinal.to_be_bytes());
            out.extend_from_slice(post.text.as_bytes());
        }
    }
}

/// Decodes an item of a client.
pub fn decode_up(bytes: &[u8]) -> Result<ClientItem<'_>, WireError> {
    let (kind, mut rest) = split_kind(bytes)?;
    match kind {
        KIND_JOIN => Ok(ClientItem::Join(serde_json::from_slice(rest)?)),
        KIND_POST => Ok(ClientItem::Post(Post {
            author: take_u32(&mut rest, "author")?,
            ordinal: take_u64(&mut rest, "ordinal")?,
            text: text(rest)?,
        })),
        unknown => Err(WireError::UnknownKind(unknown)),
    }
}

fn push_number(out: &mut Vec<u8>, kind: u8, number: u64) {
    out.push(kind);
    out.extend_from_slice(&number.to_be_bytes());
}

fn push_pair(out: &mut Vec<u8>, kind: u8, first: u64, second: u64) {
    out.push(kind);
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&second.to_be_bytes());
}

fn push_json(out: &mut Vec<u8>, kind: u8, value: &impl serde::Serialize) {
    out.push(kind);
    serde_json::to_writer(out, value).expect("our own items have string keys, and memory does not refuse a write");
}

fn split_kind(bytes: &[u8]) -> Result<(u8, &[u8]), WireError> {
    bytes.split_first().map(|(kind, rest)| (*kind, rest)).ok_or(WireError::Truncated("kind"))
}

fn take_u64(bytes: &mut &[u8], what: &'static str) -> Result<u64, WireError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(WireError::Truncated(what))?;
    *bytes = rest;
    Ok(u64::from_be_bytes(*head))
}

fn take_u32(bytes: &mut &[u8], what: &'static str) -> Result<u32, WireError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(WireError::Truncated(what))?;
    *bytes = rest;
    Ok(u32::from_be_bytes(*head))
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, WireError> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| WireError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::tests::{any_down, any_up};
    use proptest::prelude::*;

    #[test]
    fn refuses_bad_bytes() {
        assert_eq!(decode_down(&[]), Err(WireError::Truncated("kind")));
        assert_eq!(decode_down(&[99]), Err(WireError::UnknownKind(99)));
        assert_eq!(decode_down(&[KIND_ACK, 0, 0]), Err(WireError::Truncated("ordinal")));
        assert_eq!(decode_down(&[KIND_BYE, 0]), Err(WireError::TooBig { found: 2, max: 1 }));
        assert_eq!(decode_up(&[KIND_MESSAGE]), Err(WireError::UnknownKind(KIND_MESSAGE)));
        let mut post = vec![KIND_POST];
        post.extend([0; 12]);
        post.push(0xff);
        assert_eq!(decode_up(&post), Err(WireError::NotUtf8));
    }

    proptest! {
        #[test]
        fn down_round_trip(item in any_down()) {
            let mut out = Vec::new();
            encode_down(&item, &mut out);
            prop_assert_eq!(decode_down(&out).unwrap(), item);
        }

        #[test]
        fn up_round_trip(item in any_up()) {
            let mut out = Vec::new();
            encode_up(&item, &mut out);
            prop_assert_eq!(decode_up(&out).unwrap(), item);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            crate::fuzz::binary(&bytes);
        }
    }
}
