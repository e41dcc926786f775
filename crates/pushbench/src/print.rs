//! All that is said to people: results on standard output, the rest on standard error.

use std::io::Write;

use crate::run::{Finding, Level};

/// A result.
pub(crate) fn out(text: &str) {
    // A reader that has gone (`| head`) is no failure of ours.
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
}

/// An error with everything that led to it.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("{error:#}"));
}

/// A line besides the results.
pub(crate) fn note(text: &str) {
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
