//! Tells the program what it was built from: the commit, the compiler, and the versions of what carries the bytes. Needs no git.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What carries the bytes at either end, and what counts them.
const CARRIERS: [&str; 11] = [
    "axum",
    "engineioxide",
    "hdrhistogram",
    "httparse",
    "hyper",
    "hyper-util",
    "reqwest",
    "socketioxide",
    "tokio",
    "tokio-tungstenite",
    "tungstenite",
];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    watch(&root.join("Cargo.lock"));
    watch(&root.join("crates"));
    if let Some(commit) = commit(&root) {
        println!("cargo::rustc-env=PUSHBENCH_COMMIT={commit}");
    }
    println!("cargo::rustc-env=PUSHBENCH_PROFILE={}", env::var("PROFILE").unwrap_or_default());
    println!("cargo::rustc-env=PUSHBENCH_RUSTC={}", rustc().unwrap_or_else(|| "unknown".to_owned()));
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    println!("cargo::rustc-env=PUSHBENCH_DEPENDENCIES={}", carriers(&lock).join(" "));
}

/// A file that is not there would have the program built again each time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// The commit, with `+` when files that are built were changed. A repository around a copy of ours says nothing about it.
fn commit(root: &Path) -> Option<String> {
    let git = |words: &[&str]| said(Command::new("git").current_dir(root).env("GIT_OPTIONAL_LOCKS", "0").args(words));
    if PathBuf::from(git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    // Every commit and checkout adds a line to the log of HEAD.
    for file in ["HEAD", "logs/HEAD"] {
        watch(&root.join(git(&["rev-parse", "--git-path", file])?));
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock"])?;
    Some(if changed.is_empty() { commit } else { commit + "+" })
}

/// `1.90.0`, from `rustc 1.90.0 (…)`.
fn rustc() -> Option<String> {
    let version = said(Command::new(env::var_os("RUSTC")?).arg("--version"))?;
    version.split_whitespace().nth(1).map(str::to_owned)
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// `name=version` of every carrier in the lock file, where a version stands on the line below the name.
fn carriers(lock: &str) -> Vec<String> {
    let quoted =
        |line: &str, key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned);
    let pairs = lock.lines().zip(lock.lines().skip(1));
    let versions = pairs.filter_map(|(name, version)| Some((quoted(name, "name")?, quoted(version, "version")?)));
    versions
        .filter(|(name, _)| CARRIERS.contains(&name.as_str()))
        .map(|(name, version)| format!("{name}={version}"))
        .collect()
}
