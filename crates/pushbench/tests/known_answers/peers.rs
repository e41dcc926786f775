//! Other people's servers: they run beside ours and are judged like ours; those that fail, never listen, die or do not want to end have a
//! known end.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use results::{Crash, RunEnd, RunRecord, VerdictKind};

use crate::bench::{Bench, assert_sound, on_a_quiet_machine};
use crate::processes::{children, exists, signal, until, until_gone};
use crate::repeater;

const SET: [&str; 6] = [
    "transports=tcp",
    "rooms=1",
    "clients=4",
    "posts.per_client_per_s=10",
    "phases.warm_up_s=0.2",
    "phases.window_s=0.8",
];

fn broadcast(does: &str) -> String {
    let command = repeater::command(does);
    format!(
        "name = \"other\"\ncommand = {command:?}\nready = \"listening\"\ntransports = [\"websocket\"]\nprotocol = \"plain-broadcast\"\n"
    )
}

fn shell(script: &str, more: &str) -> String {
    let command = ["sh", "-c", script, "{port}"];
    format!("name = \"other\"\ncommand = {command:?}\ntransports = [\"websocket\"]\n{more}\n")
}

/// The process of the target, and of those that keep it, the job's own first.
async fn target_of(job: u32) -> (u32, u32) {
    until("a target", async || {
        let keeper = children(job).into_iter().find(|pid| arguments(*pid).nth(1).as_deref() == Some("exec"))?;
        Some((keeper, *children(keeper).first()?))
    })
    .await
}

fn arguments(pid: u32) -> impl Iterator<Item = String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[tokio::test]
async fn a_server_that_only_repeats_runs_beside_ours() {
    let bench = Bench::with_target(&[&SET[..], &["transports=websocket"]].concat(), &broadcast("all")).await;
    let ended = bench.start("run", &[]).end().await;
    ended.ran();
    let records = bench.records();
    let mut names: Vec<_> = records.iter().map(|record| record.subject().to_string()).collect();
    names.sort();
    assert_eq!(names, ["tcp", "websocket", "websocket @ other"]);
    records.iter().for_each(assert_sound);
    let theirs = records.iter().find(|record| record.target == "other").unwrap();
    let window = theirs.slices[0].server.as_ref().unwrap();
    assert!(!window.start.metered && window.end.process.cpu_user_us > 0, "{window:?}");
    assert_eq!(theirs.total.accepted, theirs.total.posted, "every author heard itself");
    assert!(ended.out.contains("websocket @ other"), "{}", ended.out);
}

#[tokio::test]
async fn an_echo_runs_beside_ours() {
    let bench = Bench::with_target(&[&SET[..], &["rooms=4"]].concat(), &broadcast("echo")).await;
    bench.start("run", &[]).end().await.ran();
    let records = bench.records();
    let names: Vec<_> = records.iter().map(|record| record.subject().to_string()).collect();
    assert!(names.len() == 2 && names.contains(&"websocket @ other".to_owned()), "{names:?}");
    records.iter().for_each(assert_sound);
    let theirs = records.iter().find(|record| record.target == "other").unwrap();
    assert_eq!((theirs.total.accepted, theirs.total.delivered), (theirs.total.posted, theirs.total.posted));
    assert_eq!(theirs.ledger.scheduled, theirs.total.posted, "everybody is alone with it");
}

/// The run of somebody else's server ends with one delivery lost.
async fn one_is_lost(bench: &Bench) {
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let records = bench.records();
    let theirs = records.iter().find(|record| record.target == "other").unwrap();
    let verdict = on_a_quiet_machine(theirs);
    assert_eq!((verdict.kind, theirs.ledger.lost), (VerdictKind::Wrong, 1), "{:?}", theirs.ledger);
}

#[tokio::test]
async fn a_text_that_an_echo_swallows_is_lost_to_its_sender() {
    let bench = Bench::with_target(&[&SET[..], &["rooms=4"]].concat(), &broadcast("echo-all-but-one")).await;
    one_is_lost(&bench).await;
}

#[tokio::test]
async fn a_message_that_one_client_does_not_get_is_lost() {
    let bench = Bench::with_target(&SET, &broadcast("all-but-one")).await;
    one_is_lost(&bench).await;
}

#[tokio::test]
async fn a_post_that_nobody_gets_is_lost_for_everybody() {
    let bench = Bench::with_target(&SET, &broadcast("all-but-one-for-all")).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let records = bench.records();
    let theirs = records.iter().find(|record| record.target == "other").unwrap();
    assert_eq!((theirs.ledger.lost, theirs.ledger.undelivered_posts), (4, 0), "{:?}", theirs.ledger);
}

/// Each is the failure of the target alone: the job goes on, and says so in the end.
#[tokio::test]
async fn targets_that_cannot_be_started_have_crashed_and_ours_is_measured() {
    let soon = "ready_within_s = 0.3";
    let says_so = "ready_within_s = 0.3\nready = \"listening\"";
    let unheard = "was not ready within 0.3 s: its standard output did not contain \"listening\"";
    let deaf = "was not ready within 0.3 s: its port does not accept; does it listen on {port} of 127.0.0.1?";
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
        ("silent", &["sh", "-c", "echo one moment; sleep 60"], says_so, unheard, "one moment"),
        ("deaf", &["sh", "-c", "sleep 60"], soon, deaf, ""),
    ];
    let target = |(name, words, more, ..): &(&str, &[&str], &str, &str, &str)| {
        let command = [*words, &["{port}"]].concat();
        format!("name = \"{name}\"\ncommand = {command:?}\ntransports = [\"websocket\"]\n{more}\n")
    };
    let targets = cases.iter().map(target).collect::<Vec<_>>().join("[[target]]\n");
    let bench = Bench::with_target(&SET, &targets).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let job = results::load(&bench.results()).expect("a run that could not begin is a run");
    let of = |name: &str| &job.runs.iter().find(|run| run.record.target == name).unwrap().record;
    assert_eq!(job.runs.len(), 1 + cases.len());
    assert_sound(of(wire::BUILTIN_SERVER));
    for (name, _, _, how, last) in cases {
        let found = crash(of(name));
        assert_eq!((&found.how, found.last_output.concat().as_str()), (&format!("the server {how}"), last));
        let quoted = if last.is_empty() { String::new() } else { format!("; its output ended with:\n  | {last}") };
        let said = format!("pushbench: websocket @ {name} crashed in 1 of 1 runs: the server {how}{quoted}\nsee ");
        assert!(ended.err.contains(&said), "{said}: {}", ended.err);
    }
}

/// What a run says of a server that ended.
fn crash(record: &RunRecord) -> &Crash {
    let RunEnd::Crashed(crash) = &record.ended else { panic!("{:?} {:?}", record.ended, record.verdict) };
    assert_eq!((record.verdict.kind, &record.verdict.reasons), (VerdictKind::Crashed, &vec![crash.how.clone()]));
    crash
}

#[tokio::test]
async fn a_target_that_exits_during_a_run_has_crashed_with_its_last_words() {
    let set = [&SET[..], &["limits.invalid_reruns=3", "repetitions=2"]].concat();
    let bench = Bench::with_target(&set, &broadcast("all-until-it-exits")).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let records = bench.records();
    let theirs: Vec<_> = records.iter().filter(|record| record.target == "other").collect();
    assert_eq!(theirs.len(), 2, "not repeated; a round is a round");
    let how = "the server exited with status 1 during the run";
    for record in theirs {
        let crash = crash(record);
        let last = crash.last_output.join("\n");
        assert!(crash.how == how && last.ends_with("out of tokens\n    at repeat (repeater)"), "{crash:?}");
    }
    assert!(ended.err.contains(&format!("websocket @ other crashed in 2 of 2 runs: {how}; its output ended with:\n")));
    assert!(ended.err.contains("\n  | out of tokens\n"), "{}", ended.err);
    let live = ended.err.find("\nout of tokens\n").expect("its standard error is passed on");
    assert!(live < ended.err.find("websocket @ other crashed: the server").unwrap(), "at once: {}", ended.err);
    assert!(ended.err.contains("no figures for websocket @ other (crashed)"), "{}", ended.err);
}

#[tokio::test]
async fn what_a_target_needs_is_looked_for_first() {
    let needs = shell("true", "needs = \"node_modules\"\nprepare = \"npm ci\"");
    let bench = Bench::with_target(&SET, &needs).await;
    let ended = bench.start("run", &[]).end().await;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.err.contains("node_modules is not there; run `npm ci` in "), "{}", ended.err);
}

#[tokio::test]
async fn a_target_that_is_killed_has_crashed_and_its_children_go_with_it() {
    let bench = Bench::with_target(&[&SET[..], &["phases.window_s=3"]].concat(), &broadcast("all")).await;
    let job = bench.start("run", &[]);
    let (_, target) = target_of(job.pid()).await;
    signal(target, Signal::SIGKILL);
    let ended = job.end().await;
    let records = bench.records();
    let theirs = records.iter().find(|record| record.target == "other").unwrap();
    // It may not have said yet that it listens.
    assert!(crash(theirs).how.starts_with("the server was killed by signal 9 (SIGKILL) "), "{:?}", theirs.ended);
    assert_eq!(ended.code, Some(1));
}

#[tokio::test]
async fn a_target_that_ignores_sigterm_is_killed() {
    let bench = Bench::with_target(&SET, &broadcast("all-for-ever")).await;
    let job = bench.start("run", &[]);
    let (keeper, target) = target_of(job.pid()).await;
    job.end().await.ran();
    assert!(!exists(keeper) && !exists(target), "it is gone when the run is");
    bench.records().iter().for_each(assert_sound);
}

#[tokio::test]
async fn a_signal_to_the_keeper_of_a_target_ends_them_all() {
    for how in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let words = [env!("CARGO_BIN_EXE_pushbench"), "exec", "--", "sh", "-c", "sleep 1000 & sleep 1000"];
        let mut keeper = tokio::process::Command::new(words[0]);
        let mut keeper = keeper.args(&words[1..]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = keeper.id().unwrap();
        let target = until("the target", async || children(pid).first().copied()).await;
        let below = until("its children", async || Some(children(target)).filter(|below| below.len() == 2)).await;
        signal(pid, how);
        let status = keeper.wait().await.unwrap();
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{how}: the target was asked to end");
        assert!(!exists(target) && !below.into_iter().any(exists), "{how}");
    }
}

#[tokio::test]
async fn no_target_outlives_whoever_started_it() {
    let bench = Bench::with_target(&SET, &shell("sleep 1000 & sleep 1000", "ready_within_s = 60")).await;
    let job = bench.start("run", &[]);
    let (keeper, target) = target_of(job.pid()).await;
    let grandchild = until("its child", async || children(target).first().copied()).await;
    let begun = Instant::now();
    signal(job.pid(), Signal::SIGKILL);
    job.end().await;
    for pid in [target, grandchild, keeper] {
        until_gone(pid).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}
