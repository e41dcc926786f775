//! Results that cannot be written are an error; a reader that has seen enough is none.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Every command that prints results of its own accord, without measuring first.
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
    .map(|words| words.iter().map(|word| (*word).to_owned()).collect())
    .into()
}

fn print_to(words: &[String], out: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushbench"));
    command
        .args(words)
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
    for words in commands(scratch.to_str().unwrap()) {
        let full = print_to(&words, File::options().write(true).open("/dev/full").unwrap());
        let said = String::from_utf8(full.stderr).unwrap();
        let expected = "pushbench: cannot write the result to standard output; send it to a file or program that takes it: \
                        No space left on device (os error 28)\n";
        assert_eq!(full.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.ends_with(expected), "{words:?}: {said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = print_to(&words, writer);
        assert_eq!((gone.status.code(), String::from_utf8(gone.stderr).unwrap().as_str()), (Some(0), ""), "{words:?}");
    }
    fs::remove_dir_all(&scratch).unwrap();
}

/// The whole of a result, or as much of it as is wanted.
#[test]
fn a_reader_may_close_the_pipe_after_the_first_bytes() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let words = ["schema", "results"].map(str::to_owned);
    let printing = std::thread::spawn(move || print_to(&words, writer));
    let mut first = [0; 2];
    reader.read_exact(&mut first).unwrap();
    drop(reader);
    assert_eq!((first, printing.join().unwrap().status.code()), (*b"{\n", Some(0)));
}
