//! The shutdown of a server: each client gets the end of its transport in time, and earlier clients
//! have left nothing behind.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use wire::Transport;

use crate::clients::{Client, ClientOptions, End};
use crate::raw::{Raw, masked};
use crate::test_server::{StatsByTransport, TestServer, has_shared_log, within};

/// The maximum time of a shutdown.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn each_client_gets_the_end_of_its_transport() {
    let server = TestServer::start().await;
    let options = ClientOptions::all("lobby");
    let clients: Vec<Client> = join_all(options.iter().map(|options| options.join(&server))).await;
    let (http, tcp) = (server.http, server.tcp);
    let mut idle = Raw::connect(http).await;
    assert_eq!(idle.ask("GET", "/rooms/lobby/polling", "", "").await.status, 204);
    // Each client disconnects after the end.
    let ends = join_all(clients.into_iter().map(|mut client| async move { client.end().await }));
    let stopping = async {
        // The idle connection has a reader, too.
        server.until_readers(options.len() as u64 + 1).await;
        let start = Instant::now();
        server.shutdown().await;
        assert!(start.elapsed() < SHUTDOWN_MAX, "the shutdown took {:?}", start.elapsed());
    };
    let (ends, ()) = tokio::join!(ends, stopping);
    for (end, options) in ends.into_iter().zip(&options) {
        match options.transport {
            Transport::Tcp => assert_eq!(end, End::Bye),
            // Polls until the server refuses or accepts no more connections.
            Transport::Polling => assert!(matches!(end, End::Broken(_) | End::Status(503)), "{end:?}"),
            Transport::LongPolling => assert_eq!(end, End::Status(503)),
            Transport::HttpStreaming | Transport::Sse => assert_eq!(end, End::Complete, "{options:?}"),
            Transport::Websocket | Transport::Stomp => assert_eq!(end, End::Close(1001), "{options:?}"),
            Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
                assert_eq!(end, End::Bye, "{options:?}");
            }
        }
    }
    assert_eq!(idle.rest().await, b"", "a connection between two requests is just closed");
    for address in [http, tcp] {
        let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_to_a_held_poll_has_a_retry_after() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(server.http).await;
    raw.send("GET /rooms/lobby/long-polling HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    server.until_readers(1).await;
    let (answer, ()) = tokio::join!(raw.head(), server.shutdown());
    let answer = raw.whole(answer).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(raw.rest().await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_disconnect_do_not_delay_a_shutdown() {
    let server = TestServer::start().await;
    let mut tcp = Raw::connect(server.tcp).await;
    let join = b"\x10{\"room\":\"lobby\"}";
    tcp.send([&(join.len() as u32).to_be_bytes()[..], join].concat()).await;
    let mut websocket = Raw::connect(server.http).await;
    websocket.upgrade("/rooms/lobby/websocket").await;
    let mut half = Raw::connect(server.http).await;
    half.send("GET /rooms/lob").await;
    server.until_readers(2).await;
    let start = Instant::now();
    server.shutdown().await;
    assert!(start.elapsed() < SHUTDOWN_MAX, "the shutdown took {:?}", start.elapsed());
    drop((tcp, websocket, half));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_disconnect_at_once_do_not_delay_a_shutdown() {
    let server = TestServer::start().await;
    for _ in 0..40 {
        let mut websocket = Raw::connect(server.http).await;
        websocket.upgrade("/socket.io/?EIO=4&transport=websocket").await;
        websocket.send([masked(0x81, b"40"), masked(0x81, b"1")].concat()).await;
        let mut polling = Raw::connect(server.http).await;
        let target = "/socket.io/?EIO=4&transport=polling";
        let open = polling.ask("GET", target, "", "").await;
        let open: serde_json::Value = serde_json::from_slice(&open.body[1..]).unwrap();
        let target = format!("{target}&sid={}", open["sid"].as_str().unwrap());
        polling.ask("POST", &target, "", "40\u{1e}1").await;
    }
    server.until_empty().await;
    let start = Instant::now();
    server.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(1), "the shutdown without clients took {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_disconnected_clients_and_unused_rooms() {
    let server = TestServer::with_limits(|limits| limits.room_idle = Duration::ZERO).await;
    for round in 0..3 {
        let room = format!("room-{round}");
        let mut clients = join_all(ClientOptions::all(&room).iter().map(|options| options.join(&server))).await;
        for client in &mut clients {
            client.post("here").await;
        }
        let total = clients.len();
        for client in &mut clients {
            client.next_messages(total).await;
        }
    }
    let usage = server.until_empty().await;
    assert_eq!(usage.accept_errors, 0);
    let usage = server.until("every room to be forgotten", |usage| usage.hub.rooms == 0).await;
    assert_eq!((usage.hub.log_messages, usage.hub.log_bytes), (0, 0));
    for transport in Transport::ALL {
        let one = usage.of(transport);
        assert_eq!(one.connections_open, 0, "{transport}");
        assert!(one.connections_opened >= 3, "{transport}");
        assert_eq!((one.malformed, one.refused, one.timed_out, one.stalled, one.gaps), (0, 0, 0, 0, 0), "{transport}");
    }
    // A removed room starts again, unless its messages are in a shared log.
    let kept = if has_shared_log() { ClientOptions::all("").len() as u64 } else { 0 };
    let mut client = ClientOptions::new(Transport::Sse, "room-0").join(&server).await;
    assert_eq!((client.cursor(), client.post("again").await.seq), (kept, kept + 1));
    within("the end of the client", async { drop(client) }).await;
}
