//! External servers: they are measured and judged as the built-in one. Servers that do not start,
//! do not listen, crash or do not end on SIGTERM have a known outcome.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use results::{Crash, RunEnd, RunRecord, VerdictKind};

use crate::bench::{Bench, assert_valid, verdict_on_a_quiet_machine};
use crate::broadcast_server;
use crate::processes::{children, exists, signal, until, until_gone};

const SET: [&str; 6] = [
    "transports=tcp",
    "rooms=1",
    "clients=4",
    "posts.per_client_per_s=10",
    "phases.warm_up_s=0.2",
    "phases.window_s=0.8",
];

fn broadcast(mode: &str) -> String {
    let command = broadcast_server::command(mode);
    format!(
        "name = \"other\"\ncommand = {command:?}\nready = \"listening\"\ntransports = [\"websocket\"]\n[target.protocol]\npost.send = \"{{text}}\"\n"
    )
}

fn shell(script: &str, more: &str) -> String {
    let command = ["sh", "-c", script, "{port}"];
    format!("name = \"other\"\ncommand = {command:?}\ntransports = [\"websocket\"]\n{more}\n")
}

/// The processes `pushbench exec`, which runs the target, and the target.
async fn wrapper_and_target(job: u32) -> (u32, u32) {
    until("a target", async || {
        let wrapper = children(job).into_iter().find(|pid| arguments(*pid).nth(1).as_deref() == Some("exec"))?;
        Some((wrapper, *children(wrapper).first()?))
    })
    .await
}

fn arguments(pid: u32) -> impl Iterator<Item = String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[tokio::test]
async fn a_server_with_a_protocol_of_its_own_is_measured_beside_the_built_in_one() {
    let bench = Bench::with_target(&[&SET[..], &["transports=websocket"]].concat(), &broadcast("all")).await;
    let ended = bench.start("run", &[]).end().await;
    ended.assert_completed();
    let records = bench.records();
    let mut names: Vec<_> = records.iter().map(|record| record.subject().to_string()).collect();
    names.sort();
    assert_eq!(names, ["tcp", "websocket", "websocket @ other"]);
    records.iter().for_each(assert_valid);
    let external = records.iter().find(|record| record.target == "other").unwrap();
    let server = external.server.as_ref().unwrap();
    assert!(!server.begin.metered && server.end.as_ref().unwrap().process.cpu_user_us > 0, "{server:?}");
    assert!(external.slices[0].server_cpu_ns.is_some_and(|ns| ns > 0), "{:?}", external.slices[0]);
    assert_eq!(external.total.accepted, external.total.posted, "every author received its own posts");
    assert!(ended.prints("websocket @ other"), "{}", ended.out);
}

#[tokio::test]
async fn an_echo_server_is_measured_beside_the_built_in_one() {
    let bench = Bench::with_target(&[&SET[..], &["rooms=4"]].concat(), &broadcast("echo")).await;
    bench.start("run", &[]).end().await.assert_completed();
    let records = bench.records();
    let names: Vec<_> = records.iter().map(|record| record.subject().to_string()).collect();
    assert!(names.len() == 2 && names.contains(&"websocket @ other".to_owned()), "{names:?}");
    records.iter().for_each(assert_valid);
    let external = records.iter().find(|record| record.target == "other").unwrap();
    assert_eq!((external.total.accepted, external.total.delivered), (external.total.posted, external.total.posted));
    assert_eq!(external.ledger.scheduled, external.total.posted, "each client has its own room");
}

/// Runs a job, and checks that the external server has lost one delivery.
async fn assert_one_lost(bench: &Bench) {
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let records = bench.records();
    let external = records.iter().find(|record| record.target == "other").unwrap();
    let verdict = verdict_on_a_quiet_machine(external);
    assert_eq!((verdict.kind, external.ledger.lost), (VerdictKind::Wrong, 1), "{:?}", external.ledger);
}

#[tokio::test]
async fn a_text_that_is_not_echoed_is_lost() {
    let bench = Bench::with_target(&[&SET[..], &["rooms=4"]].concat(), &broadcast("echo-except-one")).await;
    assert_one_lost(&bench).await;
}

#[tokio::test]
async fn a_message_that_is_not_sent_to_one_client_is_lost() {
    let bench = Bench::with_target(&SET, &broadcast("skip-one-client")).await;
    assert_one_lost(&bench).await;
}

#[tokio::test]
async fn a_post_that_is_not_broadcast_is_lost_at_every_client() {
    let bench = Bench::with_target(&SET, &broadcast("skip-one-post")).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let records = bench.records();
    let external = records.iter().find(|record| record.target == "other").unwrap();
    assert_eq!((external.ledger.lost, external.ledger.undelivered_posts), (4, 0), "{:?}", external.ledger);
}

/// Each is a crash of the target only: the job continues, and reports it at its end.
#[tokio::test]
async fn targets_that_cannot_be_started_are_crashes_and_the_job_continues() {
    let soon = "ready_within_s = 0.3";
    let prints = "ready_within_s = 0.3\nready = \"listening\"";
    let not_printed = "was not ready within 0.3 s: its standard output did not contain \"listening\"";
    let not_listening =
        "was not ready within 0.3 s: its port refuses connections; it must listen on {port} of 127.0.0.1";
    let missing = "pushbench: cannot start no-such-program: No such file or directory (os error 2)";
    let cases: [(&str, &[&str], &str, &str, &str); 6] = [
        ("missing", &["no-such-program"], "", "exited with status 1 before it was ready", missing),
        (
            "fails",
            &["sh", "-c", "echo no licence >&2; exit 3"],
            "",
            "exited with status 3 before it was ready",
            "no licence",
        ),
        ("pipe", &["sh", "-c", "kill -PIPE $$"], "", "was killed by signal 13 (SIGPIPE) before it was ready", ""),
        ("fault", &["sh", "-c", "kill -SEGV $$"], "", "was killed by signal 11 (SIGSEGV) before it was ready", ""),
        ("silent", &["sh", "-c", "echo one moment; sleep 60"], prints, not_printed, "one moment"),
        ("not-listening", &["sh", "-c", "sleep 60"], soon, not_listening, ""),
    ];
    let target = |(name, args, more, ..): &(&str, &[&str], &str, &str, &str)| {
        let command = [*args, &["{port}"]].concat();
        format!("name = \"{name}\"\ncommand = {command:?}\ntransports = [\"websocket\"]\n{more}\n")
    };
    let targets = cases.iter().map(target).collect::<Vec<_>>().join("[[target]]\n");
    let bench = Bench::with_target(&SET, &targets).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let job = results::load(&bench.results()).expect("a run that did not start has a record");
    let of = |name: &str| &job.runs.iter().find(|run| run.record.target == name).unwrap().record;
    assert_eq!(job.runs.len(), 1 + cases.len());
    assert_valid(of(wire::BUILTIN_SERVER));
    for (name, _, _, how, last) in cases {
        let found = crash(of(name));
        assert_eq!((&found.how, found.last_output.concat().as_str()), (&format!("the server {how}"), last));
        let quoted = if last.is_empty() { String::new() } else { format!("; its output ended with:\n  | {last}") };
        let expected = format!("pushbench: websocket @ {name} crashed in 1 of 1 runs: the server {how}{quoted}\nsee ");
        assert!(ended.err.contains(&expected), "{expected}: {}", ended.err);
    }
}

/// The crash in the record of a run whose server ended.
fn crash(record: &RunRecord) -> &Crash {
    let RunEnd::Crashed(crash) = &record.ended else { panic!("{:?} {:?}", record.ended, record.verdict) };
    assert_eq!((record.verdict.kind, &record.verdict.reasons), (VerdictKind::Crashed, &vec![crash.how.clone()]));
    crash
}

#[tokio::test]
async fn a_target_that_exits_during_a_run_is_a_crash_with_its_last_output() {
    let set = [&SET[..], &["budget_s=10"]].concat();
    let bench = Bench::with_target(&set, &broadcast("exit-early")).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let records = bench.records();
    let external: Vec<_> = records.iter().filter(|record| record.target == "other").collect();
    assert_eq!(external.len(), 2, "one run per round");
    let how = "the server exited with status 1 during the run";
    for record in external {
        let crash = crash(record);
        let last = crash.last_output.join("\n");
        assert!(crash.how == how && last.ends_with("out of tokens\n    at repeat (broadcast_server)"), "{crash:?}");
    }
    assert!(ended.err.contains(&format!("websocket @ other crashed in 2 of 2 runs: {how}; its output ended with:\n")));
    assert!(ended.err.contains("\n  | out of tokens\n"), "{}", ended.err);
    let printed = ended.err.find("\nout of tokens\n").expect("the standard error of the target is printed");
    assert!(
        printed < ended.err.find("websocket @ other: crashed: the server").unwrap(),
        "it is printed before the end of the run: {}",
        ended.err
    );
    assert!(
        ended.err.contains("no metrics for ") && ended.err.contains("websocket @ other (crashed)"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn files_that_a_target_needs_are_checked_first() {
    let needs = shell("true", "needs = \"node_modules\"\nprepare = \"npm ci\"");
    let bench = Bench::with_target(&SET, &needs).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.err.contains("node_modules does not exist; run `npm ci` in "), "{}", ended.err);
}

#[tokio::test]
async fn a_killed_target_is_a_crash() {
    let bench = Bench::with_target(&[&SET[..], &["phases.window_s=3"]].concat(), &broadcast("all")).await;
    let job = bench.start("run", &[]);
    // Before the job has a folder, the target is tried.
    until("the folder of the job", async || std::fs::read_dir(bench.scratch("")).ok()?.next().map(drop)).await;
    let (_, target) = wrapper_and_target(job.pid()).await;
    signal(target, Signal::SIGKILL);
    let ended = job.end().await;
    let records = bench.records();
    let external = records.iter().find(|record| record.target == "other").unwrap();
    // The signal may arrive before or during the run.
    assert!(crash(external).how.starts_with("the server was killed by signal 9 (SIGKILL) "), "{:?}", external.ended);
    assert_eq!(ended.code, Some(1));
}

#[tokio::test]
async fn a_target_that_ignores_sigterm_is_killed() {
    let bench = Bench::with_target(&SET, &broadcast("ignore-sigterm")).await;
    let job = bench.start("run", &[]);
    let (wrapper, target) = wrapper_and_target(job.pid()).await;
    job.end().await.assert_completed();
    assert!(!exists(wrapper) && !exists(target), "the target ends with the run");
    bench.records().iter().for_each(assert_valid);
}

#[tokio::test]
async fn a_signal_to_the_wrapper_ends_the_target_and_its_children() {
    for sent in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let args = [env!("CARGO_BIN_EXE_pushbench"), "exec", "--", "sh", "-c", "sleep 1000 & sleep 1000"];
        let mut wrapper = tokio::process::Command::new(args[0]);
        let mut wrapper = wrapper.args(&args[1..]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = wrapper.id().unwrap();
        let target = until("the target", async || children(pid).first().copied()).await;
        let children_of_target =
            until("the children of the target", async || Some(children(target)).filter(|found| found.len() == 2)).await;
        signal(pid, sent);
        let status = wrapper.wait().await.unwrap();
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{sent}: the target got SIGTERM");
        assert!(!exists(target) && !children_of_target.into_iter().any(exists), "{sent}");
    }
}

#[tokio::test]
async fn a_target_ends_with_the_job_that_started_it() {
    let bench = Bench::with_target(&SET, &shell("sleep 1000 & sleep 1000", "ready_within_s = 60")).await;
    let job = bench.start("run", &[]);
    let (wrapper, target) = wrapper_and_target(job.pid()).await;
    let grandchild = until("the child of the target", async || children(target).first().copied()).await;
    let begun = Instant::now();
    signal(job.pid(), Signal::SIGKILL);
    job.end().await;
    for pid in [target, grandchild, wrapper] {
        until_gone(pid).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}
