//! Connections to Redis, the keys of a chat, and what its streams contain.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script, Value};
use wire::Post;

use super::LogError;

/// Maximum time to connect, and to wait for an answer.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Name of a chat that was given none.
pub const CHAT: &str = "chat";
/// The first version whose streams can number their entries from 1.
const VERSION_MIN: u32 = 7;

/// A Redis server and the keys of one chat.
#[derive(Clone)]
pub(super) struct Chat {
    client: Client,
    prefix: String,
}

/// Where a feed is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: String,
    pub(super) last: u64,
}

/// An entry of a log or of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// Of an entry of the feed: its room and its number there.
    pub(super) room: Option<(String, u64)>,
    pub(super) post: Post<'static>,
}

impl Chat {
    pub(super) fn new(url: &str, chat: &str) -> Result<Self, LogError> {
        let client = Client::open(url).map_err(|error| LogError::Address { reason: error.to_string() })?;
        Ok(Self { client, prefix: prefix(chat) })
    }

    /// The address, without the password.
    pub(super) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    pub(super) fn meta(&self) -> String {
        format!("{}meta", self.prefix)
    }

    pub(super) fn feed(&self) -> String {
        feed_in(&self.prefix)
    }

    pub(super) fn batch_of(&self, server: &str) -> String {
        format!("{}batch:{server}", self.prefix)
    }

    pub(super) fn log_of(&self, room: &str) -> String {
        format!("{}log:{room}", self.prefix)
    }

    /// A connection whose answers may take `more` longer than usual.
    pub(super) async fn connect(&self, more: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX + more));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Checks that the server can keep a log.
    pub(super) async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), LogError> {
        let failed = |error: RedisError| LogError::Away { address: self.address(), reason: error.to_string() };
        let info: String = redis::cmd("INFO").arg("server").query_async(connection).await.map_err(failed)?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown");
        if version.split('.').next().and_then(|major| major.parse().ok()).is_none_or(|major: u32| major < VERSION_MIN) {
            return Err(LogError::TooOld { address: self.address(), version: version.to_owned() });
        }
        // A server that forbids CONFIG is not checked.
        let setting = |name: &'static str| {
            let mut connection = connection.clone();
            async move {
                let answer: Result<Vec<String>, _> =
                    redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await;
                answer.ok().and_then(|pair| pair.into_iter().nth(1))
            }
        };
        match (setting("maxmemory").await.as_deref(), setting("maxmemory-policy").await) {
            (None | Some("0"), _) | (_, None) => Ok(()),
            (_, Some(policy)) if policy == "noeviction" => Ok(()),
            (_, Some(policy)) => Err(LogError::Evicts { address: self.address(), policy }),
        }
    }

    /// Asks for the position of the feed. `ended`: an epoch that ends with this question.
    pub(super) async fn hello(
        &self,
        connection: &mut MultiplexedConnection,
        ended: Option<&str>,
    ) -> Result<Position, RedisError> {
        let script = Script::new(include_str!("hello.lua"));
        let mut invocation = script.key(self.meta());
        invocation.key(self.feed()).arg(random()).arg(ended.unwrap_or_default());
        let (epoch, last): (String, String) = invocation.invoke_async(connection).await?;
        Ok(Position { epoch, last: parse_id(last.as_bytes()).ok_or_else(unexpected)? })
    }

    /// The messages of a room after a number.
    pub(super) async fn messages(
        &self,
        connection: &mut MultiplexedConnection,
        room: &str,
        after: u64,
    ) -> Result<Vec<Entry>, RedisError> {
        let after = format!("(0-{after}");
        let range = redis::cmd("XRANGE").arg(self.log_of(room)).arg(after).arg("+").query_async(connection).await?;
        self.entries(range).ok_or_else(unexpected)
    }

    /// The entry of the feed with a number.
    pub(super) async fn entry(
        &self,
        connection: &mut MultiplexedConnection,
        id: u64,
    ) -> Result<Option<Entry>, RedisError> {
        let id = format!("0-{id}");
        let range = redis::cmd("XRANGE").arg(self.feed()).arg(&id).arg(&id).query_async(connection).await?;
        Ok(self.entries(range).ok_or_else(unexpected)?.pop())
    }

    /// The entries in an answer; `None` if it is not one of ours.
    pub(super) fn entries(&self, answer: Value) -> Option<Vec<Entry>> {
        match answer {
            Value::Array(entries) => entries.into_iter().map(|entry| self.entry_of(entry)).collect(),
            Value::Nil => Some(Vec::new()),
            _ => None,
        }
    }

    fn entry_of(&self, entry: Value) -> Option<Entry> {
        let Value::Array(entry) = entry else { return None };
        let [Value::BulkString(id), Value::Array(fields)] = <[Value; 2]>::try_from(entry).ok()? else { return None };
        let (mut room, mut seq, mut author, mut ordinal, mut text) = (None, None, None, None, None);
        let mut fields = fields.into_iter();
        while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next()) {
            match name.as_slice() {
                b"r" => {
                    room = Some(
                        String::from_utf8(value).ok()?.strip_prefix(&self.prefix)?.strip_prefix("log:")?.to_owned(),
                    )
                }
                b"q" => seq = Some(number(&value)?),
                b"a" => author = Some(u32::try_from(number(&value)?).ok()?),
                b"o" => ordinal = Some(number(&value)?),
                b"t" => text = Some(String::from_utf8(value).ok()?),
                _ => {}
            }
        }
        let post = Post { author: author?, ordinal: ordinal?, text: text?.into() };
        Some(Entry { id: parse_id(&id)?, room: room.zip(seq), post })
    }
}

/// The key of a chat's feed. Its entries are `0-1`, `0-2` and so on, one per message since the log
/// began.
pub fn feed_key(chat: &str) -> String {
    feed_in(&prefix(chat))
}

fn feed_in(prefix: &str) -> String {
    format!("{prefix}feed")
}

/// One hash tag, so that all keys are in one slot of a cluster.
fn prefix(chat: &str) -> String {
    format!("pb:{{{chat}}}:")
}

/// The right half of an id, whose left half is 0.
fn parse_id(id: &[u8]) -> Option<u64> {
    number(id.strip_prefix(b"0-")?)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn unexpected() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "the streams of this chat were written by another program").into()
}

/// A name that no other server has.
pub(super) fn random() -> String {
    let [first, second] = [0, 1].map(|_| RandomState::new().build_hasher().finish());
    format!("{first:016x}{second:016x}")
}
