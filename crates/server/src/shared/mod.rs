//! The log that several servers share, in Redis: one stream per room, the log, and one stream of
//! all rooms, the feed. Nothing else knows Redis.
//!
//! - `append`: the posts of this server, a batch at a time, each appended once.
//! - `feed`: the messages of all servers, into the rooms that are here.
//! - `connection`: connections, keys and entries.

mod append;
mod connection;
mod feed;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::StartAt;

use self::append::Appender;
pub use self::connection::{CHAT, feed_key};
use self::connection::{Chat, random};
use self::feed::Feed;
use crate::config::{Log, ServerLimits};
use crate::hub::{Copied, Hub, NotTaken, Order, Room};

/// Posts that wait for the log.
const QUEUE_MAX: usize = 4_096;
/// Bytes of text that the feed keeps, and the bounds of its length.
const FEED_BYTES_MAX: usize = 64 << 20;
const FEED_LENGTH: std::ops::RangeInclusive<usize> = 256..=65_536;

/// Why a shared log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The address is not one of Redis.
    #[error("the address of the log is not valid ({reason}); use redis://HOST:PORT or unix:///PATH")]
    Address {
        /// What is wrong.
        reason: String,
    },
    /// Redis does not answer.
    #[error("Redis at {address} does not answer ({reason}); start one there, or check host, port and password")]
    Away {
        /// The address without the password.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The version is too old.
    #[error("Redis at {address} has version {version}, and a log needs 7.0 or newer")]
    TooOld {
        /// The address.
        address: String,
        /// The version found.
        version: String,
    },
    /// Redis removes keys when its memory is full.
    #[error(
        "Redis at {address} would remove messages when its memory is full (maxmemory-policy {policy}); \
         run: redis-cli CONFIG SET maxmemory-policy noeviction"
    )]
    Evicts {
        /// The address.
        address: String,
        /// The policy found.
        policy: String,
    },
}

/// The epoch that this server writes in.
#[derive(Clone)]
struct Epoch(Arc<Mutex<String>>);

impl Epoch {
    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, epoch: &str) {
        epoch.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Copies rooms from the shared log.
#[derive(Clone)]
struct Copies {
    chat: Chat,
    /// Held while a room is copied. Many clients want the same one at once, and then all but the
    /// first find it copied.
    connection: Arc<tokio::sync::Mutex<Option<MultiplexedConnection>>>,
}

impl Copies {
    /// Copies the messages of a room that are not here yet.
    async fn copy(&self, room: &Room) -> Result<(), RedisError> {
        self.copy_unless(room, || false).await
    }

    async fn copy_unless(&self, room: &Room, is_copied: impl Fn() -> bool) -> Result<(), RedisError> {
        let mut held = self.connection.lock().await;
        if is_copied() {
            return Ok(());
        }
        if let Some(mut connection) = held.take() {
            // It may have ended since its last use.
            if self.copy_over(&mut connection, room).await.is_ok() {
                *held = Some(connection);
                return Ok(());
            }
        }
        let mut connection = self.chat.connect(Duration::ZERO).await?;
        self.copy_over(&mut connection, room).await?;
        *held = Some(connection);
        Ok(())
    }

    async fn copy_over(&self, connection: &mut MultiplexedConnection, room: &Room) -> Result<(), RedisError> {
        loop {
            let messages = self.chat.messages(connection, room.name(), room.begin_copy()).await;
            let messages = messages.inspect_err(|_| room.abandon_copy())?;
            if room.copy(messages.into_iter().map(|entry| (entry.id, entry.post))) == Copied::Whole {
                return Ok(());
            }
        }
    }
}

/// The shared log, as requests use it.
pub(crate) struct SharedLog {
    copies: Copies,
}

impl SharedLog {
    /// Copies what a reader needs to start there.
    pub(crate) async fn copy_for(&self, room: &Room, start: StartAt) -> Result<(), NotTaken> {
        let copied = self.copies.copy_unless(room, || room.covers(start)).await;
        copied.map_err(|error| {
            tracing::debug!(%error, "a room cannot be copied");
            NotTaken::Away
        })
    }
}

/// What runs beside the connections of clients.
pub(crate) struct Tasks {
    appender: Appender,
    position: connection::Position,
    copies: Copies,
}

impl Tasks {
    pub(crate) fn start(self, hub: &Arc<Hub>, tasks: &TaskTracker, closing: &CancellationToken) {
        let Self { appender, position, copies } = self;
        let feed = Feed {
            chat: appender.chat.clone(),
            hub: Arc::clone(hub),
            copies,
            epoch: appender.epoch.clone(),
            position,
            last_entry: None,
        };
        tasks.spawn(appender.run(closing.clone()));
        let closing = closing.clone();
        tasks.spawn(async move { closing.run_until_cancelled(feed.run()).await });
    }
}

/// Connects to the log of a configuration.
pub(crate) async fn open(
    log: &Log,
    limits: &ServerLimits,
) -> Result<(Order, Option<SharedLog>, Option<Tasks>), LogError> {
    let Log::Redis { url, chat } = log else { return Ok((Order::Here, None, None)) };
    let chat = Chat::new(url, chat)?;
    let away = |error: RedisError| LogError::Away { address: chat.address(), reason: error.to_string() };
    let mut connection = chat.connect(Duration::ZERO).await.map_err(away)?;
    chat.check(&mut connection).await?;
    let position = chat.hello(&mut connection, None).await.map_err(away)?;
    let copies = Copies { chat: chat.clone(), connection: Arc::new(tokio::sync::Mutex::new(Some(connection))) };
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let appender = Appender {
        chat,
        queue,
        epoch: Epoch(Arc::new(Mutex::new(position.epoch.clone()))),
        server: random(),
        script: Script::new(include_str!("append.lua")),
        log_length: limits.log_messages_max,
        feed_length: (FEED_BYTES_MAX / limits.message_bytes_max).clamp(*FEED_LENGTH.start(), *FEED_LENGTH.end()),
    };
    let shared = SharedLog { copies: copies.clone() };
    Ok((Order::Shared(sender), Some(shared), Some(Tasks { appender, position, copies })))
}
