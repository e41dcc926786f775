//! Polling: one request per interval, on a schedule that does not wait for responses. Posts are
//! sent between two polls.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::http::poller::Poller;
use crate::client::{PendingPost, SentByTask};
use crate::error::SessionEnd;
use crate::session::Session;

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 20);

/// Time between two polls of all clients together while they wait for the probe, in a run of many
/// slices: every round waits for that.
const PROBE_POLL: Duration = Duration::from_micros(200);

/// An HTTP client that polls, and posts between two polls.
pub(super) trait PollingClient {
    async fn poll(&mut self) -> Result<(), SessionEnd>;
    async fn post(&mut self, post: PendingPost) -> Result<(), SessionEnd>;
}

impl PollingClient for Poller<'_> {
    async fn poll(&mut self) -> Result<(), SessionEnd> {
        Poller::poll(self).await
    }

    async fn post(&mut self, post: PendingPost) -> Result<(), SessionEnd> {
        Poller::post(self, post).await
    }
}

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    run(session, Poller::new(session, "")).await
}

/// Polls by interval with either HTTP client.
pub(super) async fn run(session: &Session, mut poller: impl PollingClient) -> Result<Infallible, SessionEnd> {
    let (run, client) = (&*session.run, &*session.client);
    // In lock-step the client polls when it is woken and has nothing to post.
    let (first, interval) = if run.lock_step {
        (NEVER, Duration::ZERO)
    } else {
        (run.plan.poll_phase(client.id), run.tuning().interval.unwrap_or(NEVER))
    };
    poller.poll().await?;
    *client.sender.borrow_mut() = Some(Rc::new(SentByTask));
    // Every slice begins with the phase `first`; until then the clients wait for the probe only.
    let has_many_slices = run.plan.slicing.count > 1;
    let until_probe = if has_many_slices { interval.min(PROBE_POLL * run.plan.clients) } else { interval };
    let mut next = Instant::now() + if has_many_slices { until_probe } else { first };
    let mut timer = std::pin::pin!(sleep_until(next));
    loop {
        // At least one post between two polls, even if the next poll is late: otherwise nothing
        // would be posted to a server whose responses take longer than the interval.
        loop {
            if let Some(post) = session.next_post() {
                poller.post(post).await?;
                if Instant::now() >= next {
                    break;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = timer.as_mut() => break,
                () = run.resting() => {
                    run.active().await;
                    next = first_poll(run.slice_start() + first, interval);
                    timer.as_mut().reset(next);
                }
                () = client.post_ready.notified(), if run.has_posts(client.id) || run.lock_step => {
                    if run.lock_step && client.queue.borrow().is_empty() {
                        break;
                    }
                }
            }
        }
        next += if client.probed.get() { interval } else { until_probe };
        timer.as_mut().reset(next);
        poller.poll().await?;
    }
}

/// The first instant from now on that is a whole number of intervals after `first`.
fn first_poll(first: Instant, interval: Duration) -> Instant {
    let late = Instant::now().saturating_duration_since(first);
    let missed = late.as_nanos().div_ceil(interval.as_nanos().max(1));
    first + interval * u32::try_from(missed).unwrap_or(u32::MAX)
}
