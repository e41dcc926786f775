//! The counters and the gate with the real program: what they find, and what they refuse. Never how fast anything was.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pushbench");

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name)
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn run(words: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(PROGRAM).args(words).output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), text)
}

fn counters(words: &[&str]) -> (i32, String) {
    let scenario = scenario("counters.toml");
    run(&[&["counters", scenario.to_str().unwrap()], words].concat())
}

#[test]
fn counting_twice_gives_the_same_file_and_a_handicap_another() {
    let (first, second) = (scratch("first.json"), scratch("second.json"));
    for path in [&first, &second] {
        let (code, text) = counters(&["--check", path.to_str().unwrap(), "--bless"]);
        assert_eq!(code, 0, "{text}");
    }
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    let check = ["--check", first.to_str().unwrap()];
    let (code, text) = counters(&check);
    assert!(code == 0 && text.contains("7 passed, 0 failed"), "{text}");
    let dearer = format!("'{PROGRAM}' serve --allow-handicap --handicap bytes=64");
    let (code, text) = counters(&[&check[..], &["--server", &dearer]].concat());
    assert!(code == 3 && text.contains("0 passed, 7 failed"), "{text}");
    // 400 deliveries of 64 bytes more.
    let bytes = text.lines().find(|line| line.starts_with("websocket window.server.down.total")).unwrap();
    let numbers: Vec<u64> = bytes.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[1] - numbers[0], 400 * 64, "{bytes}");
}

#[test]
fn a_lock_that_does_not_fit_is_no_verdict() {
    let (missing, broken, other) = (scratch("missing.json"), scratch("broken.json"), scratch("other.json"));
    std::fs::write(&broken, "{\"schema\":").unwrap();
    let (code, text) = counters(&["--check", missing.to_str().unwrap()]);
    assert!(code == 2 && text.contains("--bless"), "{text}");
    let (code, text) = counters(&["--check", broken.to_str().unwrap()]);
    assert!(code == 2 && text.contains("is no lock file"), "{text}");
    let fewer = ["--set", "transports=tcp", "--check", other.to_str().unwrap()];
    assert_eq!(counters(&[&fewer[..], &["--bless"]].concat()).0, 0);
    let (code, text) = counters(&[&fewer[..], &["--set", "clients=3"]].concat());
    assert!(code == 2 && text.contains("another scenario or other settings"), "{text}");
    assert_eq!(counters(&["--bless"]).0, 2);
    assert_eq!(counters(&["--set", "posts.per_client_per_s=0"]).0, 2);
    assert_eq!(counters(&["--set", "client=reqwest"]).0, 1);
    let (code, text) = run(&["counters", scenario("payload.toml").to_str().unwrap()]);
    assert!(code == 2 && text.contains("sweeps"), "{text}");
}

#[test]
fn a_handicap_must_be_allowed_and_understood() {
    for words in [&["serve", "--handicap", "cpu=5us"][..], &["serve", "--allow-handicap", "--handicap", "cpu=5"]] {
        let (code, text) = run(words);
        assert!(code == 2 && text.contains("handicap"), "{text}");
    }
}

fn gate(base: &str, head: &str, words: &[&str]) -> (i32, String) {
    let scenario = scenario("smoke.toml");
    let fixed = ["gate", "--base", base, "--head", head, scenario.to_str().unwrap(), "--set", "transports=websocket"];
    run(&[&fixed[..], words].concat())
}

#[test]
fn servers_that_cannot_be_measured_are_an_error_and_no_verdict() {
    let dies = "sh -c 'exit 7' {port}";
    for (base, head, words, code, says) in [
        ("/does/not/exist", PROGRAM, &[][..], 1, "cannot start /does/not/exist"),
        (dies, dies, &[], 1, "the server exited with status 7 before it was ready"),
        ("echo hello", "echo hello", &[], 1, "is not its addresses"),
        (PROGRAM, PROGRAM, &["--budget", "5s"], 2, "too short"),
        (PROGRAM, PROGRAM, &["--budget", "soon"], 2, "is no time"),
        (PROGRAM, PROGRAM, &["--metrics", "beauty"], 2, "there are throughput_per_s"),
        (PROGRAM, PROGRAM, &["--set", "clients=0"], 2, "clients"),
        ("http://192.0.2.1:80", PROGRAM, &[], 2, "loopback"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1", &[], 1, "nobody listens"),
    ] {
        let (found, text) = gate(base, head, words);
        assert!(found == code && text.contains(says), "{base} {words:?}: {found} {text}");
        assert!(!text.contains("regression,"), "a verdict: {text}");
    }
}

/// A server of ours below a shell that kills it after a while and ends with 9; what follows are words of the server's.
fn killed_after(seconds: &str) -> String {
    let script = format!("exec 3<&0; \"$0\" serve \"$@\" <&3 & sleep {seconds}; kill -KILL $!; exit 9");
    format!("sh -c '{script}' {PROGRAM}")
}

#[test]
fn a_server_that_ends_while_it_is_measured_is_an_error_and_no_verdict() {
    let dies = killed_after("2") + " --listen 127.0.0.1:{port} --tcp-listen 127.0.0.1:0";
    let (code, text) = gate(PROGRAM, &dies, &["--set", "phases.window_s=5"]);
    assert!(
        code == 1 && text.contains("head over websocket: the server exited with status 9 during the run"),
        "{text}"
    );
    assert!(!text.contains("regression,"), "a verdict: {text}");
    // A few messages take longer than the server has.
    let dies = killed_after("2") + " --allow-handicap --handicap cpu=500ms";
    let (code, text) = counters(&["--server", &dies]);
    let says = "over tcp, the server exited with status 9 during the run";
    assert!(code == 1 && text.contains(says) && !text.contains("passed"), "{text}");
}
