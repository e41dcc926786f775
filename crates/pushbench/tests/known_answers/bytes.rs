//! Byte counts of server, load generator and kernel in an undisturbed run are equal. The server
//! counts the bytes that its sockets read and write. The load generator adds up the bytes of each
//! class. The kernel counts per socket of the clients, for the whole run and for its slices.

use std::sync::Arc;

use loadgen::{Node, RunConfig, Target};
use results::{ByteClass, Direction, RunEnd, RunRecord, TrafficKind};
use scenario::Plan;
use wire::{BytesUsage, Transport, TransportUsage};

use crate::bench::{Bench, assert_valid, smoke};
use crate::processes::Server;

const CLIENTS: u64 = 20;
const ROOMS: u64 = 4;

#[tokio::test]
async fn client_and_server_count_the_same_bytes() {
    let (mut records, mut stats) = run_all_transports().await;
    // A poll that is open when the run ends is counted by one side only: then all runs are
    // repeated.
    for _ in 0..3 {
        let polling = records.iter().find(|record| record.transport == Transport::Polling).unwrap();
        let begin = &polling.server.as_ref().unwrap().begin.transports[Transport::Polling.name()];
        if polling.total.empty_answers == since(&stats.transports[Transport::Polling.name()], begin).empty_answers {
            break;
        }
        (records, stats) = run_all_transports().await;
    }
    for record in &records {
        assert_valid(record);
        let (transport, by_generator) = (record.transport, &record.total);
        // Before the first run one client has joined over each transport.
        let begin = &record.server.as_ref().unwrap().begin;
        let by_server = since(&stats.transports[transport.name()], &begin.transports[transport.name()]);
        // The server also counts the probe: one post per room, one message per client.
        assert_eq!(
            (by_generator.posted + ROOMS, by_generator.delivered + CLIENTS),
            (by_server.posts, by_server.messages),
            "{transport}"
        );
        // Sessions on polling send their close packet after the last count.
        let close_requests = if transport == Transport::SocketioPolling { CLIENTS } else { 0 };
        assert_eq!(by_server.requests - by_generator.requests, close_requests, "{transport}");
        let empty = by_server.empty_answers - by_generator.empty_answers;
        assert!((0..=close_requests).contains(&empty), "{transport}: {empty} more empty answers");
        assert_eq!(by_server.malformed, 0, "{transport}");
        assert_eq!(by_generator.connections, by_server.connections_opened, "{transport}");
        if transport.is_socketio() {
            // The bytes of a library are known by class for messages and posts only: their texts
            // and the sums are compared.
            let (down, up) = (by_generator.total(Direction::Down), by_generator.total(Direction::Up));
            assert_eq!(by_class(record, Direction::Down)[0], by_server.down.payload, "{transport}, down");
            assert_eq!(by_class(record, Direction::Up)[0], by_server.up.payload, "{transport}, up");
            assert!(
                (0..=close_requests * CLOSE_BYTES_MAX).contains(&(by_server.down.total - down)),
                "{transport}, down"
            );
            assert!((0..=close_requests * CLOSE_BYTES_MAX).contains(&(by_server.up.total - up)), "{transport}, up");
            continue;
        }
        assert_eq!(by_class(record, Direction::Down), classes(&by_server.down), "{transport}, down");
        assert_eq!(by_generator.total(Direction::Down), by_server.down.total, "{transport}, down");
        let (up, up_by_server) = (by_class(record, Direction::Up), classes(&by_server.up));
        match transport {
            // The client counts a join as an item, the server counts it as a handshake.
            Transport::Tcp => assert_eq!(up[0], up_by_server[0], "{transport}, up"),
            _ => assert_eq!(up, up_by_server, "{transport}, up"),
        }
        assert_eq!(by_generator.total(Direction::Up), by_server.up.total, "{transport}, up");
    }
}

/// Runs all transports on a new server. Returns the runs and the statistics of the server.
async fn run_all_transports() -> (Vec<RunRecord>, wire::ServerStats) {
    let bench = Bench::new(&["phases.window_s=1", "posts.payload_bytes=100"]).await;
    let server = Server::start(&[]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.assert_completed();
    let (records, stats) = (bench.records(), server.stats().await);
    assert_eq!(records.len(), Transport::ALL.len());
    (records, stats)
}

/// Maximum bytes of a request with a close packet, or of the responses to it and to the held poll.
const CLOSE_BYTES_MAX: u64 = 500;

/// Settings with one message in flight at a time, and none at the edges of the window.
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
async fn the_kernel_counts_the_same_bytes() {
    let _measuring = Bench::new(&[]).await;
    let set = LOCK_STEP.map(|set| set.parse().unwrap());
    let plan = Arc::new(scenario::load(&smoke(), &set).unwrap().decide().unwrap().plans.remove(0));
    // No times are measured: all transports run at once, each with its own server.
    futures_util::future::join_all(Transport::ALL.map(|transport| compare(Arc::clone(&plan), transport))).await;
}

async fn compare(plan: Arc<Plan>, transport: Transport) {
    let server = Server::start(&[]).await;
    let target = Target::of(Node { http: server.listening.http, tcp: server.listening.tcp });
    let config = RunConfig { plan, transport, target, cores: Vec::new(), never_sleeps: false };
    let (measured, slices) = loadgen::execute(config, &mut Vec::new()).await.unwrap();
    assert_eq!((&measured.ended, measured.faults.total()), (&RunEnd::Complete, 0), "{transport}");
    let (total, in_slices) = (measured.sockets.unwrap(), measured.sockets_in_slices.unwrap());
    let by_server = server.stats().await.transports[transport.name()];
    // Sessions on polling send their close packet after the last count, and it is answered.
    let close_requests = if transport == Transport::SocketioPolling { 4 * CLOSE_BYTES_MAX } else { 0 };
    assert!((0..=close_requests).contains(&(by_server.up.total - total.bytes_up)), "{transport}, up");
    assert!((0..=close_requests).contains(&(by_server.down.total - total.bytes_down)), "{transport}, down");
    assert_eq!(total.bytes_down, measured.total.total(Direction::Down), "{transport}, down");
    assert!(
        in_slices.bytes_down > 0 && in_slices.bytes_down < total.bytes_down,
        "{transport}: {in_slices:?} {total:?}"
    );
    let window = slices[0].traffic.total(Direction::Down);
    assert!(window > 0 && window <= in_slices.bytes_down, "{transport}: {window} {in_slices:?}");
    assert_eq!(total.bytes_up, measured.total.total(Direction::Up), "{transport}, up");
    let bytes_per_segment = in_slices.header_bytes_per_segment;
    assert!((40..=52).contains(&bytes_per_segment) && in_slices.segments_down > 0, "{transport}: {in_slices:?}");
}

fn by_class(record: &RunRecord, direction: Direction) -> [u64; 4] {
    ByteClass::ALL.map(|class| TrafficKind::ALL.iter().map(|kind| record.total.bytes(direction, *kind, class)).sum())
}

/// The difference of two statistics in the counters that are compared here.
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

/// The bytes by class in the order of [`ByteClass::ALL`].
fn classes(usage: &BytesUsage) -> [u64; 4] {
    [usage.payload, usage.envelope, usage.framing, usage.headers]
}
