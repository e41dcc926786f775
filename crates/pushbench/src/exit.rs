//! Exit codes, as `--help` lists them.

/// Bad usage, or a bad scenario. The same code clap uses.
pub(crate) const USAGE: u8 = 2;
/// Something got worse, or is not as it was locked.
pub(crate) const REGRESSION: u8 = 3;
/// Something could not be decided, and had to be.
pub(crate) const INCONCLUSIVE: u8 = 4;
/// The machine cannot run the scenario honestly.
pub(crate) const PREFLIGHT: u8 = 5;
/// Every run was invalid.
pub(crate) const ALL_INVALID: u8 = 6;
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Ends the program where it stands. Child processes end with it: they watch their standard input.
#[expect(clippy::exit, reason = "the second Ctrl-C must not wait for anything")]
pub(crate) fn now(code: u8) -> ! {
    std::process::exit(code.into())
}
