//! A server with some bad answers. Clients resume at their cursor, so that no message is lost. A
//! few faults are listed under the table, many make the run `wrong`, and bytes that were received
//! and not counted make it invalid.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use results::{Direction, FaultKind, RunRecord, VerdictKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::Transport;

use crate::bench::{Bench, Ended, HTTP_CLIENTS, verdict_on_a_quiet_machine};
use crate::processes::{Server, target};

/// Returns what is sent in place of an answer. Answers are numbered from 1 over all connections.
type AlterAnswer = fn(u64, Vec<u8>) -> Vec<u8>;

/// A proxy that alters answers of a server that sends each of them in one write. A connection ends
/// after an altered answer.
async fn proxy(server: SocketAddr, alter: AlterAnswer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, answers) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let up = TcpStream::connect(server).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), up.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
                    let answer = alter(answers.fetch_add(1, Relaxed) + 1, buffer[..n].to_vec());
                    if to_client.write_all(&answer).await.is_err() || answer != buffer[..n] {
                        break;
                    }
                }
            });
        }
    });
    at
}

/// Runs polling through the proxy.
async fn run_polling(client: &str, alter: AlterAnswer) -> (RunRecord, Ended) {
    let bench = Bench::new(&[client, "transports=polling", "phases.window_s=3"]).await;
    let server = Server::start(&[]).await;
    let args = target(proxy(server.listening.http, alter).await, server.listening.tcp);
    let ended = bench.start("load", &args.each_ref().map(String::as_str)).end().await;
    let record = bench.records().into_iter().find(|record| record.transport == Transport::Polling).unwrap();
    (record, ended)
}

fn status_500() -> Vec<u8> {
    b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops".to_vec()
}

#[tokio::test]
async fn a_few_bad_answers_are_listed_under_the_table() {
    for client in HTTP_CLIENTS {
        check_few_bad_answers(client).await;
    }
}

async fn check_few_bad_answers(client: &str) {
    let (record, ended) =
        run_polling(client, |number, answer| if number % 200 == 0 { status_500() } else { answer }).await;
    let verdict = verdict_on_a_quiet_machine(&record);
    assert_eq!(verdict.kind, VerdictKind::Valid, "{:?} {:?}", verdict.reasons, record.faults);
    let faults = record.faults.counts[&FaultKind::ServerError];
    assert!(faults >= 2 && record.faults.total() == faults, "{:?}", record.faults);
    let line = format!("faults: polling: {faults} × server error (status 500 instead of 200 or 204: oops)\n");
    // The answer of either a post or a poll was altered first.
    assert!(ended.prints(&line) || ended.prints(&line.replace(" or 204", "")), "{}", ended.out);
}

#[tokio::test]
async fn many_bad_answers_are_wrong_even_without_a_loss() {
    const TWICE: AlterAnswer = |number, answer| if number % 20 == 0 { [&*answer, &answer].concat() } else { answer };
    const NEGATIVE: AlterAnswer = |number, answer| {
        let text = String::from_utf8_lossy(&answer).replace("content-length: ", "content-length: -");
        if number % 20 == 0 && text.contains("-") { text.into_bytes() } else { answer }
    };
    const FAILED: AlterAnswer = |number, answer| if number % 20 == 0 { status_500() } else { answer };
    let [built_in, reqwest] = HTTP_CLIENTS;
    // reqwest drops bytes after a response together with the connection, and reports nothing.
    let cases = [
        (built_in, FAILED, "first: status 500 instead of 200"),
        (built_in, TWICE, " bytes after a response"),
        (built_in, NEGATIVE, "first: a content length of \"-"),
        (reqwest, FAILED, "first: status 500 instead of 200"),
        (reqwest, NEGATIVE, "invalid content-length parsed"),
    ];
    for (client, alter, first) in cases {
        let (record, ended) = run_polling(client, alter).await;
        assert_eq!((record.verdict.kind, ended.code), (VerdictKind::Wrong, Some(1)), "{:?} {ended:?}", record.verdict);
        let reason =
            record.verdict.reasons.iter().find(|reason| reason.contains("had a wrong status or could not be decoded"));
        assert!(reason.is_some_and(|reason| reason.contains(first)), "{:?}", record.verdict);
        assert!(record.ledger.lost + record.ledger.duplicated + record.ledger.corrupted == 0, "{:?}", record.ledger);
    }
}

#[tokio::test]
async fn one_altered_message_is_found_with_both_http_clients() {
    for client in HTTP_CLIENTS {
        let (record, ended) = run_polling(client, |_, answer| {
            static ALTERED: AtomicU64 = AtomicU64::new(0);
            let at = answer.windows(8).position(|bytes| bytes == b"\"text\":\"");
            // The probe has a shorter text and is not altered.
            let Some(at) = at.filter(|at| answer.len() > at + 60) else { return answer };
            if ALTERED.fetch_add(1, Relaxed) % ALTERED_EVERY != ALTERED_EVERY - 1 {
                return answer;
            }
            let mut altered = answer;
            altered[at + 10] ^= 1;
            altered
        })
        .await;
        assert_eq!((record.verdict.kind, ended.code), (VerdictKind::Wrong, Some(1)), "{:?} {ended:?}", record.verdict);
        assert!(record.ledger.corrupted > 0 && record.ledger.lost == 0, "{client} {:?}", record.ledger);
    }
}

/// One in this number of answers is altered.
const ALTERED_EVERY: u64 = 100;

#[tokio::test]
async fn received_bytes_that_were_not_counted_make_a_run_invalid() {
    // One very long answer. The client stops reading it as soon as it is invalid.
    let (record, ended) = run_polling(HTTP_CLIENTS[0], |number, mut answer| {
        answer.resize(if number == 100 { 4 << 20 } else { answer.len() }, b'z');
        answer
    })
    .await;
    assert_eq!(record.faults.counts[&FaultKind::BadBytes], 1, "{:?}", record.faults);
    let (kernel, counted) = (record.tcp.unwrap().bytes_down, record.total.total(Direction::Down));
    let verdict = verdict_on_a_quiet_machine(&record);
    let begins = format!("the kernel received {kernel} bytes, the load generator counted {counted} (");
    // A busy machine may add reasons before it.
    let is_a_reason = verdict.reasons.iter().any(|reason| reason.starts_with(&begins));
    assert!(verdict.kind == VerdictKind::Invalid && is_a_reason, "{verdict:?}");
    assert!(ended.prints(&begins), "the table has no reason\n{}", ended.out);
    assert!(ended.prints("faults: polling: 1 × bad bytes ("), "{}", ended.out);
}
