//! All that is said to people: results on standard output, the rest on standard error.

use std::io::{ErrorKind, Write};

use anyhow::Context;

use crate::run::{Finding, Level};

/// A result. One that cannot be written is an error: a full disk must not look like a job well done. A reader that has gone (`| head`)
/// is none: the rest is dropped without a word, and the exit code stays the command's own, so that a regression remains one.
pub(crate) fn out(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the result to standard output; send it to a file or program that takes it")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// An error with everything that led to it.
pub(crate) fn error(error: &anyhow::Error) {
    warn(&format!("{error:#}"));
}

/// A line besides the results.
pub(crate) fn warn(text: &str) {
    writeln!(std::io::stderr().lock(), "pushbench: {text}").ok();
}

/// What a server that we started says on its standard error.
pub(crate) fn pass_on(bytes: &[u8]) {
    std::io::stderr().lock().write_all(bytes).ok();
}

/// A text that others wrote, without anything that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What preflight or doctor found.
pub(crate) fn findings<'a>(findings: impl Iterator<Item = &'a Finding>) {
    for finding in findings {
        let (mark, advice) = match finding.level {
            Level::Good => ("ok      ", String::new()),
            Level::Doubtful => ("doubtful", format!("; {}", finding.advice)),
            Level::Fatal => ("fatal   ", format!("; {}", finding.advice)),
        };
        writeln!(std::io::stderr().lock(), "{mark} {:<11} {}{advice}", finding.what, finding.found).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_speaks_to_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\nµ\u{7}"), "a\u{fffd}[2J\u{fffd}µ\u{fffd}");
    }
}
