//! What goes up and what comes down, as values. Texts borrow from the bytes they were read from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{ErrorBody, RoomName, StartAt};

/// What a client sends into a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post<'a> {
    /// Who says it: the seat's number in a run, anything in a chat.
    pub author: u32,
    /// The author's own count of its posts.
    pub ordinal: u64,
    /// What is said.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// A post with its place in the room's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message<'a> {
    /// Contiguous per room, from 1.
    pub seq: u64,
    /// See [`Post::author`].
    pub author: u32,
    /// See [`Post::ordinal`].
    pub ordinal: u64,
    /// See [`Post::text`].
    pub text: Cow<'a, str>,
}

/// Messages that left the log before the reader came to them: both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// First seq that is gone.
    pub from: u64,
    /// Last seq that is gone.
    pub to: u64,
}

/// The reader came back with a cursor beyond the end of the log: the log was begun anew, after a restart of the server for example. The
/// messages between its end and the cursor are gone, and those in it are others than the reader knows. What follows begins at its start.
///
/// Only `sse` has it, and only where the cursor is a `Last-Event-ID`. A browser's `EventSource` comes back by itself, and after a refusal
/// never again; every other client is refused, and can choose another cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Seq of the newest message in the log, 0 when there is none.
    pub head: u64,
}

/// The server has a post, and this is its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Which of the sender's posts.
    pub ordinal: u64,
    /// Where it stands.
    pub seq: u64,
}

/// The reader is in the room; everything behind `after` will reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// The cursor the reader starts from.
    pub after: u64,
}

/// Anything a server says to a client inside a transport's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerItem<'a> {
    /// First item on every stream, but for a reset.
    Joined(Joined),
    /// The next message.
    Message(Message<'a>),
    /// Messages lost to the reader.
    Gap(Gap),
    /// A log that was begun anew.
    Reset(Reset),
    /// Answer to a post sent in-band.
    Ack(Ack),
    /// What the client did wrong.
    Error(ErrorBody),
    /// Nothing to say, still here (`tcp`; the others have a heart-beat of their own).
    Heartbeat,
    /// The server goes away (`tcp`; the others have an end of their own).
    Bye,
}

/// Anything a client says on a `tcp` connection, or in a binary WebSocket message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientItem<'a> {
    /// First frame of a `tcp` connection.
    Join(Join),
    /// A post.
    Post(Post<'a>),
}

/// The request for a place in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Which room.
    pub room: RoomName,
    /// Where in its log to begin.
    #[serde(rename = "after", default)]
    pub start: StartAt,
    /// The shared secret, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_post() -> impl Strategy<Value = Post<'static>> {
        (any::<u32>(), any::<u64>(), ".*").prop_map(|(author, ordinal, text)| Post {
            author,
            ordinal,
            text: text.into(),
        })
    }

    pub(crate) fn any_message() -> impl Strategy<Value = Message<'static>> {
        (any::<u64>(), any_post()).prop_map(|(seq, post)| Message {
            seq,
            author: post.author,
            ordinal: post.ordinal,
            text: post.text,
        })
    }

    fn any_problem() -> impl Strategy<Value = ErrorBody> {
        (".*", ".*", ".*", ".*").prop_map(|(error, field, value, hint)| ErrorBody { error, field, value, hint })
    }

    pub(crate) fn any_down() -> impl Strategy<Value = ServerItem<'static>> {
        prop_oneof![
            any::<u64>().prop_map(|after| ServerItem::Joined(Joined { after })),
            any_message().prop_map(ServerItem::Message),
            any::<(u64, u64)>().prop_map(|(from, to)| ServerItem::Gap(Gap { from, to })),
            any::<u64>().prop_map(|head| ServerItem::Reset(Reset { head })),
            any::<(u64, u64)>().prop_map(|(ordinal, seq)| ServerItem::Ack(Ack { ordinal, seq })),
            any_problem().prop_map(ServerItem::Error),
            Just(ServerItem::Heartbeat),
            Just(ServerItem::Bye),
        ]
    }

    pub(crate) fn any_up() -> impl Strategy<Value = ClientItem<'static>> {
        let join = ("[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,63}", any::<Option<u64>>(), any::<Option<String>>()).prop_map(
            |(room, after, token)| ClientItem::Join(Join { room: room.parse().unwrap(), start: after.into(), token }),
        );
        prop_oneof![join, any_post().prop_map(ClientItem::Post)]
    }
}
