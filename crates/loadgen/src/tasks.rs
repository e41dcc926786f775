//! The tasks of a worker. A panic in one of them ends the worker.

use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local};

/// Starts tasks and reports when one panics.
///
/// The runtime would end only the task that panicked. Its client would then look as if the server
/// had lost its messages, so the whole worker ends, and the run with it.
#[derive(Default)]
pub(crate) struct Tasks {
    panicked: Notify,
}

impl Tasks {
    pub(crate) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) -> AbortHandle {
        let guard = PanicGuard(Rc::clone(self));
        spawn_local(async move {
            let _guard = guard;
            task.await;
        })
        .abort_handle()
    }

    /// Waits until a task panics.
    pub(crate) async fn task_panicked(&self) {
        self.panicked.notified().await;
    }
}

struct PanicGuard(Rc<Tasks>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_reported_and_a_normal_end_is_not() {
        LocalSet::new()
            .run_until(async {
                let tasks = Rc::new(Tasks::default());
                tasks.spawn(async {});
                assert!(tokio::time::timeout(Duration::from_secs(1), tasks.task_panicked()).await.is_err());
                tasks.spawn(async { panic!("this panic belongs to the test") });
                tasks.task_panicked().await;
            })
            .await;
    }
}
