//! The HTTP client reqwest on each transport that has it: every message is delivered once and in order, and the server counts the
//! same requests, posts, messages and text.

use results::{ByteClass, Direction, Series, TrafficKind};
use wire::Transport;

use crate::bench::{Bench, assert_sound};
use crate::processes::Server;

const CLIENTS: u64 = 20;
const ROOMS: u64 = 4;

#[tokio::test]
async fn reqwest_receives_what_the_server_sends() {
    let set = ["http_client=reqwest", "transports=polling,long-polling,http-streaming,sse", "phases.window_s=1"];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.ran();
    let (records, end) = (bench.records(), server.usage().await);
    assert_eq!(records.len(), 5, "the four and the baseline");
    for record in records.iter().filter(|record| record.transport != Transport::Tcp) {
        let transport = record.transport;
        assert_sound(record);
        assert_eq!(record.faults.total(), 0, "{transport} {:?}", record.faults);
        assert_eq!(record.ledger.received, record.ledger.scheduled, "{transport}");
        assert_eq!(record.latency[&Series::ConnectTime].samples, CLIENTS, "{transport}");
        assert!(record.tcp.is_none() && record.total.connections == 0, "{transport}: it does not show its sockets");
        // Before the first run one client has joined over each transport.
        let begin = &record.server.as_ref().unwrap().begin.transports[transport.name()];
        let (begin, end, ours) = (begin, &end.transports[transport.name()], &record.total);
        assert_eq!(ours.posted + ROOMS, end.posts - begin.posts, "{transport}");
        assert_eq!(ours.delivered + CLIENTS, end.messages - begin.messages, "{transport}");
        assert_eq!(end.malformed, begin.malformed, "{transport}");
        // A request that is under way at the end is counted by one side.
        let (requests, theirs) = (ours.requests, end.requests - begin.requests);
        assert!(requests.abs_diff(theirs) <= CLIENTS, "{transport}: {requests} requests, the server counted {theirs}");
        let text = |direction| {
            TrafficKind::ALL.iter().map(|kind| record.total.bytes(direction, *kind, ByteClass::Payload)).sum::<u64>()
        };
        assert_eq!(text(Direction::Down), end.down.payload - begin.down.payload, "{transport}");
        assert_eq!(text(Direction::Up), end.up.payload - begin.up.payload, "{transport}");
    }
}
