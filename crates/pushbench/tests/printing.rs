//! Output that cannot be written is an error; a closed pipe is none.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// All commands that print a result without a measurement.
fn commands(scratch: &str) -> Vec<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let (reference, smoke) = (root.join("results/reference"), root.join("scenarios/smoke.toml"));
    let (reference, smoke) = (reference.to_str().unwrap(), smoke.to_str().unwrap());
    let counters = root.join("scenarios/counters.toml");
    let copy = format!("{scratch}/copy");
    assert!(Command::new("cp").args(["-r", reference, &copy]).status().unwrap().success());
    let history = format!("{scratch}/history.csv");
    fs::write(&history, "time,commit,q.sse.delivery_us_p50\nt,c,1\n").unwrap();
    [
        &["show", reference][..],
        &["compare", reference, &copy],
        &["report", reference, "--out", scratch],
        &["history", "show", &history],
        &["schema", "scenario"],
        &["schema", "results"],
        &["run", smoke, "--dry-run"],
        &["counters", counters.to_str().unwrap(), "--set", "transports=tcp"],
        &["scenarios"],
        &["scenarios", "quick"],
        &["show", reference, "--json"],
    ]
    .map(|args| args.iter().map(|word| (*word).to_owned()).collect())
    .into()
}

fn print_to(args: &[String], out: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushbench"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

#[test]
fn a_full_disk_is_an_error_and_a_closed_pipe_is_not() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("printing-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    for args in commands(scratch.to_str().unwrap()) {
        let full = print_to(&args, File::options().write(true).open("/dev/full").unwrap());
        let stderr = String::from_utf8(full.stderr).unwrap();
        let expected = "pushbench: cannot write the result to standard output; send it to a file or program that takes it: \
                        No space left on device (os error 28)\n";
        assert_eq!(full.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.ends_with(expected), "{args:?}: {stderr}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = print_to(&args, writer);
        assert_eq!(
            (closed.status.code(), String::from_utf8(closed.stderr).unwrap().as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
    fs::remove_dir_all(&scratch).unwrap();
}

/// The exit code is 0 although the pipe is closed early.
#[test]
fn a_reader_may_close_the_pipe_after_the_first_bytes() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = ["schema", "results"].map(str::to_owned);
    let printing = std::thread::spawn(move || print_to(&args, writer));
    let mut first = [0; 2];
    reader.read_exact(&mut first).unwrap();
    drop(reader);
    assert_eq!((first, printing.join().unwrap().status.code()), (*b"{\n", Some(0)));
}
