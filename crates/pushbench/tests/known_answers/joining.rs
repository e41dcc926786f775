//! Checks of `load` before its first run: no server at the address, a wrong token, a server of
//! another protocol, a server that does not answer. Each is one error with the address, the answer
//! and advice, and nothing is measured. Also two jobs on one server at the same time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use results::ResultsFolder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::{Bench, Ended, assert_valid};
use crate::processes::{Server, target};

/// Maximum time until the error. It takes two seconds; the rest is for a busy machine.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);

/// The only error of a job that measures nothing.
async fn error_of(bench: &Bench, args: &[&str]) -> String {
    let begun = Instant::now();
    let ended = bench.start("load", args).end().await;
    assert!(begun.elapsed() < REPORTED_WITHIN, "the job took {:?} to end", begun.elapsed());
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    let lines: Vec<_> = ended.err.lines().collect();
    let [line] = lines[..] else { panic!("not one error: {}", ended.err) };
    line.strip_prefix("pushbench: no client can join over ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// A server that answers every request with these bytes, which may be empty.
async fn fixed_answer_server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while let Ok(1..) = socket.read(&mut request).await {
                    socket.write_all(answer).await.ok();
                }
            });
        }
    });
    address
}

/// An address at which no server listens.
fn unused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn an_address_without_a_server_is_reported_at_once() {
    let (http, tcp) = (unused_address(), unused_address());
    let target = target(http, tcp);
    let target = target.each_ref().map(String::as_str);
    let bench = Bench::new(&[]).await;
    let refused = "Connection refused (os error 111); start the server, or correct";
    assert_eq!(error_of(&bench, &target).await, format!("tcp at tcp://{tcp}: {refused} --target-tcp"));
    drop(bench);
    let bench = Bench::new(&["transports=socketio"]).await;
    let expected = format!("socketio at http://{http}/socket.io/: {refused} --target");
    assert_eq!(error_of(&bench, &target).await, expected);
}

#[tokio::test]
async fn a_wrong_token_is_reported_at_once_on_every_transport() {
    let server = Server::start(&["--token", "right-right-right"]).await;
    let target = server.target();
    let args = [&target.each_ref().map(String::as_str)[..], &["--token", "wrong-wrong-wrong"]].concat();
    for transport in wire::Transport::ALL {
        let bench = Bench::new(&[&format!("transports={transport}")]).await;
        let error = error_of(&bench, &args).await;
        assert!(error.starts_with(&format!("{transport} at ")), "{error}");
        assert!(error.contains("token") && error.contains("; correct --target"), "{error}");
        let by_status = transport.has_room_url();
        assert_eq!(error.contains("status 401 instead of "), by_status, "{error}");
    }
}

#[tokio::test]
async fn a_server_of_another_protocol_is_reported_at_once() {
    let other =
        fixed_answer_server(b"HTTP/1.1 404 Not Found\r\ncontent-length: 24\r\n\r\nCannot GET \x1b[1m that\r\n\r\n")
            .await;
    let target = target(other, other);
    let target = target.each_ref().map(String::as_str);
    for (transport, expected) in [("websocket", "101"), ("sse", "200"), ("polling", "200 or 204")] {
        let bench = Bench::new(&[&format!("transports={transport}")]).await;
        let error = error_of(&bench, &target).await;
        let (place, found) = error.split_once(": ").unwrap();
        let (start, end) = (format!("{transport} at http://{other}/rooms/"), format!("-0/{transport}"));
        assert!(place.starts_with(&start) && place.ends_with(&end), "{error}");
        let body = "Cannot GET \\u{1b}[1m that";
        let advice = "correct --target or --token; --set transports=… leaves a transport out";
        assert_eq!(found, format!("status 404 instead of {expected}: {body}; {advice}"));
    }
    let bench = Bench::new(&["transports=tcp"]).await;
    let error = error_of(&bench, &target).await;
    assert!(error.starts_with(&format!("tcp at tcp://{other}: ")), "{error}");
    assert!(error.contains("; check that the server supports tcp, or correct --target-tcp; "), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_reported_after_a_timeout() {
    let address = fixed_answer_server(b"").await;
    let target = target(address, address);
    let bench = Bench::new(&["transports=long-polling"]).await;
    let error = error_of(&bench, &target.each_ref().map(String::as_str)).await;
    assert!(
        error.contains(": the client had not joined after 1.5 s; check that the server supports long-polling, "),
        "{error}"
    );
}

/// An external server need not support raw TCP.
#[tokio::test]
async fn a_job_runs_without_the_baseline_if_no_server_has_its_port() {
    let server = Server::start(&[]).await;
    let tcp = unused_address();
    let target = target(server.listening.http, tcp);
    let bench = Bench::new(&["transports=sse", "phases.window_s=1"]).await;
    let ended = bench.start("load", &target.each_ref().map(String::as_str)).end().await;
    ended.assert_completed();
    assert_valid(&bench.record());
    let expected =
        format!("pushbench: the baseline, raw TCP, is not measured: no client can join over tcp at tcp://{tcp}: ");
    assert!(ended.err.contains(&expected), "{}", ended.err);
}

#[tokio::test]
async fn two_jobs_on_one_server_use_different_rooms() {
    let server = Server::start(&[]).await;
    let bench = Bench::new(&["transports=tcp,sse,socketio", "posts.per_client_per_s=10"]).await;
    let target = server.target();
    let start = || bench.start("load", &target.each_ref().map(String::as_str));
    let (first, second) = tokio::join!(start().end(), start().end());
    [first, second].iter().for_each(Ended::assert_completed);
    let [first, second] = bench.two_folders();
    assert_ne!(first.manifest.room_prefix, second.manifest.room_prefix);
    for job in [&first, &second] {
        assert_eq!((job.runs.len(), job.manifest.room_prefix.len()), (3, "room".len()));
        job.runs.iter().for_each(|run| assert_valid(&run.record));
    }
    let begun = |job: &ResultsFolder| job.runs[0].record.server.as_ref().unwrap().begin.uptime_us;
    let ended = |job: &ResultsFolder| job.runs[2].record.server.as_ref().unwrap().end.as_ref().unwrap().uptime_us;
    assert!(begun(&first) < ended(&second) && begun(&second) < ended(&first), "the jobs ran at the same time");
}
