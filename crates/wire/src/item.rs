//! Items of clients and of the server. Texts borrow from the bytes they were decoded from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{ErrorBody, RoomName, StartAt};

/// A post: what a client sends to a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post<'a> {
    /// Author: in a run the number of the client.
    pub author: u32,
    /// Number of the post among those of its author.
    pub ordinal: u64,
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// A message: a post with its sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message<'a> {
    /// Sequence number: 1, 2, 3 … in each room.
    pub seq: u64,
    /// See [`Post::author`].
    pub author: u32,
    /// See [`Post::ordinal`].
    pub ordinal: u64,
    /// See [`Post::text`].
    pub text: Cow<'a, str>,
}

/// Messages that were removed from the log before the reader received them; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// First missing `seq`.
    pub from: u64,
    /// Last missing `seq`.
    pub to: u64,
}

/// The cursor of a reconnecting reader is beyond the end of the log, because the log is a new one,
/// for example after a restart of the server. Delivery continues from the start of the new log.
///
/// Only `sse` sends it, and only if the cursor is a `Last-Event-ID`: a browser's `EventSource`
/// reconnects with that header and stops after an error. All other requests get an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// `seq` of the newest message in the log, 0 if it is empty.
    pub head: u64,
}

/// Acknowledgement: the server has appended the post to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// `ordinal` of the post.
    pub ordinal: u64,
    /// `seq` of the message.
    pub seq: u64,
}

/// The reader has joined; it will receive all messages after the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// The cursor.
    pub after: u64,
}

/// An item of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerItem<'a> {
    /// First item of every stream, except after a reset.
    Joined(Joined),
    /// A message.
    Message(Message<'a>),
    /// Messages that the reader cannot receive any more.
    Gap(Gap),
    /// The log is a new one.
    Reset(Reset),
    /// Acknowledgement of a post on the same connection.
    Ack(Ack),
    /// An error of the client.
    Error(ErrorBody),
    /// Heartbeat of `tcp`; other transports have their own.
    Heartbeat,
    /// The server stops, on `tcp`; other transports have their own end.
    Bye,
}

/// An item of a client, on `tcp` or in a binary WebSocket message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientItem<'a> {
    /// First item of a `tcp` connection.
    Join(Join),
    /// A post.
    Post(Post<'a>),
}

/// The request to join a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The room.
    pub room: RoomName,
    /// The cursor to start from.
    #[serde(rename = "after", default)]
    pub start: StartAt,
    /// The shared secret, if the server has one.
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
