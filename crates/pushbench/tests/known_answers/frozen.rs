//! A server that stands still for a while, and one that stands still ever longer.
//!
//! Posts are due at even distances over all authors, so that any stretch of time holds the same number of them: how many deliveries must
//! be slower than half a freeze follows from the plan, wherever in the window the freeze was.

use std::time::Duration;

use nix::sys::signal::Signal;
use results::{Series, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, assert_sound, on_a_quiet_machine};
use crate::processes::Server;

const FREEZE: Duration = Duration::from_millis(1200);
const CLIENTS: u64 = 20;
const MEMBERS: u64 = 5;
/// Of each author.
const POSTS_PER_S: u64 = 10;
/// What may come on top of a freeze until everything is delivered: the backlog, a poll interval, and a busy machine.
const CATCH_UP: Duration = Duration::from_millis(900);

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

#[tokio::test]
async fn a_freeze_shows_in_full_on_every_transport() {
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
    let mut to_come = Transport::ALL.to_vec();
    let mut stood = Vec::new();
    while !to_come.is_empty() {
        // The warm-up, the probes, and half a second of the window.
        let posts = CLIENTS * POSTS_PER_S * 7 / 10 + 4;
        let transport = server.until_any_posts(&to_come, posts).await;
        stood.push((transport, server.freeze(FREEZE).await));
        to_come.retain(|other| *other != transport);
    }
    job.end().await.ran();
    let records = bench.records();
    assert_eq!(records.len(), Transport::ALL.len());
    for record in &records {
        let transport = record.transport;
        let (_, stood) = stood.iter().find(|(other, _)| *other == transport).unwrap();
        assert_sound(record);
        assert_eq!((record.ledger.lost, record.faults.total(), record.total.cuts), (0, 0, 0), "{transport}");
        let histograms = bench.histograms(record.run);
        let (due, left) = (&histograms["delivery_latency"], &histograms["delivery_latency_from_send"]);
        // The first post of the freeze waited for all of it: one is due every 5 ms.
        let (max, freeze) = (due.max(), micros(*stood));
        assert!(max + 10_000 >= freeze, "{transport}: {max} µs, a freeze of {freeze} µs");
        assert!(max <= freeze + micros(CATCH_UP), "{transport}: {max} µs, a freeze of {freeze} µs");
        // Half a freeze is filled with posts that each wait for at least the other half.
        let slow = |histogram: &hdrhistogram::Histogram<u64>| histogram.count_between(freeze / 2, u64::MAX);
        let posts = freeze / 2 * CLIENTS * POSTS_PER_S / 1_000_000;
        let more = micros(CATCH_UP) * CLIENTS * POSTS_PER_S / 1_000_000;
        let found = slow(due);
        assert!(
            ((posts - 3) * MEMBERS..=(posts + more) * MEMBERS).contains(&found),
            "{transport}: {found} slow deliveries, {} expected",
            posts * MEMBERS
        );
        let lateness = record.latency[&Series::SendDelay].max_us;
        assert!(lateness < freeze / 2, "{transport}: what waits for the transport is not late: {lateness} µs");
        if transport.posts_in_band() {
            assert_eq!(record.total.posts_delayed, 0, "{transport}");
        } else {
            // One post of each author is on its way when the freeze begins; those behind it leave when it is over, and their
            // uncorrected latency hides that they waited.
            assert!(record.window().posts_delayed >= CLIENTS, "{transport}: {} blocked", record.window().posts_delayed);
            assert!(slow(left) * 2 < found, "{transport}: {} of {found} uncorrected", slow(left));
        }
    }
}

#[tokio::test]
async fn a_server_that_gets_slower_through_the_window_is_overloaded() {
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
        () = slowing => unreachable!("it has no end"),
    };
    ended.ran();
    server.signal(Signal::SIGCONT);
    let record = bench.record();
    let verdict = on_a_quiet_machine(&record);
    assert_eq!(verdict.kind, VerdictKind::Overloaded, "{:#?} {:#?}", verdict, record.seconds);
    assert!(verdict.reasons[0].starts_with("the median grew by "), "{verdict:?}");
    assert!(matches!(record.verdict.kind, VerdictKind::Overloaded | VerdictKind::Invalid), "{:?}", record.verdict);
    assert_eq!((record.ledger.received, record.ledger.lost), (record.ledger.scheduled, 0));
}
