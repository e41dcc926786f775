//! Runs that end before their time: the server dies, somebody presses Ctrl-C once or twice, the program itself is killed.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use results::{Crash, FaultKind, RunEnd, RunRecord, State, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, Job, assert_sound};
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

/// What a run whose server ended says of it.
fn crash(record: &RunRecord) -> &Crash {
    let RunEnd::Crashed(crash) = &record.ended else { panic!("{:?} {:?}", record.ended, record.verdict) };
    assert_eq!((record.verdict.kind, &record.verdict.reasons), (VerdictKind::Crashed, &vec![crash.how.clone()]));
    crash
}

#[tokio::test]
async fn a_server_that_is_killed_has_crashed_and_the_others_are_measured() {
    let set = ["transports=tcp,sse", "phases.window_s=3", "limits.invalid_reruns=3"];
    let bench = Bench::new(&set).await;
    let job = bench.start("run", &[]);
    let server = Found::below(job.pid()).await;
    server.until_any_posts(&[Transport::Tcp, Transport::Sse], 10).await;
    signal(server.pid, Signal::SIGKILL);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(!exists(server.pid), "it is waited for");
    let mut records = bench.records();
    let killed = records.remove(0);
    let how = "the server was killed by signal 9 (SIGKILL) during the run";
    assert_eq!(crash(&killed).how, how);
    assert!(killed.total.delivered > 0, "what was measured before is kept");
    assert!(records.iter().all(|record| record.transport != killed.transport), "it is not repeated");
    assert_sound(records.last().expect("the job went on"));
    let said = format!("pushbench: {} crashed in 1 of 1 runs: {how}\nsee ", killed.transport);
    assert!(ended.err.contains(&said), "{}", ended.err);
    assert!(ended.out.contains(&format!("run 1 {}: crashed: {how}", killed.transport)), "{}", ended.out);
    // The record that the sentence points to.
    let file = bench.results().join("runs/0001.json");
    assert!(ended.err.contains(&format!("\nsee {}\n", file.display())), "{}", ended.err);
}

/// With its pid, somebody else's server is watched as well as ours; it may say nothing of itself.
#[tokio::test]
async fn a_target_whose_pid_is_known_has_crashed_when_it_is_gone() {
    let bench = Bench::new(&["transports=tcp", "posts.per_client_per_s=10", LONG_WINDOW]).await;
    let server = Server::start(&[]).await;
    let pid = server.listening.pid.to_string();
    let target = server.target();
    let words: Vec<&str> = target.iter().map(String::as_str).chain(["--pid", &pid]).collect();
    let job = bench.start("load", &words);
    server.until_posts(Transport::Tcp, POSTS).await;
    server.kill().await;
    let ended = job.end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let how = format!("process {pid} ended during the run; its exit status is not known");
    assert_eq!(crash(&bench.record()).how, how);
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

/// Somebody else's server, whose process is not known: its port refuses, and the job does not wait for the end of the window.
#[tokio::test]
async fn a_target_whose_port_refuses_has_crashed_and_the_rest_is_not_run() {
    let bench = Bench::new(&["transports=tcp,websocket", "posts.per_client_per_s=10", LONG_WINDOW]).await;
    let server = Server::start(&[]).await;
    let job = bench.start("load", &server.target().each_ref().map(String::as_str));
    server.until_any_posts(&[Transport::Tcp, Transport::Websocket], POSTS).await;
    let addresses = [server.listening.tcp, server.listening.http];
    server.kill().await;
    let ended = job.end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let record = bench.record();
    let address = addresses[usize::from(record.transport != Transport::Tcp)];
    assert_eq!(crash(&record).how, format!("the server ended during the run: {address} refuses every connection"));
    assert!(record.faults.counts.contains_key(&FaultKind::Refused), "{:?}", record.faults);
    assert_eq!(record.ledger.scheduled, record.ledger.received + record.ledger.lost + record.ledger.undelivered_posts);
    let other = if record.transport == Transport::Tcp { "websocket" } else { "tcp" };
    assert!(ended.err.contains(&format!("{other} (not run)")), "{}", ended.err);
    assert_eq!(results::load(&bench.results()).unwrap().manifest.state, State::Failed);
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
    assert_eq!(record.ended, RunEnd::Interrupted);
    assert_eq!((record.verdict.kind, &record.verdict.reasons[0]), (VerdictKind::Invalid, &"interrupted".to_owned()));
    assert!(record.total.delivered > 0 && record.total.delivered < record.ledger.scheduled);
    let rows: u64 = record.seconds.iter().map(|second| second.delivered).sum();
    assert_eq!(rows, record.total.delivered);
    assert!(!bench.histograms(record.run)["connect_time"].is_empty());
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
