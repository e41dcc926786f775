//! Exit codes, each with what it means for every command that has it.

/// As `--help` lists them. 0 and 1 are those of every program.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done, and everything that was asked for has figures
  1    failed: messages were wrong, a server ended or did not start, or a file cannot be used
  2    bad usage, or a bad scenario
  3    something got worse (gate), or is not as it was locked (counters)
  4    something could not be decided (gate --strict)
  5    not measured: the machine or the target is not as the scenario needs it
  6    a subject that was asked for has no figures, because all its runs were invalid
  130  interrupted; what was measured is written";

/// Bad usage, or a bad scenario. The same code clap uses.
pub(crate) const USAGE: u8 = 2;
/// Something got worse, or is not as it was locked.
pub(crate) const REGRESSION: u8 = 3;
/// Something could not be decided, and had to be.
pub(crate) const INCONCLUSIVE: u8 = 4;
/// The machine or the target is not as the scenario needs it.
pub(crate) const PREFLIGHT: u8 = 5;
/// A subject that was asked for has no figures, because all its runs were invalid.
pub(crate) const NO_METRICS: u8 = 6;
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Ends the program where it stands. Child processes end with it: they watch their standard input.
#[expect(clippy::exit, reason = "the second Ctrl-C must not wait for anything")]
pub(crate) fn now(code: u8) -> ! {
    std::process::exit(code.into())
}
