//! `pushbench counters`, `gate` and `selfcheck` with the real program: their verdicts, their
//! errors, and their output when they are interrupted. Speed is not checked.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pushbench");

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name)
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// The command, which does not wait for other jobs on this machine.
fn program(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env("PUSHBENCH_ANYWAY", "true").env_remove("GITHUB_ACTIONS").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = program(args).output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), text)
}

/// Sends a signal as soon as the program prints `when` on standard error. Returns the exit code and
/// both outputs.
fn interrupted(args: &[&str], when: &str, signal: Signal) -> (i32, String, String) {
    let mut child = program(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let (mut err, mut sent) = (String::new(), false);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    while stderr.read_line(&mut err).unwrap() > 0 {
        if !sent && err.contains(when) {
            kill(pid, signal).unwrap();
            sent = true;
        }
    }
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(sent, "the program did not print {when:?}: {err}");
    (child.wait().unwrap().code().unwrap(), out, err)
}

fn counters(args: &[&str]) -> (i32, String) {
    let scenario = scenario("counters.toml");
    run(&[&["counters", scenario.to_str().unwrap()], args].concat())
}

#[test]
fn counting_twice_gives_the_same_file_and_a_different_number_fails() {
    let (first, second) = (scratch("first.json"), scratch("second.json"));
    for path in [&first, &second] {
        let (code, text) = counters(&["--check", path.to_str().unwrap(), "--bless"]);
        assert_eq!(code, 0, "{text}");
    }
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    let check = ["--check", first.to_str().unwrap()];
    let (code, text) = counters(&check);
    assert!(code == 0 && text.contains("7 passed, 0 failed"), "{text}");
    // The same lock file with 64 bytes less per delivery, of 400.
    let mut lock: serde_json::Value = serde_json::from_slice(&std::fs::read(&first).unwrap()).unwrap();
    for transport in lock["transports"].as_object_mut().unwrap().values_mut() {
        let bytes = &mut transport["exact"]["window.server.down.total"];
        *bytes = (bytes.as_u64().unwrap() - 400 * 64).into();
    }
    std::fs::write(&first, lock.to_string()).unwrap();
    let (code, text) = counters(&check);
    assert!(code == 3 && text.contains("0 passed, 7 failed"), "{text}");
    let bytes = text.lines().find(|line| line.starts_with("websocket window.server.down.total")).unwrap();
    let numbers: Vec<u64> = bytes.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[1] - numbers[0], 400 * 64, "{bytes}");
}

#[test]
fn allocations_that_cannot_be_compared_are_skipped_and_not_passed() {
    let path = scratch("allocations.json");
    let check = ["--set", "transports=tcp,websocket", "--check", path.to_str().unwrap()];
    assert_eq!(counters(&[&check[..], &["--bless"]].concat()).0, 0);
    let lock = std::fs::read_to_string(&path).unwrap();
    let mut lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    for transport in ["tcp", "websocket"] {
        lock["transports"][transport]["near"] = serde_json::json!({"allocations": {"debug 1.0.0": 1.5}});
    }
    std::fs::write(&path, lock.to_string()).unwrap();
    let (code, text) = counters(&check);
    assert_eq!(code, 0, "{text}");
    let why = "2 transports: allocations were not compared: this server does not count them; \
               use one built with --features count-allocations by the lock's compiler (debug 1.0.0)\n";
    assert!(text.contains(why) && text.ends_with("\n2 passed, 0 failed, 2 skipped\n"), "{text}");
}

#[test]
fn an_interrupted_count_compares_nothing() {
    let path = scratch("stopped.json");
    // A server that does not print its addresses.
    let args = [
        "counters",
        scenario("counters.toml").to_str().unwrap(),
        "--server",
        "sh -c 'echo started >&2; exec sleep 60'",
    ]
    .map(str::to_owned);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let bless = ["--check", path.to_str().unwrap(), "--bless"];
    for how in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (code, _, err) = interrupted(&[&args[..], &bless].concat(), "started", how);
        let note = "interrupted after 0 of 7 transports; nothing was compared or locked";
        assert!(code == 130 && err.contains(note) && !path.exists(), "{how}: {code} {err}");
    }
}

#[test]
fn an_unusable_lock_file_is_an_error_and_no_verdict() {
    let (missing, broken, other) = (scratch("missing.json"), scratch("broken.json"), scratch("other.json"));
    std::fs::write(&broken, "{\"schema\":").unwrap();
    let (code, text) = counters(&["--check", missing.to_str().unwrap()]);
    assert!(code == 2 && text.contains("--bless"), "{text}");
    let (code, text) = counters(&["--check", broken.to_str().unwrap()]);
    assert!(code == 2 && text.contains("is not a lock file"), "{text}");
    let fewer = ["--set", "transports=tcp", "--check", other.to_str().unwrap()];
    assert_eq!(counters(&[&fewer[..], &["--bless"]].concat()).0, 0);
    let (code, text) = counters(&[&fewer[..], &["--set", "clients=3"]].concat());
    assert!(code == 2 && text.contains("another scenario or other settings"), "{text}");
    assert_eq!(counters(&["--bless"]).0, 2);
    assert_eq!(counters(&["--set", "posts.per_client_per_s=0"]).0, 2);
    assert_eq!(counters(&["--set", "http_client=reqwest"]).0, 1);
    let (code, text) = run(&["counters", scenario("payload.toml").to_str().unwrap()]);
    assert!(code == 2 && text.contains("has a sweep"), "{text}");
}

#[test]
fn a_slowdown_must_be_allowed_and_valid() {
    for args in [&["serve", "--slowdown", "cpu=5us"][..], &["serve", "--allow-slowdown", "--slowdown", "cpu=5"]] {
        let (code, text) = run(args);
        assert!(code == 2 && text.contains("slowdown"), "{text}");
    }
}

/// A small load in short slices.
const SMALL: [&str; 8] = [
    "quick",
    "--set",
    "transports=websocket",
    "--set",
    "clients=20",
    "--set",
    "rooms=4",
    "--set=posts.per_client_per_s=10",
];

fn gate(base: &str, head: &str, args: &[&str]) -> (i32, String) {
    run(&[&["gate", "--base", base, "--head", head], &SMALL[..], args].concat())
}

#[test]
fn servers_that_cannot_be_measured_are_an_error_and_no_verdict() {
    let crashing = "sh -c 'exit 7' {port}";
    for (base, head, args, code, expected) in [
        ("/does/not/exist", PROGRAM, &[][..], 2, "'--base <CMD|URL>': there is no program /does/not/exist; build it"),
        (PROGRAM, "sh old.sh", &[], 2, "'--head <CMD|URL>': it has no {port}"),
        (PROGRAM, PROGRAM, &["--reports", "/dev/null/gate"], 2, "--reports: give a folder that can be written to: "),
        (crashing, crashing, &[], 1, "the server exited with status 7 before it was ready"),
        (
            "echo serve",
            "echo serve",
            &[],
            1,
            "as a build of pushbench (another server needs {port} in its command line)",
        ),
        (PROGRAM, PROGRAM, &["--budget", "5s"], 2, "too short"),
        (PROGRAM, PROGRAM, &["--budget", "soon"], 2, "takes a time from 1s to 1440m"),
        (PROGRAM, PROGRAM, &["--metrics", "beauty"], 2, "delivered_per_s"),
        (PROGRAM, PROGRAM, &["--threshold", "beauty=1%"], 2, "beauty is no metric of a gate; write cpu, "),
        (PROGRAM, PROGRAM, &["--threshold", "cpu=none"], 2, "takes a percentage from 0.01% to 100%"),
        (PROGRAM, PROGRAM, &["--set", "slices=1"], 2, "has one slice a round"),
        (PROGRAM, PROGRAM, &["--set", "clients=0"], 2, "clients"),
        ("http://192.0.2.1:80", PROGRAM, &[], 2, "loopback"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1", &[], 1, "no server is listening"),
    ] {
        let (found, text) = gate(base, head, args);
        assert!(found == code && text.contains(expected), "{base} {args:?}: {found} {text}");
        assert!(!text.contains("regression,"), "it has a verdict: {text}");
        assert!(code != 2 || !text.contains("round 1"), "the error is found before the first round: {text}");
    }
}

#[test]
fn a_gate_needs_only_the_target_that_is_named() {
    let target = |name: &str, more: &str| {
        let keys = format!("command = 'node {{port}}'\ntransports = ['sse']\n{more}");
        format!("[[target]]\nname = '{name}'\n{keys}\n[target.protocol]\npost.request.path = '/{{room}}/{{text}}'\n")
    };
    let quick = std::fs::read_to_string(scenario("quick.toml")).unwrap();
    let file = scratch("targets").with_extension("toml");
    std::fs::write(&file, quick + &target("here", "") + &target("absent", "needs = 'nothing'")).unwrap();
    let ends = "sh -c 'exit 7' {port}";
    let gate = |name| run(&["gate", file.to_str().unwrap(), "--target", name, "--base", ends, "--head", ends]).1;
    assert!(gate("here").contains("the server exited with status 7"), "{}", gate("here"));
    assert!(gate("absent").contains("nothing does not exist"), "{}", gate("absent"));
}

#[test]
fn an_interrupted_gate_keeps_its_rounds_and_is_partial() {
    let fixed = [&["gate", "--base", PROGRAM, "--head", PROGRAM], &SMALL[..]].concat();
    // The first round under load has its blocks when the next round begins.
    for (when, how, rounds) in [("round 1 of 6 under load", Signal::SIGTERM, 0), ("in lock-step …", Signal::SIGINT, 1)]
    {
        let reports = scratch(&format!("stopped-{rounds}"));
        let args = [&fixed[..], &["--budget", "40s", "--reports", reports.to_str().unwrap()]].concat();
        let (code, out, err) = interrupted(&args, when, how);
        assert_eq!(code, 130, "{out}{err}");
        let note = format!("note: partial: interrupted after {rounds} of 6 rounds");
        assert!(out.contains(&note) && !out.contains("regression  "), "{out}");
        let file = |name: &str| std::fs::read_to_string(reports.join(name)).unwrap();
        assert!(file("summary.md").contains("partial: interrupted"), "{}", file("summary.md"));
        assert!(file("junit.xml").contains("<skipped") && !file("junit.xml").contains("<failure"));
        let whole: serde_json::Value = serde_json::from_str(&file("comparison.json")).unwrap();
        let rows = whole["rows"].as_array().unwrap();
        assert_eq!((rows.is_empty(), whole["rounds"].as_u64()), (rounds == 0, Some(rounds)));
        assert!(rows.iter().all(|row| row["verdict"].is_null() || row["verdict"] == "inconclusive"), "{whole}");
        assert_eq!(run(&["show", reports.to_str().unwrap()]), (0, out));
    }
}

#[test]
fn an_interrupted_selfcheck_prints_its_progress() {
    let args = [&["selfcheck", "--aa", "2"], &SMALL[..]].concat();
    let (code, out, err) = interrupted(&args, "round 1 of ", Signal::SIGHUP);
    let note = "interrupted after 0 of 2 gates; the one in progress is not counted";
    assert!(code == 130 && out.is_empty() && err.contains(note), "{code} {out} {err}");
}

/// The command line of a shell that starts the built-in server, kills it after a while and exits
/// with status 9. Further arguments are those of the server.
fn killed_after(seconds: &str) -> String {
    let script = format!("exec 3<&0; \"$0\" serve \"$@\" <&3 & sleep {seconds}; kill -KILL $!; exit 9");
    format!("sh -c '{script}' {PROGRAM}")
}

#[test]
fn a_server_that_ends_while_it_is_measured_is_an_error_and_no_verdict() {
    let crashing = killed_after("2") + " --listen 127.0.0.1:{port} --tcp-listen 127.0.0.1:0";
    let (code, text) = gate(PROGRAM, &crashing, &["--budget", "1m"]);
    assert!(code == 1 && text.contains("head (websocket): the server exited with status 9 during the run"), "{text}");
    assert!(!text.contains("regression,"), "it has a verdict: {text}");
    // The server is killed before it has delivered a few messages.
    let crashing = killed_after("2") + " --allow-slowdown --slowdown cpu=500ms";
    let (code, text) = counters(&["--server", &crashing]);
    let expected = "tcp: the server exited with status 9 during the run";
    assert!(code == 1 && text.contains(expected) && !text.contains("passed"), "{text}");
}
