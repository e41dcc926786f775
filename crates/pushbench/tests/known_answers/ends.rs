//! Runs that end before their time: the server dies, somebody presses Ctrl-C once or twice, the program itself is killed.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use results::{Ended, FaultKind, State, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, Job};
use crate::processes::{Found, Server, exists, signal, until_gone};

const SET: [&str; 4] = ["transports=tcp", "posts.per_client_per_s=10", "phases.warm_up_s=0.2", "phases.window_s=2"];
/// A run that is not ended early takes longer than anybody waits for.
const LONG_WINDOW: &str = "phases.window_s=600";
/// Posts that are only reached inside the window.
const POSTS: u64 = 100;

async fn in_the_window(bench: &Bench) -> (Job, Found) {
    let job = bench.start("run", &[]);
    let server = Found::below(job.pid()).await;
    server.until_posts(Transport::Tcp, POSTS).await;
    (job, server)
}

#[tokio::test]
async fn a_server_that_dies_fails_its_run() {
    let set = ["transports=tcp", "posts.per_client_per_s=10", "phases.warm_up_s=0.2", LONG_WINDOW];
    let bench = Bench::new(&set).await;
    let (job, server) = in_the_window(&bench).await;
    signal(server.pid, Signal::SIGKILL);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    assert!(!exists(server.pid), "it is waited for");
    let record = bench.record();
    let why = "the server ended during the run (signal: 9 (SIGKILL))";
    assert_eq!((record.verdict.kind, &record.ended), (VerdictKind::Invalid, &Ended::Failed(why.to_owned())));
    assert_eq!(record.verdict.reasons[0], why);
    assert!(record.total.delivered > 0, "what was measured before is kept");
    assert!(ended.out.contains(why), "{}", ended.out);
}

/// With its pid, somebody else's server is watched as well as ours; it may say nothing of itself.
#[tokio::test]
async fn a_target_whose_pid_is_known_fails_its_run_when_it_dies() {
    let bench = Bench::new(&["transports=tcp", "posts.per_client_per_s=10", LONG_WINDOW]).await;
    let server = Server::start(&[]).await;
    let pid = server.listening.pid.to_string();
    let target = server.target();
    let words: Vec<&str> = target.iter().map(String::as_str).chain(["--pid", &pid]).collect();
    let job = bench.start("load", &words);
    server.until_posts(Transport::Tcp, POSTS).await;
    server.kill().await;
    let ended = job.end().await;
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    let record = bench.record();
    let why = "the server ended during the run (somebody else's process: how is not known)";
    assert_eq!((record.verdict.kind, &record.ended), (VerdictKind::Invalid, &Ended::Failed(why.to_owned())));
}

#[tokio::test]
async fn a_pid_that_is_nobody_s_is_found_before_anything_runs() {
    let bench = Bench::new(&[]).await;
    let ended = bench.start("load", &["--target", "http://127.0.0.1:9", "--pid", "2147483647"]).end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    assert!(ended.err.contains("--pid: there is no process 2147483647 to meter"), "{}", ended.err);
}

#[tokio::test]
async fn a_pid_that_does_not_serve_the_target_is_found_before_anything_runs() {
    let bench = Bench::new(&[]).await;
    let (server, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let target = server.target();
    let pid = other.listening.pid.to_string();
    let words: Vec<&str> = target.iter().map(String::as_str).chain(["--pid", &pid]).collect();
    let ended = bench.start("load", &words).end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    let expected = format!(
        "pushbench: --pid: process {pid} (pushbench) does not listen on {}; give the pid of the one that does: {} (pushbench)\n",
        server.listening.http, server.listening.pid
    );
    assert_eq!(ended.err, expected);
}

/// Somebody else's server: nobody tells the generator that it died, but posts that nobody took are no result.
#[tokio::test]
async fn a_target_that_dies_is_never_sound() {
    let set = ["transports=websocket", "posts.per_client_per_s=10", "phases.window_s=2", "limits.retries_max=3"];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    let job = bench.start("load", &server.target().each_ref().map(String::as_str));
    // The other transport's run may be first; its server dies too, and the second finds nobody.
    server.until_any_posts(&[Transport::Tcp, Transport::Websocket], POSTS).await;
    server.kill().await;
    let ended = job.end().await;
    assert!(matches!(ended.code, Some(1 | 6)), "{ended:#?}");
    let records = bench.records();
    assert_eq!(records.len(), 2);
    for record in records {
        let kind = record.verdict.kind;
        assert!(matches!(kind, VerdictKind::Invalid | VerdictKind::Wrong), "{:?}", record.verdict);
        assert!(record.faults.counts.contains_key(&FaultKind::Refused), "{:?}", record.faults);
        let ledger = &record.ledger;
        assert_eq!(ledger.planned, ledger.seen + ledger.lost + ledger.faulted);
    }
}

#[tokio::test]
async fn ctrl_c_keeps_what_was_measured() {
    keeps_what_was_measured(Signal::SIGINT).await;
}

#[tokio::test]
async fn a_terminal_that_goes_leaves_what_was_measured() {
    keeps_what_was_measured(Signal::SIGHUP).await;
}

async fn keeps_what_was_measured(how: Signal) {
    let bench = Bench::new(&SET).await;
    let (job, server) = in_the_window(&bench).await;
    signal(job.pid(), how);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(!exists(server.pid), "the server went first");
    let record = bench.record();
    assert_eq!(record.ended, Ended::Interrupted);
    assert_eq!((record.verdict.kind, &record.verdict.reasons[0]), (VerdictKind::Invalid, &"interrupted".to_owned()));
    assert!(record.total.delivered > 0 && record.total.delivered < record.ledger.planned);
    let rows: u64 = record.seconds.iter().map(|second| second.delivered).sum();
    assert_eq!(rows, record.total.delivered);
    assert!(!bench.histograms(record.run)["connect"].is_empty());
    assert!(ended.out.contains("interrupted"), "{}", ended.out);
    let kept = results::load(&bench.results()).unwrap();
    assert_eq!((kept.manifest.state, kept.runs.len(), &kept.runs[0].record), (State::Interrupted, 1, &record));
}

#[tokio::test]
async fn a_second_ctrl_c_waits_for_nothing() {
    let bench = Bench::new(&SET).await;
    let (mut job, server) = in_the_window(&bench).await;
    // A server that stands still does not end when it is asked to: the first Ctrl-C has to wait for it.
    signal(server.pid, Signal::SIGSTOP);
    let begun = Instant::now();
    signal(job.pid(), Signal::SIGINT);
    job.until_says("stopping; what was measured is written").await;
    signal(job.pid(), Signal::SIGINT);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
    assert!(ended.err.contains("stopped at once; the run in progress is lost"), "{}", ended.err);
    assert!(bench.records().is_empty());
    signal(server.pid, Signal::SIGCONT);
    until_gone(server.pid).await;
}

#[tokio::test]
async fn no_server_outlives_whoever_started_it() {
    let bench = Bench::new(&SET).await;
    let (job, server) = in_the_window(&bench).await;
    signal(job.pid(), Signal::SIGKILL);
    assert_eq!(job.end().await.code, None);
    until_gone(server.pid).await;
    let kept = results::load(&bench.results()).unwrap();
    assert_eq!(
        (kept.manifest.state, kept.runs.len()),
        (State::Running, 0),
        "a run that was not ended leaves no record"
    );
}
