//! Remembers which task the runtime will wake, so that a task does not register again each time it
//! polls.

use std::task::{Context, Poll};

/// The task that a timer or a socket wakes.
#[derive(Default)]
pub(super) struct Armed {
    /// The address of the task's state, which does not change while something may wake it.
    task: Option<usize>,
}

impl Armed {
    /// Whether the current task is woken.
    pub(super) fn is_for(&self, cx: &Context<'_>) -> bool {
        self.task == Some(cx.waker().data().addr())
    }

    /// After the runtime was asked: it wakes the current task if there was nothing.
    pub(super) fn update<T>(&mut self, cx: &Context<'_>, polled: &Poll<T>) {
        self.task = polled.is_pending().then(|| cx.waker().data().addr());
    }

    pub(super) const fn clear(&mut self) {
        self.task = None;
    }
}
