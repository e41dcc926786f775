//! One message, at one client, on its way from a server that made no mistake: dropped, repeated, swapped with the next, altered,
//! forged. The verdict is `wrong`, and it names the client and the message; nobody else is accused.

use results::{Incident, IncidentKind, LedgerSummary, RunRecord, VerdictKind};
use wire::Transport;

use crate::bench::Bench;
use crate::processes::{Server, target};
use crate::proxy::{Done, Framing, Mischief, Proxy, SEAT};

#[tokio::test]
async fn one_wrong_message_is_found_and_named() {
    let repetitions = format!("repetitions={}", Mischief::ALL.len());
    let set = [
        "transports=websocket",
        "encoding=binary",
        &repetitions,
        "posts.per_client_per_s=10",
        "phases.warm_up_s=0.1",
        "phases.window_s=0.6",
    ];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    let tcp = Proxy::start(Framing::Tcp, server.listening.tcp).await;
    let websocket = Proxy::start(Framing::Websocket, server.listening.http).await;
    let words = target(websocket.at, tcp.at);
    let ended = bench.start("load", &words.each_ref().map(String::as_str)).end().await;
    assert_eq!(ended.code, Some(1), "a wrong run is a failure: {ended:#?}");
    let records = bench.records();
    for (transport, proxy) in [(Transport::Tcp, tcp), (Transport::Websocket, websocket)] {
        let runs: Vec<_> = records.iter().filter(|record| record.transport == transport).collect();
        let done = proxy.done();
        assert_eq!((runs.len(), done.len()), (Mischief::ALL.len(), Mischief::ALL.len()), "{transport}");
        runs.iter().zip(done).for_each(|(record, done)| check(record, done));
    }
}

fn check(record: &RunRecord, done: Done) {
    let ledger = &record.ledger;
    let counts = |ledger: &LedgerSummary| {
        [
            ledger.lost,
            ledger.duplicated,
            ledger.reordered,
            ledger.corrupted,
            ledger.unexpected,
            ledger.undelivered_posts,
        ]
    };
    let (kind, name, words, expected) = match done.mischief {
        Mischief::Drop => (IncidentKind::Lost, "lost", "lost", [1, 0, 0, 0, 0, 0]),
        Mischief::Repeat => (IncidentKind::Duplicated, "duplicated", "duplicated", [0, 1, 0, 0, 0, 0]),
        Mischief::Swap => (IncidentKind::Reordered, "reordered", "out of order", [0, 0, 1, 0, 0, 0]),
        Mischief::Garble | Mischief::Renumber => {
            (IncidentKind::Corrupted, "corrupted", "corrupted", [0, 0, 0, 1, 0, 0])
        }
        // The message that should have come in its place did not.
        Mischief::Forge => (IncidentKind::Unexpected, "unexpected", "not in the plan", [1, 0, 0, 0, 1, 0]),
    };
    let context = format!("{} {done:?} {ledger:#?}", record.transport);
    // The author's last post has no next one: then nobody planned what it says it is.
    if done.mischief == Mischief::Renumber && ledger.unexpected == 1 {
        return;
    }
    assert_eq!(counts(ledger), expected, "{context}");
    let incident = |kind| Incident { kind, client: SEAT, seq: done.seq };
    let mut incidents = vec![incident(kind)];
    if done.mischief == Mischief::Forge {
        incidents.push(incident(IncidentKind::Lost));
    }
    assert_eq!(ledger.incidents, incidents, "{context}");
    assert_eq!(record.verdict.kind, VerdictKind::Wrong, "{context}");
    let reasons = &record.verdict.reasons;
    assert!(reasons.contains(&format!("1 of {} deliveries {words}", ledger.scheduled)), "{reasons:?} {context}");
    assert_eq!(reasons.last(), Some(&format!("first: {name} at client {SEAT}, seq {}", done.seq)), "{context}");
    assert_eq!(ledger.scheduled, ledger.received + ledger.lost + ledger.undelivered_posts);
}
