//! Bytes, requests, writes and batches per message, from the generator's counts or, where those are
//! incomplete, the server's.

use super::server::ServerWindow;
use super::{per_message, ratio};
use crate::{ByteClass, Direction, RunRecord, TrafficCounts, TrafficKind};

impl RunRecord {
    /// Whether the generator's HTTP client counts every byte; reqwest does not show its headers.
    pub fn counts_all_bytes(&self) -> bool {
        self.http_client == "built-in"
    }

    /// Requests that read: all but those that post.
    pub fn reads(&self) -> u64 {
        let posts = if self.transport.posts_in_band() { 0 } else { self.window().posted };
        self.window().requests.saturating_sub(posts)
    }
}

impl RunRecord {
    /// Bytes of TCP and IP headers in one direction from the first slice to the last.
    pub fn tcp_ip_header_bytes(&self, direction: Direction) -> Option<u64> {
        let tcp = self.tcp?;
        let segments = match direction {
            Direction::Up => tcp.segments_up,
            Direction::Down => tcp.segments_down,
        };
        Some(segments.saturating_mul(tcp.header_bytes_per_segment))
    }
}

pub(super) fn down_bytes(run: &RunRecord) -> Option<f64> {
    if run.counts_all_bytes() {
        return per_message(run, run.window().total(Direction::Down));
    }
    ServerWindow::of(run)?.per_message(|window| window.down)
}

pub(super) fn up_bytes(run: &RunRecord) -> Option<f64> {
    if run.counts_all_bytes() {
        return per_message(run, run.window().total(Direction::Up));
    }
    ServerWindow::of(run)?.per_message(|window| window.up)
}

pub(super) fn tcp_ip_bytes(run: &RunRecord) -> Option<f64> {
    let [up, down] = [Direction::Up, Direction::Down].map(|direction| run.tcp_ip_header_bytes(direction));
    super::ratio(up?.saturating_add(down?), run.total.delivered)
}

pub(super) fn framing_bytes(run: &RunRecord) -> Option<f64> {
    let framing = run.window().bytes(Direction::Down, TrafficKind::Delivery, ByteClass::Framing);
    per_message(run, framing).filter(|_| run.counts_all_bytes())
}

pub(super) fn header_bytes(run: &RunRecord) -> Option<f64> {
    let headers = read_headers(&run.window(), TrafficKind::Delivery) + read_headers(&run.window(), TrafficKind::Empty);
    per_message(run, headers).filter(|_| run.counts_all_bytes())
}

pub(super) fn header_bytes_per_empty_poll(run: &RunRecord) -> Option<f64> {
    ratio(read_headers(&run.window(), TrafficKind::Empty), run.window().empty_answers)
        .filter(|_| run.counts_all_bytes())
}

/// Headers in both directions of read requests that were good for this.
fn read_headers(window: &TrafficCounts, purpose: TrafficKind) -> u64 {
    window.bytes(Direction::Up, purpose, ByteClass::Headers)
        + window.bytes(Direction::Down, purpose, ByteClass::Headers)
}

pub(super) fn overhead_share(run: &RunRecord) -> Option<f64> {
    let of = |class| -> u64 {
        let each = [Direction::Up, Direction::Down].into_iter().flat_map(|direction| {
            [TrafficKind::Delivery, TrafficKind::Empty].map(|purpose| run.window().bytes(direction, purpose, class))
        });
        each.sum()
    };
    let all: u64 = ByteClass::ALL.into_iter().map(of).sum();
    ratio(all - of(ByteClass::Payload), all).filter(|_| run.counts_all_bytes())
}

pub(super) fn writes(run: &RunRecord) -> Option<f64> {
    ServerWindow::of(run)?.per_message(|window| window.writes)
}

/// From the server where it counts; otherwise from the reads of the clients.
pub(super) fn messages_per_batch(run: &RunRecord) -> Option<f64> {
    let batches = match ServerWindow::of(run).filter(|window| window.metered) {
        Some(window) => window.per_message(|window| window.batches),
        None => per_message(run, run.window().batches),
    };
    batches.map(f64::recip).filter(|messages| messages.is_finite())
}

/// Socket.IO on polling says several things in one request and answers pings in others: how many of
/// them read is not counted.
pub(super) fn empty_share(run: &RunRecord) -> Option<f64> {
    ratio(run.window().empty_answers, run.reads()).filter(|_| !run.transport.info().requests_are_mixed)
}
