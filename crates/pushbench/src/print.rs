//! Everything that is printed: results on standard output, all else on standard error.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use report::wrapped;

use crate::run::{Finding, Level};

/// Prints a result. A failed write is an error: a full disk must not look like success. A reader
/// that has closed the pipe (`| head`) is not an error: the rest is dropped, and the exit code
/// stays the command's own.
pub(crate) fn out(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the result to standard output; send it to a file or program that takes it")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints an error with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    warn(&format!("{error:#}"));
}

/// Prints a line on standard error.
pub(crate) fn warn(text: &str) {
    line(&format!("pushbench: {text}"));
}

/// Wraps lines for people; a log keeps them whole.
fn line(text: &str) {
    let mut err = std::io::stderr().lock();
    let text = if err.is_terminal() { wrapped(text, 2) } else { text.to_owned() };
    writeln!(err, "{text}").ok();
}

/// Passes on what a server writes to its standard error.
pub(crate) fn pass_on(bytes: &[u8]) {
    std::io::stderr().lock().write_all(bytes).ok();
}

/// A text from elsewhere, with its control characters replaced: none of them reaches the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Prints what preflight or doctor found.
pub(crate) fn findings<'a>(findings: impl Iterator<Item = &'a Finding>) {
    for finding in findings {
        let (mark, advice) = match finding.level {
            Level::Good => ("ok      ", String::new()),
            Level::Doubtful => ("doubtful", format!("; {}", finding.advice)),
            Level::Fatal => ("fatal   ", format!("; {}", finding.advice)),
        };
        line(&format!("{mark} {:<11} {}{advice}", finding.what, finding.found));
    }
}

/// A duration as people write it: `42 s`, `1 min 12 s`, `28 min`, `2 h 5 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 if seconds.is_multiple_of(60) => format!("{minutes} min"),
        60..600 => format!("{} min {} s", seconds / 60, seconds % 60),
        600..3_570 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\nµ\u{7}"), "a\u{fffd}[2J\u{fffd}µ\u{fffd}");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let texts = [0, 42, 60, 72, 599, 600, 1_692, 3_569, 3_570, 7_500].map(|s| duration(Duration::from_secs(s)));
        let expected = [
            "0 s",
            "42 s",
            "1 min",
            "1 min 12 s",
            "9 min 59 s",
            "10 min",
            "28 min",
            "59 min",
            "1 h 0 min",
            "2 h 5 min",
        ];
        assert_eq!(texts, expected);
    }
}
