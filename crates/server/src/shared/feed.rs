//! Follows the feed: every message of every room, in the order of the shared log.
//!
//! The state of this server is one number, the last entry that it has taken.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::time::sleep;

use super::connection::{Chat, Entry, Position, unexpected};
use super::{Copies, Epoch};
use crate::hub::{Copied, Hub};

/// Entries of one answer, and the longest wait for one.
const ENTRIES_MAX: usize = 1_024;
const BLOCK: Duration = Duration::from_secs(1);
/// Pause before this server connects again.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Feed {
    pub(super) chat: Chat,
    pub(super) hub: Arc<Hub>,
    pub(super) copies: Copies,
    pub(super) epoch: Epoch,
    pub(super) position: Position,
    /// The entry at the position, which tells an older log with as many entries.
    pub(super) last_entry: Option<Entry>,
}

impl Feed {
    pub(super) async fn run(mut self) {
        let mut is_away = false;
        loop {
            if let Err(error) = self.follow(&mut is_away).await
                && !std::mem::replace(&mut is_away, true)
            {
                tracing::warn!(%error, address = self.chat.address(), "the shared log does not answer");
            }
            sleep(PAUSE).await;
        }
    }

    async fn follow(&mut self, was_away: &mut bool) -> Result<(), RedisError> {
        let mut connection = self.chat.connect(BLOCK).await?;
        self.check(&mut connection).await?;
        if std::mem::take(was_away) {
            tracing::info!("the shared log answers again");
        }
        loop {
            let entries = self.read(&mut connection).await?;
            if entries.is_empty() {
                self.check(&mut connection).await?;
            }
            for entry in entries {
                if entry.id != self.position.last + 1 {
                    // The feed is shorter than this server was away.
                    for room in self.hub.all() {
                        self.copies.copy(&room).await?;
                    }
                }
                self.take(&entry).await?;
                self.position.last = entry.id;
                self.last_entry = Some(entry);
            }
        }
    }

    async fn read(&self, connection: &mut MultiplexedConnection) -> Result<Vec<Entry>, RedisError> {
        let after = format!("0-{}", self.position.last);
        let answer = redis::cmd("XREAD")
            .arg("COUNT")
            .arg(ENTRIES_MAX)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u64)
            .arg("STREAMS")
            .arg(self.chat.feed())
            .arg(after)
            .query_async(connection)
            .await?;
        // One stream: its name and its entries.
        let entries = match answer {
            Value::Array(mut streams) => match streams.pop() {
                Some(Value::Array(mut stream)) => stream.pop(),
                _ => None,
            },
            Value::Nil => Some(Value::Nil),
            _ => None,
        };
        entries.and_then(|entries| self.chat.entries(entries)).ok_or_else(unexpected)
    }

    async fn take(&self, entry: &Entry) -> Result<(), RedisError> {
        let Some((name, seq)) = &entry.room else { return Err(unexpected()) };
        let Some(room) = self.hub.known(name) else { return Ok(()) };
        if room.follow(*seq, &entry.post) == Copied::Behind {
            self.copies.copy(&room).await?;
        }
        Ok(())
    }

    /// Compares the log with what this server has seen of it. A log that has begun again, or has
    /// lost its end, ends all readers: their cursors mean nothing there.
    async fn check(&mut self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut found = self.chat.hello(connection, None).await?;
        let mut is_same = found.epoch == self.position.epoch && found.last >= self.position.last;
        if let Some(last) = self.last_entry.as_ref().filter(|_| is_same) {
            // An entry that the feed no longer has cannot be compared.
            is_same = self.chat.entry(connection, last.id).await?.is_none_or(|entry| entry == *last);
        }
        if is_same {
            return Ok(());
        }
        if found.epoch == self.position.epoch {
            found = self.chat.hello(connection, Some(&found.epoch)).await?;
        }
        tracing::warn!(had = self.position.last, has = found.last, "the shared log has lost messages or begun again");
        self.epoch.set(&found.epoch);
        self.hub.forget_all();
        (self.position, self.last_entry) = (found, None);
        Ok(())
    }
}
