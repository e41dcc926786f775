//! Bodies of requests that are answered before their body was read.
//!
//! The rest of such a body would be parsed as the next request. So it is read and discarded, or the
//! response announces that the connection ends.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::task::futures::TaskLocalFuture;

use crate::connection::Connection;
use crate::http::post_bytes_max;
use crate::state::ServerState;

tokio::task_local! {
    /// The body of the request that this task answers, if it was dropped before its end.
    static UNREAD: RefCell<Option<Incoming>>;
}

/// Runs `answer` and its future, and keeps the rest of the request's body that they do not read.
pub(super) fn keeping_unread<F: Future>(answer: impl FnOnce() -> F) -> TaskLocalFuture<RefCell<Option<Incoming>>, F> {
    let (answering, unread) = UNREAD.sync_scope(RefCell::default(), || (answer(), UNREAD.with(RefCell::take)));
    UNREAD.scope(RefCell::new(unread), answering)
}

/// Discards the rest of a body. Returns false if it exceeds the size or the time that a post may
/// have.
pub(super) async fn discard(state: &ServerState, connection: &Arc<Connection>, body: Incoming) -> bool {
    let bytes_max = post_bytes_max(state.limits.message_bytes_max);
    if body.size_hint().lower() > bytes_max as u64 {
        return false;
    }
    let _busy = connection.busy_guard();
    let rest = Limited::new(body, bytes_max).collect();
    matches!(tokio::time::timeout(state.limits.header_timeout, rest).await, Ok(Ok(_)))
}

pub(super) struct RequestBody {
    incoming: Option<Incoming>,
}

impl RequestBody {
    pub(super) const fn new(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming) }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = Pin::new(incoming).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.incoming = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.incoming.take().filter(|incoming| !incoming.is_end_stream());
        // Outside of `keeping_unread` the slot does not exist.
        UNREAD.try_with(|slot| slot.replace(unread)).ok();
    }
}
