//! What both sides say went over the wire, in a run that nothing disturbs: the server counts what its sockets took and gave, which is
//! the kernel's figure; the generator adds up what it understood, class by class. They agree to the byte. And so does the kernel where
//! it is asked itself: the sockets of the crowd, all of them from begin to end, and over the window alone.

use std::sync::Arc;

use loadgen::{RunConfig, Target};
use results::{ByteClass, Direction, RunEnd, RunRecord, TrafficKind};
use scenario::Plan;
use wire::{BytesUsage, Transport, TransportUsage};

use crate::bench::{Bench, assert_sound, smoke};
use crate::processes::Server;

const SEATS: u64 = 20;
const ROOMS: u64 = 4;

#[tokio::test]
async fn both_sides_count_the_same_to_the_byte() {
    let (mut records, mut usage) = counted_by_both().await;
    // A poll that is under way when the run ends is counted by one side: it ends between two, or is made again.
    for _ in 0..3 {
        let polling = records.iter().find(|record| record.transport == Transport::Polling).unwrap();
        let begin = &polling.server.as_ref().unwrap().begin.transports[Transport::Polling.name()];
        if polling.total.empty_answers == since(&usage.transports[Transport::Polling.name()], begin).empty_answers {
            break;
        }
        (records, usage) = counted_by_both().await;
    }
    for record in &records {
        assert_sound(record);
        let (transport, ours) = (record.transport, &record.total);
        // Before the first run a client has joined over each transport.
        let begin = &record.server.as_ref().unwrap().begin;
        let theirs = since(&usage.transports[transport.name()], &begin.transports[transport.name()]);
        // The probe is in the server's counts: one post a room, one message a seat.
        assert_eq!((ours.posted + ROOMS, ours.delivered + SEATS), (theirs.posts, theirs.messages), "{transport}");
        // Sessions on polling say goodbye when the counting is over.
        let goodbyes = if transport == Transport::SocketioPolling { SEATS } else { 0 };
        assert_eq!(theirs.requests - ours.requests, goodbyes, "{transport}");
        let empty = theirs.empty_answers - ours.empty_answers;
        assert!((0..=goodbyes).contains(&empty), "{transport}: {empty} more empty answers");
        assert_eq!(theirs.malformed, 0, "{transport}");
        assert_eq!(ours.connections, theirs.connections_opened, "{transport}");
        if transport.is_socketio() {
            // What a library writes is known by class for messages and posts only; their words, and the sums, are the same.
            let (down, up) = (ours.total(Direction::Down), ours.total(Direction::Up));
            assert_eq!(by_class(record, Direction::Down)[0], theirs.down.payload, "{transport}, down");
            assert_eq!(by_class(record, Direction::Up)[0], theirs.up.payload, "{transport}, up");
            assert!((0..=goodbyes * GOODBYE_BYTES_MAX).contains(&(theirs.down.total - down)), "{transport}, down");
            assert!((0..=goodbyes * GOODBYE_BYTES_MAX).contains(&(theirs.up.total - up)), "{transport}, up");
            continue;
        }
        assert_eq!(by_class(record, Direction::Down), classes(&theirs.down), "{transport}, down");
        assert_eq!(ours.total(Direction::Down), theirs.down.total, "{transport}, down");
        let (up, their_up) = (by_class(record, Direction::Up), classes(&theirs.up));
        match transport {
            // A join is an item to the client, and what a handshake is elsewhere to the server.
            Transport::Tcp => assert_eq!(up[0], their_up[0], "{transport}, up"),
            _ => assert_eq!(up, their_up, "{transport}, up"),
        }
        assert_eq!(ours.total(Direction::Up), theirs.up.total, "{transport}, up");
    }
}

/// A run of every transport, and what a server of its own has counted.
async fn counted_by_both() -> (Vec<RunRecord>, wire::ServerStats) {
    let bench = Bench::new(&["phases.window_s=1", "posts.payload_bytes=100"]).await;
    let server = Server::start(&[]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.ran();
    let (records, usage) = (bench.records(), server.usage().await);
    assert_eq!(records.len(), Transport::ALL.len());
    (records, usage)
}

/// A request that says goodbye, or what answers it and the question that was held.
const GOODBYE_BYTES_MAX: u64 = 500;

/// One message in flight at a time, and nothing at the edges of the window.
const LOCK_STEP: [&str; 7] = [
    "clients=4",
    "rooms=1",
    "posts.authors=1",
    "posts.arrivals=uniform",
    "posts.per_client_per_s=4",
    "phases.window_s=1.5",
    "tuning.polling.interval_ms=400",
];

#[tokio::test]
async fn the_kernel_counts_the_same_to_the_byte() {
    let _turn = Bench::new(&[]).await;
    let set = LOCK_STEP.map(|set| set.parse().unwrap());
    let plan = Arc::new(scenario::load(&smoke(), &set).unwrap().decide().unwrap().plans.remove(0));
    // Nothing is timed here: all at once, each with a server of its own.
    futures_util::future::join_all(Transport::ALL.map(|transport| compare(Arc::clone(&plan), transport))).await;
}

async fn compare(plan: Arc<Plan>, transport: Transport) {
    let server = Server::start(&[]).await;
    let target = Target {
        http: server.listening.http,
        tcp: server.listening.tcp,
        token: None,
        protocol: scenario::Protocol::Pushbench,
    };
    let order = RunConfig { plan, transport, target, cores: Vec::new() };
    let (mut log, never) = (Vec::new(), std::future::pending());
    let recording = loadgen::execute(order, never, &mut log, |_| {}, async |_| {}).await.unwrap();
    assert_eq!((&recording.ended, recording.faults.total()), (&RunEnd::Complete, 0), "{transport}");
    let (total, window) = (recording.kernel_total.unwrap(), recording.kernel_window.unwrap());
    let theirs = server.usage().await.transports[transport.name()];
    // Sessions on polling say goodbye after the last reading, and hear that they are heard.
    let goodbyes = if transport == Transport::SocketioPolling { 4 * GOODBYE_BYTES_MAX } else { 0 };
    assert!((0..=goodbyes).contains(&(theirs.up.total - total.bytes_up)), "{transport}, up");
    assert!((0..=goodbyes).contains(&(theirs.down.total - total.bytes_down)), "{transport}, down");
    assert_eq!(total.bytes_down, recording.total.total(Direction::Down), "{transport}, down");
    assert_eq!(window.bytes_down, recording.window.total(Direction::Down), "{transport}, down in the window");
    assert!(window.bytes_down > 0 && window.bytes_down < total.bytes_down, "{transport}: {window:?} {total:?}");
    assert_eq!(total.bytes_up, recording.total.total(Direction::Up), "{transport}, up");
    assert_eq!(window.bytes_up, recording.window.total(Direction::Up), "{transport}, up in the window");
    let bytes_per_segment = window.header_bytes_per_segment;
    assert!((40..=52).contains(&bytes_per_segment) && window.segments_down > 0, "{transport}: {window:?}");
}

fn by_class(record: &RunRecord, direction: Direction) -> [u64; 4] {
    ByteClass::ALL
        .map(|class| TrafficKind::ALL.iter().map(|purpose| record.total.bytes(direction, *purpose, class)).sum())
}

/// What a server has counted from one reading to another, as far as it is looked at here.
fn since(end: &TransportUsage, begin: &TransportUsage) -> TransportUsage {
    let bytes = |end: &BytesUsage, begin: &BytesUsage| BytesUsage {
        total: end.total - begin.total,
        payload: end.payload - begin.payload,
        envelope: end.envelope - begin.envelope,
        framing: end.framing - begin.framing,
        headers: end.headers - begin.headers,
    };
    TransportUsage {
        connections_opened: end.connections_opened - begin.connections_opened,
        requests: end.requests - begin.requests,
        empty_answers: end.empty_answers - begin.empty_answers,
        posts: end.posts - begin.posts,
        messages: end.messages - begin.messages,
        malformed: end.malformed - begin.malformed,
        up: bytes(&end.up, &begin.up),
        down: bytes(&end.down, &begin.down),
        ..TransportUsage::default()
    }
}

/// In the order of [`Class::ALL`].
fn classes(usage: &BytesUsage) -> [u64; 4] {
    [usage.payload, usage.envelope, usage.framing, usage.headers]
}
