//! Other people's servers: they run beside ours and are judged like ours; those that fail, never listen, die or do not want to end have a
//! known end.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use results::{Ended, VerdictKind};

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
    repeats(does, "broadcast")
}

fn repeats(does: &str, dialect: &str) -> String {
    let command = repeater::command(does);
    format!(
        "name = \"other\"\ncommand = {command:?}\nready = \"listening\"\ntransports = [\"websocket\"]\ndialect = \"{dialect}\"\n"
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
    let server = theirs.server.as_ref().unwrap();
    assert!(!server.begin.metered && server.window_end.process.cpu_user_us > 0, "{server:?}");
    assert_eq!(theirs.total.accepted, theirs.total.posted, "every author heard itself");
    assert!(ended.out.contains("websocket @ other"), "{}", ended.out);
}

#[tokio::test]
async fn an_echo_runs_beside_ours() {
    let bench = Bench::with_target(&[&SET[..], &["rooms=4"]].concat(), &repeats("echo", "echo")).await;
    bench.start("run", &[]).end().await.ran();
    let records = bench.records();
    let names: Vec<_> = records.iter().map(|record| record.subject().to_string()).collect();
    assert!(names.len() == 2 && names.contains(&"websocket @ other".to_owned()), "{names:?}");
    records.iter().for_each(assert_sound);
    let theirs = records.iter().find(|record| record.target == "other").unwrap();
    assert_eq!((theirs.total.accepted, theirs.total.delivered), (theirs.total.posted, theirs.total.posted));
    assert_eq!(theirs.ledger.planned, theirs.total.posted, "everybody is alone with it");
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
    let bench = Bench::with_target(&[&SET[..], &["rooms=4"]].concat(), &repeats("echo-all-but-one", "echo")).await;
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
    assert_eq!((theirs.ledger.lost, theirs.ledger.faulted), (4, 0), "{:?}", theirs.ledger);
}

#[tokio::test]
async fn a_target_that_cannot_be_started_says_why() {
    let missing = "name = \"other\"\ncommand = \"no-such-program {port}\"\ntransports = [\"websocket\"]\n";
    let fails = shell("echo I have no licence >&2; exit 3", "");
    let silent = shell("echo one moment; sleep 60", "ready = \"listening\"\nready_within_s = 0.3");
    let deaf = shell("sleep 60", "ready_within_s = 0.3");
    for (target, said) in [
        (missing, "cannot start no-such-program: No such file or directory"),
        (&fails, "I have no licence"),
        (&fails, "target other: it ended before it was ready (exit status: 3)"),
        (
            &silent,
            "target other: it was not ready within 0.3 s: no line of its standard output contained \"listening\"; the last was \"one moment\"",
        ),
        (&deaf, "target other: it was not ready within 0.3 s: its port does not accept"),
    ] {
        let bench = Bench::with_target(&SET, target).await;
        let ended = bench.start("run", &[]).end().await;
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
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
async fn a_target_that_dies_fails_its_run_and_its_children_go_with_it() {
    let bench = Bench::with_target(&[&SET[..], &["phases.window_s=3"]].concat(), &broadcast("all")).await;
    let job = bench.start("run", &[]);
    let (_, target) = target_of(job.pid()).await;
    signal(target, Signal::SIGKILL);
    let ended = job.end().await;
    let records = bench.records();
    let Some(theirs) = records.iter().find(|record| record.target == "other") else {
        // It had not said yet that it listens.
        assert!(ended.err.contains("it ended before it was ready (signal: 9 (SIGKILL))"), "{ended:#?}");
        return;
    };
    assert_eq!(theirs.verdict.kind, VerdictKind::Invalid, "{:?}", theirs.verdict);
    assert!(matches!(&theirs.ended, Ended::Failed(why) if why.contains("SIGKILL")), "{:?}", theirs.ended);
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
        assert_eq!(status.code(), Some(128 + Signal::SIGTERM as i32), "{how}: the target was asked to end");
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
