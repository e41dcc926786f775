//! Runs that end early: the server crashes, the job gets one or two signals, or the job is killed.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use results::{Crash, FaultKind, RunEnd, RunRecord, State, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, Job, assert_valid};
use crate::processes::{JobServer, Server, exists, signal, until_gone};

const SET: [&str; 4] = ["transports=tcp", "posts.per_client_per_s=10", "phases.warm_up_s=0.2", "phases.window_s=2"];
/// A window that is longer than the timeout of a job: such a run must end early.
const LONG_WINDOW: &str = "phases.window_s=600";
/// More posts than are sent before the window.
const POSTS: u64 = 100;

async fn in_the_window(bench: &Bench) -> (Job, JobServer) {
    let job = bench.start("run", &[]);
    let server = JobServer::of(job.pid()).await;
    server.until_posts(Transport::Tcp, POSTS).await;
    (job, server)
}

/// The crash in the record of a run whose server ended.
fn crash(record: &RunRecord) -> &Crash {
    let RunEnd::Crashed(crash) = &record.ended else { panic!("{:?} {:?}", record.ended, record.verdict) };
    assert_eq!((record.verdict.kind, &record.verdict.reasons), (VerdictKind::Crashed, &vec![crash.how.clone()]));
    crash
}

#[tokio::test]
async fn a_killed_server_is_a_crash_and_the_job_continues() {
    let set = ["transports=tcp,sse", "phases.window_s=3"];
    let bench = Bench::new(&set).await;
    let job = bench.start("run", &[]);
    let server = JobServer::of(job.pid()).await;
    server.until_any_posts(&[Transport::Tcp, Transport::Sse], 10).await;
    signal(server.pid, Signal::SIGKILL);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(!exists(server.pid), "the job waits for the end of the server");
    let mut records = bench.records();
    let killed = records.remove(0);
    let how = "the server was killed by signal 9 (SIGKILL) during the run";
    assert_eq!(crash(&killed).how, how);
    assert!(killed.total.delivered > 0, "what was measured before is kept");
    assert!(records.iter().all(|record| record.transport != killed.transport), "a crashed run is not repeated");
    assert_valid(records.last().expect("the job went on"));
    let expected = format!("pushbench: {} crashed in 1 of 1 runs: {how}\nsee ", killed.transport);
    assert!(ended.err.contains(&expected), "{}", ended.err);
    assert!(ended.prints(&format!("run 1 {}: crashed: {how}", killed.transport)), "{}", ended.out);
    // The record that the error names.
    let file = bench.results().join("runs/0001.json");
    assert!(ended.err.contains(&format!("\nsee {}\n", file.display())), "{}", ended.err);
}

/// With a pid, the end of an external server is detected as that of the built-in one.
#[tokio::test]
async fn an_attached_server_with_a_known_pid_that_ends_is_a_crash() {
    let bench = Bench::new(&["transports=tcp", "posts.per_client_per_s=10", LONG_WINDOW]).await;
    let server = Server::start(&[]).await;
    let pid = server.listening.pid.to_string();
    let target = server.target();
    let args: Vec<&str> = target.iter().map(String::as_str).chain(["--pid", &pid]).collect();
    let job = bench.start("load", &args);
    server.until_posts(Transport::Tcp, POSTS).await;
    server.kill().await;
    let ended = job.end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let how = format!("process {pid} ended during the run; its exit status is not known");
    assert_eq!(crash(&bench.record()).how, how);
}

#[tokio::test]
async fn an_unused_pid_is_an_error_before_the_first_run() {
    let bench = Bench::new(&[]).await;
    let ended = bench.start("load", &["--target", "http://127.0.0.1:9", "--pid", "2147483647"]).end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    assert!(ended.err.contains("--pid: there is no process 2147483647; "), "{}", ended.err);
}

#[tokio::test]
async fn the_pid_of_another_server_is_an_error_before_the_first_run() {
    let bench = Bench::new(&[]).await;
    let (server, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let target = server.target();
    let pid = other.listening.pid.to_string();
    let args: Vec<&str> = target.iter().map(String::as_str).chain(["--pid", &pid]).collect();
    let ended = bench.start("load", &args).end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    let expected = format!(
        "pushbench: --pid: process {pid} (pushbench) does not listen on {}; give the pid of the one that does: {} (pushbench)\n",
        server.listening.http, server.listening.pid
    );
    assert_eq!(ended.err, expected);
}

/// The process of the external server is not known. Its port refuses connections, and the job does
/// not wait for the end of the window.
#[tokio::test]
async fn an_attached_server_whose_port_refuses_is_a_crash_and_ends_the_job() {
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
async fn ctrl_c_keeps_the_results() {
    check_interrupted_job(Signal::SIGINT).await;
}

#[tokio::test]
async fn sighup_keeps_the_results() {
    check_interrupted_job(Signal::SIGHUP).await;
}

async fn check_interrupted_job(sent: Signal) {
    let bench = Bench::new(&SET).await;
    let (job, server) = in_the_window(&bench).await;
    signal(job.pid(), sent);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(!exists(server.pid), "the server has ended before the job");
    let record = bench.record();
    assert_eq!(record.ended, RunEnd::Interrupted);
    assert_eq!((record.verdict.kind, &record.verdict.reasons[0]), (VerdictKind::Invalid, &"interrupted".to_owned()));
    assert!(record.total.delivered > 0 && record.total.delivered < record.ledger.scheduled);
    let rows: u64 = record.seconds.iter().map(|second| second.delivered).sum();
    assert_eq!(rows, record.total.delivered);
    assert!(!bench.histograms(record.run)["connect_time"].is_empty());
    assert!(ended.prints("interrupted"), "{}", ended.out);
    let kept = results::load(&bench.results()).unwrap();
    assert_eq!((kept.manifest.state, kept.runs.len(), &kept.runs[0].record), (State::Interrupted, 1, &record));
}

#[tokio::test]
async fn a_second_ctrl_c_ends_the_job_at_once() {
    let bench = Bench::new(&SET).await;
    let (mut job, server) = in_the_window(&bench).await;
    // A stopped server does not handle SIGTERM: after the first Ctrl-C the job waits for its end.
    signal(server.pid, Signal::SIGSTOP);
    let begun = Instant::now();
    signal(job.pid(), Signal::SIGINT);
    job.until_prints("stopping; what was measured is kept").await;
    signal(job.pid(), Signal::SIGINT);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "the job took {:?} to end", begun.elapsed());
    assert!(ended.err.contains("stopped at once; the run in progress is lost"), "{}", ended.err);
    assert!(bench.records().is_empty());
    signal(server.pid, Signal::SIGCONT);
    until_gone(server.pid).await;
}

#[tokio::test]
async fn a_server_ends_with_the_job_that_started_it() {
    let bench = Bench::new(&SET).await;
    let (job, server) = in_the_window(&bench).await;
    signal(job.pid(), Signal::SIGKILL);
    assert_eq!(job.end().await.code, None);
    until_gone(server.pid).await;
    let kept = results::load(&bench.results()).unwrap();
    assert_eq!((kept.manifest.state, kept.runs.len()), (State::Running, 0), "a run that did not end has no record");
}
