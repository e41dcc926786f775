//! Where posts get their order: in the room, or in a log that several servers share.

use tokio::sync::{mpsc, oneshot};
use wire::{Post, RoomName};

/// Who numbers the posts of a hub's rooms.
#[derive(Clone)]
pub(crate) enum Order {
    /// The room itself.
    Here,
    /// A log of several servers. The room gets its messages from there.
    Shared(mpsc::Sender<Append>),
}

/// A post on its way to the shared log.
pub(crate) struct Append {
    pub(crate) room: RoomName,
    pub(crate) post: Post<'static>,
    pub(crate) answer: AppendAnswer,
}

/// Whom to tell what has become of a post.
pub(crate) struct AppendAnswer(oneshot::Sender<Result<u64, NotTaken>>);

impl AppendAnswer {
    pub(crate) fn send(self, seq: Result<u64, NotTaken>) {
        // The client may be gone.
        _ = self.0.send(seq);
    }
}

/// Why a post was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The room accepts no more posts.
    Closed,
    /// The shared log does not answer. It may have the post.
    Away,
}

/// A post that a room has taken.
#[derive(Debug)]
pub(crate) enum Published {
    At(u64),
    /// Its number comes from the shared log.
    Soon(oneshot::Receiver<Result<u64, NotTaken>>),
}

/// What a room says to a post.
pub(crate) type Taken = Result<Published, NotTaken>;

impl Published {
    /// The sequence number.
    pub(crate) async fn seq(self) -> Result<u64, NotTaken> {
        match self {
            Self::At(seq) => Ok(seq),
            Self::Soon(seq) => seq.await.unwrap_or(Err(NotTaken::Closed)),
        }
    }
}

/// Sends a post to the shared log. A full queue means that the log is slower than the posts.
pub(super) fn append(queue: &mpsc::Sender<Append>, room: &RoomName, post: &Post<'_>) -> Taken {
    let (sender, seq) = oneshot::channel();
    let post = Post { text: post.text.clone().into_owned().into(), ..*post };
    let append = Append { room: room.clone(), post, answer: AppendAnswer(sender) };
    queue.try_send(append).map(|()| Published::Soon(seq)).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => NotTaken::Away,
        mpsc::error::TrySendError::Closed(_) => NotTaken::Closed,
    })
}
