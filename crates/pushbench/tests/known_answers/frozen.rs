//! A server that is stopped once, and a server that is stopped for longer and longer times.
//!
//! Posts are due at equal intervals over all authors, so that periods of equal length have the same
//! number of posts. The number of deliveries that take longer than half of the stop therefore
//! follows from the plan, wherever in the window the stop was.

use std::time::Duration;

use nix::sys::signal::Signal;
use results::{Series, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, assert_valid, verdict_on_a_quiet_machine};
use crate::processes::Server;

const FREEZE: Duration = Duration::from_millis(1200);
const CLIENTS: u64 = 20;
/// Clients per room.
const ROOM_SIZE: u64 = 5;
/// Posts per second of each author.
const POSTS_PER_S: u64 = 10;
/// Maximum time after the stop until everything is delivered: the backlog, a poll interval, and
/// delays of a busy machine.
const CATCH_UP: Duration = Duration::from_millis(900);

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

#[tokio::test]
async fn a_freeze_is_measured_in_full_on_every_transport() {
    let set = [
        "posts.per_client_per_s=10",
        "posts.arrivals=staggered",
        "phases.warm_up_s=0.2",
        "phases.window_s=3",
        "tuning.polling.interval_ms=50",
    ];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    let job = bench.start("load", &server.target().each_ref().map(String::as_str));
    let mut remaining = Transport::ALL.to_vec();
    let mut stops = Vec::new();
    while !remaining.is_empty() {
        // The posts of the warm-up, the probes, and those of half a second of the window.
        let posts = CLIENTS * POSTS_PER_S * 7 / 10 + 4;
        let transport = server.until_any_posts(&remaining, posts).await;
        stops.push((transport, server.freeze(FREEZE).await));
        remaining.retain(|other| *other != transport);
    }
    job.end().await.assert_completed();
    let records = bench.records();
    assert_eq!(records.len(), Transport::ALL.len());
    for record in &records {
        let transport = record.transport;
        let (_, stop) = stops.iter().find(|(other, _)| *other == transport).unwrap();
        assert_valid(record);
        assert_eq!((record.ledger.lost, record.faults.total(), record.total.cuts), (0, 0, 0), "{transport}");
        let histograms = bench.histograms(record.run);
        let (from_due, from_send) = (&histograms["delivery_latency"], &histograms["delivery_latency_from_send"]);
        // The first post in the stop waited for nearly the whole stop: a post is due every 5 ms.
        let (max, freeze) = (from_due.max(), micros(*stop));
        assert!(max + 10_000 >= freeze, "{transport}: {max} µs, a freeze of {freeze} µs");
        assert!(max <= freeze + micros(CATCH_UP), "{transport}: {max} µs, a freeze of {freeze} µs");
        // The posts of the first half of the stop wait for at least the second half.
        let slow = |histogram: &hdrhistogram::Histogram<u64>| histogram.count_between(freeze / 2, u64::MAX);
        let posts = freeze / 2 * CLIENTS * POSTS_PER_S / 1_000_000;
        let more = micros(CATCH_UP) * CLIENTS * POSTS_PER_S / 1_000_000;
        let found = slow(from_due);
        assert!(
            ((posts - 3) * ROOM_SIZE..=(posts + more) * ROOM_SIZE).contains(&found),
            "{transport}: {found} slow deliveries, {} expected",
            posts * ROOM_SIZE
        );
        let lateness = record.latency[&Series::SendDelay].max_us;
        assert!(
            lateness < freeze / 2,
            "{transport}: the delay by the transport is counted as send delay: {lateness} µs"
        );
        if transport.posts_in_band() {
            assert_eq!(record.total.posts_delayed, 0, "{transport}");
        } else {
            // One post of each author is in flight when the stop begins. The next ones are sent
            // after it, and their latency from the send does not include that they waited.
            assert!(record.window().posts_delayed >= CLIENTS, "{transport}: {} delayed", record.window().posts_delayed);
            assert!(slow(from_send) * 2 < found, "{transport}: {} of {found} from the send", slow(from_send));
        }
    }
}

#[tokio::test]
async fn a_server_that_slows_down_during_the_window_is_overloaded() {
    let set = [
        "transports=tcp",
        "posts.per_client_per_s=10",
        "phases.warm_up_s=0.2",
        "phases.window_s=6",
        "posts.arrivals=staggered",
    ];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    let job = bench.start("load", &server.target().each_ref().map(String::as_str));
    server.until_posts(Transport::Tcp, CLIENTS).await;
    let slowing = async {
        for pause in 0.. {
            tokio::time::sleep(Duration::from_millis(20)).await;
            server.signal(Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_millis(20 * pause)).await;
            server.signal(Signal::SIGCONT);
        }
    };
    let ended = tokio::select! {
        ended = job.end() => ended,
        () = slowing => unreachable!("the loop has no end"),
    };
    ended.assert_completed();
    server.signal(Signal::SIGCONT);
    let record = bench.record();
    let verdict = verdict_on_a_quiet_machine(&record);
    assert_eq!(verdict.kind, VerdictKind::Overloaded, "{:#?} {:#?}", verdict, record.seconds);
    assert!(verdict.reasons[0].starts_with("the median latency grew by "), "{verdict:?}");
    assert!(matches!(record.verdict.kind, VerdictKind::Overloaded | VerdictKind::Invalid), "{:?}", record.verdict);
    assert_eq!((record.ledger.received, record.ledger.lost), (record.ledger.scheduled, 0));
}
