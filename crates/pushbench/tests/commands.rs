//! Commands as users type them: every example in the README and in `--help`, shipped scenarios in
//! any folder, and error messages.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pushbench");
const COMMANDS: [&str; 15] = [
    "",
    "agent",
    "run",
    "load",
    "scenarios",
    "report",
    "show",
    "serve",
    "compare",
    "counters",
    "doctor",
    "gate",
    "history",
    "schema",
    "selfcheck",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An empty folder for one test. Dropping this value removes it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("commands-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn run(folder: &Path, args: &[impl AsRef<str>]) -> (Option<i32>, String, String) {
    let mut command = Command::new(PROGRAM);
    command.args(args.iter().map(AsRef::as_ref)).current_dir(folder).env("COLUMNS", "80").env("PUSHBENCH_ANYWAY", "1");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn help(command: &str) -> String {
    let args: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
    run(&root(), &args).1
}

/// The pushbench commands in a text, without shell syntax, comments and `cargo run`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ").replace("$(pgrep -n node)", "1");
    let lines = text.lines().filter_map(|line| {
        let line = line.trim();
        let cargo = line.strip_prefix("cargo run ").and_then(|line| line.split_once("-- ")).map(|(_, args)| args);
        let args = shlex::split(line.strip_prefix("pushbench ").or(cargo)?)?;
        Some(args.into_iter().take_while(|word| !["|", ">", "&"].contains(&word.as_str())).collect())
    });
    lines.collect()
}

fn code_blocks(markdown: &str) -> String {
    markdown.split("```").skip(1).step_by(2).collect()
}

/// The same command with programs and files that exist on this machine.
fn with_local_files(args: &[String]) -> Vec<String> {
    let local = |word: &String| match word.split_once(' ').unwrap_or((word, "")) {
        (program, rest) if program.ends_with("/pushbench") || program == "node" => format!("{PROGRAM} {rest}"),
        ("mine.toml", _) => "quick".to_owned(),
        _ => word.clone(),
    };
    args.iter().map(local).collect()
}

/// Runs commands without a measurement: scenarios, schemas, and dry runs. All others (servers,
/// gates, results folders that do not exist) are only parsed: `--help` at the end keeps the command
/// from running, and clap still reports an unknown argument or a wrong value before it.
fn check(args: &[String]) {
    let mut args = with_local_files(args);
    match args.first().map(String::as_str) {
        Some("scenarios" | "schema") => {}
        Some("run") => args.push("--dry-run".to_owned()),
        _ => args.push("--help".to_owned()),
    }
    if args.iter().any(|word| word == "--dry-run") {
        args.dedup();
        args.retain(|word| word != "--json");
    }
    let (code, out, err) = run(&root(), &args);
    assert!(code == Some(0) && !out.is_empty(), "pushbench {}: {err}", args.join(" "));
}

#[test]
fn every_command_of_the_readme_and_of_the_help_is_understood() {
    let readme = commands(&code_blocks(&fs::read_to_string(root().join("README.md")).unwrap()));
    let helps: Vec<_> = COMMANDS.iter().flat_map(|command| commands(&help(command))).collect();
    assert!(readme.len() >= 5 && helps.len() >= 20, "{} and {} commands", readme.len(), helps.len());
    readme.iter().chain(&helps).for_each(|args| check(args));
}

#[test]
fn examples_of_the_help_do_not_wrap_and_exit_codes_are_listed_once() {
    for command in COMMANDS {
        let help = help(command);
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        assert_eq!(help.contains("Exit codes:"), command.is_empty(), "{help}");
        let examples = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
        // A wrapped line begins in the first column.
        assert!(examples.filter(|line| !line.is_empty()).all(|line| !line.starts_with("--")), "{help}");
    }
}

#[test]
fn shipped_scenarios_work_in_any_folder() {
    let scratch = Scratch::new("anywhere");
    let (code, out, err) = run(&scratch.0, &["scenarios"]);
    assert!(code == Some(0) && err.is_empty() && out.contains("\nclaims/thundering-herd "), "{out}{err}");
    let (_, quick, _) = run(&scratch.0, &["scenarios", "quick"]);
    assert_eq!(quick, fs::read_to_string(root().join("scenarios/quick.toml")).unwrap());
    fs::write(scratch.0.join("mine.toml"), quick).unwrap();
    let shipped = run(&scratch.0, &["run", "quick", "--dry-run"]);
    assert_eq!((shipped.0, &shipped), (Some(0), &run(&scratch.0, &["run", "mine.toml", "--dry-run"])));
    let (code, out, _) = run(&scratch.0, &["counters", "counters", "--set", "transports=tcp"]);
    assert!(code == Some(0) && out.contains("\ntcp "), "{out}");
    let (code, out, err) = run(&scratch.0, &["run", "quik"]);
    assert!(code == Some(2) && out.is_empty() && err.contains("did you mean quick?"), "{err}");
    assert_eq!(run(&scratch.0, &["scenarios", "nope"]).0, Some(2));
}

#[test]
fn an_unknown_command_is_answered_with_the_nearest() {
    let (code, _, err) = run(&root(), &["runn"]);
    assert!(code == Some(2) && err.contains("a similar subcommand exists: 'run'"), "{err}");
}

#[test]
fn a_file_error_names_its_path_and_its_cause_once() {
    let scratch = Scratch::new("errors");
    fs::create_dir_all(scratch.0.join("job/manifest.json")).unwrap();
    for args in [
        &["show", "job"][..],
        &["run", "missing.toml"],
        &["counters", "counters", "--check", "."],
        &["run", "quick", "--out", "/dev/null/x"],
        &["history", "show", "job/manifest.json/history.csv"],
    ] {
        let (code, _, err) = run(&scratch.0, args);
        assert!(code != Some(0) && err.matches("(os error").count() <= 1, "{args:?}: {err}");
        assert!(args[1..].iter().any(|word| err.contains(word)), "{args:?}: {err}");
    }
}
