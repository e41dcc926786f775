//! Appends the posts of this server to the shared log, a batch at a time.
//!
//! While a batch is away, posts gather; they are the next batch. A batch whose answer was lost is
//! sent again under its number until there is one, so it is appended once, even if its clients
//! have been told in the meantime that the log does not answer.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, Script, ServerErrorKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wire::{Post, RoomName};

use super::Epoch;
use super::connection::{Chat, unexpected};
use crate::hub::{Append, AppendAnswer, NotTaken};

/// Maximum posts in a batch, and their bytes: Redis does nothing else meanwhile.
const POSTS_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;
/// Time after which the posts of a batch are refused, if there is no answer.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Pause before a batch is sent again.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Appender {
    pub(super) chat: Chat,
    pub(super) queue: mpsc::Receiver<Append>,
    pub(super) epoch: Epoch,
    /// The name of this server. One that starts again has another, because it counts from 1.
    pub(super) server: String,
    pub(super) log_length: usize,
    pub(super) feed_length: usize,
    pub(super) script: Script,
}

/// Why a batch has no numbers.
enum Failure {
    /// There is no answer: it may have been appended.
    Unknown(RedisError),
    /// Redis refuses it.
    Refused(RedisError),
}

impl Appender {
    pub(super) async fn run(mut self, closing: CancellationToken) {
        let (mut number, mut connection) = (0_u64, None);
        loop {
            let first = tokio::select! {
                biased;
                first = self.queue.recv() => first,
                () = closing.cancelled() => self.queue.try_recv().ok(),
            };
            let Some(first) = first else { return };
            let (batch, mut answers) = self.gather(first);
            number += 1;
            let began = Instant::now();
            loop {
                match self.send(&mut connection, number, &batch).await {
                    Ok(seqs) => {
                        answers.into_iter().zip(seqs).for_each(|(answer, seq)| answer.send(Ok(seq)));
                        break;
                    }
                    Err(Failure::Refused(error)) => {
                        tracing::warn!(%error, "the shared log refuses posts");
                        refuse(answers);
                        break;
                    }
                    Err(Failure::Unknown(error)) => {
                        tracing::debug!(%error, "the shared log does not answer");
                        connection = None;
                        if closing.is_cancelled() {
                            return;
                        }
                        sleep(PAUSE).await;
                        if began.elapsed() >= WAIT_MAX {
                            refuse(answers.drain(..));
                            self.refuse_queued();
                        }
                    }
                }
            }
        }
    }

    /// The posts of the next batch, and whom to answer.
    fn gather(&mut self, first: Append) -> (Vec<(RoomName, Post<'static>)>, Vec<AppendAnswer>) {
        let (mut batch, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(Append { room, post, answer }) = next {
            bytes += post.text.len();
            batch.push((room, post));
            answers.push(answer);
            let has_room = batch.len() < POSTS_MAX && bytes < BYTES_MAX;
            next = if has_room { self.queue.try_recv().ok() } else { None };
        }
        (batch, answers)
    }

    fn refuse_queued(&mut self) {
        while let Ok(append) = self.queue.try_recv() {
            append.answer.send(Err(NotTaken::Away));
        }
    }

    async fn send(
        &self,
        connection: &mut Option<MultiplexedConnection>,
        number: u64,
        batch: &[(RoomName, Post<'static>)],
    ) -> Result<Vec<u64>, Failure> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(self.chat.connect(Duration::ZERO).await.map_err(Failure::Unknown)?),
        };
        let mut invocation = self.script.key(self.chat.meta());
        invocation.key(self.chat.feed()).key(self.chat.batch_of(&self.server));
        invocation.arg(self.epoch.get()).arg(number).arg(self.log_length).arg(self.feed_length);
        for (room, post) in batch {
            invocation.key(self.chat.log_of(room.as_str()));
            invocation.arg(post.author).arg(post.ordinal).arg(post.text.as_ref());
        }
        let answer: String = invocation.invoke_async(connection).await.map_err(|error| {
            match error.kind() {
                // It has been started again and reads its file.
                ErrorKind::Server(ServerErrorKind::BusyLoading) => Failure::Unknown(error),
                ErrorKind::Server(_) | ErrorKind::Extension => Failure::Refused(error),
                _ => Failure::Unknown(error),
            }
        })?;
        let seqs: Result<Vec<u64>, _> = answer.split(',').map(str::parse).collect();
        let seqs = seqs.ok().filter(|seqs| seqs.len() == batch.len());
        seqs.ok_or_else(|| Failure::Refused(unexpected()))
    }
}

fn refuse(answers: impl IntoIterator<Item = AppendAnswer>) {
    answers.into_iter().for_each(|answer| answer.send(Err(NotTaken::Away)));
}
