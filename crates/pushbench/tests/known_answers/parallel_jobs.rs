//! Two jobs on the same cores: the second waits for the first, or notes that it does not wait.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::bench::{Bench, Job};
use crate::processes::{JobServer, Server, signal};

const LONG: [&str; 2] = ["transports=tcp", "phases.window_s=600"];

/// The findings about other jobs in the manifest.
fn findings(folder: &Path) -> Vec<String> {
    let folder = std::fs::read_dir(folder).unwrap().next().expect("a results folder").unwrap().path();
    let findings = results::load(&folder).unwrap().manifest.findings;
    findings.into_iter().filter(|finding| finding.starts_with("other jobs: ")).collect()
}

#[tokio::test]
async fn a_second_job_waits_for_the_first_unless_anyway_is_set() {
    let bench = Bench::new(&LONG).await;
    let args = |name: &str, more: &[&str]| {
        let out = bench.scratch(name).display().to_string();
        bench.command_line("run", &[&["--out", &out], more].concat())
    };
    // A lock folder for these jobs only.
    let locks = bench.scratch("locks");
    std::fs::create_dir_all(&locks).unwrap();
    let start = |args: &[String]| Job::start_in(args, "TMPDIR", locks.to_str().unwrap());

    let first = start(&args("first", &[]));
    JobServer::of(first.pid()).await;
    let about = format!("pid {} ({} run ", first.pid(), env!("CARGO_BIN_EXE_pushbench"));
    let mut second = start(&args("second", &[]));
    second.until_prints(&format!("waiting for {about}")).await;

    let beside = start(&args("beside", &["--anyway"]));
    JobServer::of(beside.pid()).await;
    signal(beside.pid(), Signal::SIGINT);
    let ended = beside.end().await;
    assert!(ended.err.contains(&format!("doubtful other jobs  {about}")), "{}", ended.err);
    let found = findings(&bench.scratch("beside"));
    assert!(matches!(found.as_slice(), [one] if one.starts_with(&format!("other jobs: {about}"))), "{found:?}");

    // `load` has no results yet, so that Ctrl-C ends it at once.
    let server = Server::start(&[]).await;
    let target = server.target();
    let target: Vec<&str> = ["--out", "/dev/null"].into_iter().chain(target.iter().map(String::as_str)).collect();
    let mut third = start(&bench.command_line("load", &target));
    third.until_prints("waiting for ").await;
    signal(third.pid(), Signal::SIGINT);
    assert_eq!(third.end().await.code, None, "the signal ends it");

    assert!(!bench.scratch("second").exists(), "the second job still waits");
    signal(first.pid(), Signal::SIGINT);
    first.end().await;
    JobServer::of(second.pid()).await;
    signal(second.pid(), Signal::SIGINT);
    assert_eq!(second.end().await.code, Some(130));
    assert!(findings(&bench.scratch("second")).is_empty(), "no other job ran at the same time");
}
