//! Progress of a job: one line that is redrawn on a terminal, a line per round or run elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use loadgen::Progress;
use report::{COLUMNS, wrapped};

use crate::print;

/// Time between two redraws on a terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct ProgressLine {
    terminal: bool,
    /// When the job is expected to end.
    end: Instant,
    title: String,
    drawn: Option<Instant>,
    last: (Instant, u64),
}

impl ProgressLine {
    /// `estimate` is the duration of the whole job.
    pub(crate) fn new(estimate: Duration) -> Self {
        let now = Instant::now();
        Self {
            terminal: std::io::stderr().is_terminal(),
            end: now + estimate,
            title: String::new(),
            drawn: None,
            last: (now, 0),
        }
    }

    /// Begins a round or a run.
    pub(crate) fn begin(&mut self, title: &str) {
        title.clone_into(&mut self.title);
        self.last = (Instant::now(), 0);
        self.drawn = None;
        if !self.terminal {
            write(&format!("{title} …\n"));
        }
    }

    /// The round or run that goes on.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Time until the job is expected to end.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Redraws the line with what goes on, and as many of `more` as fit.
    pub(crate) fn show(&mut self, doing: &str, more: &[String]) {
        let now = Instant::now();
        if !self.terminal || self.drawn.is_some_and(|drawn| now - drawn < REDRAW_INTERVAL) {
            return;
        }
        self.drawn = Some(now);
        let left = print::duration(self.left());
        write(&format!("\r\x1b[2K{}", one_line(format!("{}: {doing}, {left} left", self.title), more)));
    }

    /// Redraws the line with the counts of a load generator.
    pub(crate) fn show_load(&mut self, doing: &str, progress: Progress) {
        let elapsed = self.last.0.elapsed().as_secs_f64();
        let rate = progress.delivered.saturating_sub(self.last.1) as f64 / elapsed.max(1e-3);
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW_INTERVAL) {
            self.last = (Instant::now(), progress.delivered);
        }
        let connected = format!(", {} connected", progress.joined);
        let rate = format!(", {rate:.0} msg/s");
        let faults = if progress.faults > 0 { format!(", {} faults", progress.faults) } else { String::new() };
        let p99 = progress.delivery_us_p99.map_or(String::new(), |us| format!(", p99 {:.2} ms", us as f64 / 1e3));
        self.show(doing, &[connected, rate, faults, p99]);
    }

    /// Prints how the round or run ended, on a line that stays.
    pub(crate) fn end(&mut self, outcome: &str) {
        let line = format!("{}: {outcome}", self.title);
        write(&if self.terminal { format!("\r\x1b[2K{}\n", wrapped(&line, 2)) } else { format!("{line}\n") });
    }
}

/// `line` with as many of `more` as fit a terminal: a line that wraps could not be redrawn.
fn one_line(line: String, more: &[String]) -> String {
    let fits = |text: &str| text.chars().count() < COLUMNS;
    let line = more.iter().fold(line, |line, more| if fits(&format!("{line}{more}")) { line + more } else { line });
    line.chars().take(COLUMNS - 1).collect()
}

fn write(text: &str) {
    let mut err = std::io::stderr().lock();
    // Progress that cannot be printed does not stop the measurement.
    err.write_all(text.as_bytes()).and_then(|()| err.flush()).ok();
}
