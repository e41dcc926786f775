//! What both sides say went over the wire, in a run that nothing disturbs: the server counts what its sockets took and gave, which is
//! the kernel's figure; the generator adds up what it understood, class by class. They agree to the byte.

use results::{Class, Direction, Purpose, RunRecord};
use wire::{BytesUsage, Transport};

use crate::bench::{Bench, assert_sound};
use crate::processes::Server;

const SEATS: u64 = 20;
const ROOMS: u64 = 4;

#[tokio::test]
async fn both_sides_count_the_same_to_the_byte() {
    let bench = Bench::new(&["phases.window_s=1", "posts.payload_bytes=100"]).await;
    let server = Server::start(&[]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.ran();
    let usage = server.usage().await;
    let records = bench.records();
    assert_eq!(records.len(), Transport::ALL.len());
    for record in &records {
        assert_sound(record);
        let (transport, ours) = (record.transport, &record.total);
        let theirs = usage.transports[transport.name()];
        // The probe is in the server's counts: one post a room, one message a seat.
        assert_eq!((ours.posted + ROOMS, ours.delivered + SEATS), (theirs.posts, theirs.messages), "{transport}");
        // Sessions on polling say goodbye when the counting is over.
        let goodbyes = if transport == Transport::SocketioPolling { SEATS } else { 0 };
        assert!((0..=goodbyes).contains(&(theirs.requests - ours.requests)), "{transport}");
        assert!((0..=goodbyes).contains(&(theirs.empty_answers - ours.empty_answers)), "{transport}");
        assert_eq!(ours.connections, theirs.connections_opened, "{transport}");
        if transport.is_socketio() {
            // What a library writes is known by class for messages and posts only; their words, and the sums, are the same.
            let (down, up) = (ours.total(Direction::Down), ours.total(Direction::Up));
            assert_eq!(by_class(record, Direction::Down)[0], theirs.down.payload, "{transport}, down");
            assert_eq!(by_class(record, Direction::Up)[0], theirs.up.payload, "{transport}, up");
            assert!((0..=goodbyes * 500).contains(&(theirs.down.total - down)), "{transport}, down");
            // Questions that were still held in the end.
            let held = if transport == Transport::SocketioPolling { SEATS * 60..=SEATS * 500 } else { 0..=0 };
            assert!(held.contains(&(theirs.up.total - up)), "{transport}, up: {up} of {}", theirs.up.total);
            continue;
        }
        assert_eq!(by_class(record, Direction::Down), classes(&theirs.down), "{transport}, down");
        assert_eq!(ours.total(Direction::Down), theirs.down.total, "{transport}, down");
        let (up, their_up) = (by_class(record, Direction::Up), classes(&theirs.up));
        match transport {
            // A join is an item to the client, and what a handshake is elsewhere to the server.
            Transport::Tcp => assert_eq!(up[0], their_up[0], "{transport}, up"),
            // The questions that were still held in the end have no answer yet that says what they were good for.
            Transport::LongPolling => {
                assert_eq!(up[..3], their_up[..3], "{transport}, up");
                let held = their_up[3] - up[3];
                assert!((SEATS * 60..=SEATS * 120).contains(&held), "{transport}: {held} bytes of held questions");
                continue;
            }
            _ => assert_eq!(up, their_up, "{transport}, up"),
        }
        assert_eq!(ours.total(Direction::Up), theirs.up.total, "{transport}, up");
    }
}

fn by_class(record: &RunRecord, direction: Direction) -> [u64; 4] {
    Class::ALL.map(|class| Purpose::ALL.iter().map(|purpose| record.total.bytes(direction, *purpose, class)).sum())
}

/// In the order of [`Class::ALL`].
fn classes(usage: &BytesUsage) -> [u64; 4] {
    [usage.payload, usage.envelope, usage.framing, usage.headers]
}
