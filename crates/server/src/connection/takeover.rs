//! How a handler takes the socket back from the HTTP library.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::CountedStream;

/// Continues on a socket that was taken over.
pub(crate) type TakeoverFn = Box<dyn FnOnce(CountedStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

#[derive(Default)]
pub(crate) struct Takeover {
    requested: AtomicBool,
    handler: Mutex<Option<TakeoverFn>>,
}

impl Takeover {
    /// Asks the task that drives the connection for its socket. The current request stays
    /// unanswered.
    pub(crate) fn request(&self, handler: TakeoverFn) {
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner) = Some(handler);
        self.requested.store(true, Ordering::Release);
    }

    /// The handler that asked for the socket, if one did. The driving task calls this after every
    /// poll, so the flag is read before the mutex is taken.
    pub(crate) fn take(&self) -> Option<TakeoverFn> {
        if !self.requested.load(Ordering::Acquire) {
            return None;
        }
        self.handler.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
