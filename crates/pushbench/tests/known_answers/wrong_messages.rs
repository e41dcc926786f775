//! One message to one client is altered between a correct server and the load generator: dropped,
//! repeated, swapped with the next, or changed. The verdict is `wrong` with this client and
//! message, and there is no other incident.

use results::{Incident, IncidentKind, LedgerSummary, RunRecord, VerdictKind};
use wire::Transport;

use crate::bench::Bench;
use crate::processes::{Server, target};
use crate::proxy::{Alteration, Altered, CLIENT, Framing, Proxy};

#[tokio::test]
async fn one_altered_message_is_reported_with_its_client_and_seq() {
    // Two runs of about two seconds a round.
    let budget = format!("budget_s={}", 4 * Alteration::ALL.len());
    let set = [
        "transports=websocket",
        "encoding=binary",
        &budget,
        "posts.per_client_per_s=10",
        "phases.warm_up_s=0.1",
        "phases.window_s=0.6",
    ];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    let tcp = Proxy::start(Framing::Tcp, server.listening.tcp).await;
    let websocket = Proxy::start(Framing::Websocket, server.listening.http).await;
    let args = target(websocket.at, tcp.at);
    let ended = bench.start("load", &args.each_ref().map(String::as_str)).end().await;
    assert_eq!(ended.code, Some(1), "a wrong run is a failure: {ended:#?}");
    let records = bench.records();
    for (transport, proxy) in [(Transport::Tcp, tcp), (Transport::Websocket, websocket)] {
        let runs: Vec<_> = records.iter().filter(|record| record.transport == transport).collect();
        let altered = proxy.altered();
        assert_eq!((runs.len(), altered.len()), (Alteration::ALL.len(), Alteration::ALL.len()), "{transport}");
        runs.iter().zip(altered).for_each(|(record, altered)| check(record, altered));
    }
}

fn check(record: &RunRecord, altered: Altered) {
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
    let (kind, name, in_reason, expected) = match altered.alteration {
        Alteration::Drop => (IncidentKind::Lost, "lost", "lost", [1, 0, 0, 0, 0, 0]),
        Alteration::Repeat => (IncidentKind::Duplicated, "duplicated", "duplicated", [0, 1, 0, 0, 0, 0]),
        Alteration::Swap => (IncidentKind::Reordered, "reordered", "out of order", [0, 0, 1, 0, 0, 0]),
        Alteration::ChangeText | Alteration::ChangeOrdinal => {
            (IncidentKind::Corrupted, "corrupted", "corrupted", [0, 0, 0, 1, 0, 0])
        }
        // The original message is missing.
        Alteration::ChangeAuthor => (IncidentKind::Unexpected, "unexpected", "not in the plan", [1, 0, 0, 0, 1, 0]),
    };
    let context = format!("{} {altered:?} {ledger:#?}", record.transport);
    // An ordinal after the author's last post is not in the plan.
    if altered.alteration == Alteration::ChangeOrdinal && ledger.unexpected == 1 {
        return;
    }
    assert_eq!(counts(ledger), expected, "{context}");
    let incident = |kind| Incident { kind, client: CLIENT, seq: altered.seq };
    let mut incidents = vec![incident(kind)];
    if altered.alteration == Alteration::ChangeAuthor {
        incidents.push(incident(IncidentKind::Lost));
    }
    assert_eq!(ledger.incidents, incidents, "{context}");
    assert_eq!(record.verdict.kind, VerdictKind::Wrong, "{context}");
    let reasons = &record.verdict.reasons;
    assert!(reasons.contains(&format!("1 of {} deliveries {in_reason}", ledger.scheduled)), "{reasons:?} {context}");
    assert_eq!(reasons.last(), Some(&format!("first: {name} at client {CLIENT}, seq {}", altered.seq)), "{context}");
    assert_eq!(ledger.scheduled, ledger.received + ledger.lost + ledger.undelivered_posts);
}
