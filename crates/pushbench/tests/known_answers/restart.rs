//! A server that restarts during a run, with an empty log. The clients of server-sent events
//! reconnect and receive a reset. The run is `wrong` because messages were lost, and has no other
//! incidents.

use std::net::SocketAddr;

use results::{IncidentKind, VerdictKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use wire::Transport;

use crate::bench::{Bench, verdict_on_a_quiet_machine};
use crate::processes::{Server, target};

/// Forwards each connection to the current server, and closes it when the current server changes.
async fn forward(to: watch::Receiver<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut to = to.clone();
            tokio::spawn(async move {
                let server = *to.borrow_and_update();
                let mut server = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = to.changed() => {}
                }
            });
        }
    });
    at
}

#[tokio::test]
async fn a_server_that_restarts_with_an_empty_log_has_lost_messages() {
    let set = ["transports=sse", "posts.per_client_per_s=10", "phases.warm_up_s=0.2", "phases.window_s=2"];
    for client in ["built-in", "reqwest"] {
        let bench = Bench::new(&[&set[..], &[&format!("http_client={client}")]].concat()).await;
        let (before, after) = (Server::start(&[]).await, Server::start(&[]).await);
        let (switch, current) = watch::channel(before.listening.http);
        let args = target(forward(current).await, before.listening.tcp);
        let job = bench.start("load", &args.each_ref().map(String::as_str));
        before.until_posts(Transport::Sse, 200).await;
        switch.send_replace(after.listening.http);
        let ended = job.end().await;
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let records = bench.records();
        let record = records.iter().find(|record| record.transport == Transport::Sse).unwrap();
        let ledger = &record.ledger;
        let verdict = verdict_on_a_quiet_machine(record);
        assert_eq!(verdict.kind, VerdictKind::Wrong, "{client} {verdict:?}");
        let reason = format!("the server reported that {} messages were no longer available", ledger.gap_messages);
        assert!(
            ledger.gap_messages >= 20 * 40 && verdict.reasons.contains(&reason),
            "{client} {verdict:?} {ledger:#?}"
        );
        let others = [ledger.duplicated, ledger.reordered, ledger.corrupted, ledger.unexpected];
        assert_eq!(others, [0; 4], "{client} {ledger:#?}");
        assert!(ledger.incidents.iter().all(|incident| incident.kind == IncidentKind::Lost), "{client} {ledger:#?}");
        assert!(after.stats().await.transports["sse"].gaps >= 20, "each client received a gap");
        assert_eq!(ledger.scheduled, ledger.received + ledger.lost + ledger.undelivered_posts);
    }
}
