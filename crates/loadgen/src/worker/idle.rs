//! Detection of idle connections.

use std::time::Duration;

use results::FaultKind;

use super::Worker;
use crate::error::Fault;

/// Idle time that is allowed beyond what the transport explains.
const IDLE_MARGIN: Duration = Duration::from_secs(20);

/// Clients that are checked before other tasks get their turn.
const CHECKED_AT_ONCE: usize = 256;

/// Closes connections on which no byte was read for longer than their transport explains. Called
/// once a second.
pub(super) async fn check_clients(worker: Worker) {
    let run = &worker.run;
    // A server that does not number messages sends no heartbeats either.
    let explained = if run.server_numbers_messages() { run.tuning().idle_max() } else { Duration::MAX / 2 };
    let limit = u32::try_from((explained + IDLE_MARGIN).as_secs()).unwrap_or(u32::MAX);
    let now = run.next_second();
    for (number, client) in (1..).zip(&worker.scheduler.clients) {
        if number % CHECKED_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        let connection = client.connection.borrow();
        let is_idle = now.saturating_sub(client.last_read_s.get()) > limit;
        if let Some(connection) = connection.as_ref().filter(|_| is_idle) {
            client.closed_as_idle.set(true);
            client.last_read_s.set(now);
            run.fault(Fault::new(FaultKind::TimedOut, format!("nothing was received for {limit} s")));
            connection.abort();
        }
    }
}
