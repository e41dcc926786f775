//! Exit codes, the same for every command.

/// The list at the end of `pushbench --help`, and nowhere else.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done: every subject has metrics, nothing got worse
  1    failed: wrong messages, a server that crashed or did not start, a file
       that cannot be used, or too many false alarms (selfcheck)
  2    bad usage, scenario, lock file or results folder
  3    a regression (gate, compare), or counts that differ (counters --check)
  4    inconclusive (gate --strict, compare --strict)
  5    not measured: the machine or the server does not fit the scenario
  6    a subject has no metrics, because all its runs were invalid
  130  interrupted; what was measured is written";

/// Bad usage or a bad scenario; clap uses the same code.
pub(crate) const USAGE: u8 = 2;
/// A regression, or counts that differ from the lock file.
pub(crate) const REGRESSION: u8 = 3;
/// Inconclusive, with `--strict`.
pub(crate) const INCONCLUSIVE: u8 = 4;
/// The machine or the server does not fit the scenario.
pub(crate) const PREFLIGHT: u8 = 5;
/// A subject has no metrics, because all its runs were invalid.
pub(crate) const NO_METRICS: u8 = 6;
/// Ctrl-C or SIGTERM.
pub(crate) const INTERRUPTED: u8 = 130;

/// Ends the program at once. Child processes end too: they watch their standard input.
#[expect(clippy::exit, reason = "the second Ctrl-C must not wait for anything")]
pub(crate) fn now(code: u8) -> ! {
    std::process::exit(code.into())
}
