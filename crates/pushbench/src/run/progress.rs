//! Progress of a job: one line that is redrawn on a terminal, two lines per run elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use loadgen::{Phase, Progress};
use report::{COLUMNS, wrapped};

use crate::print;

/// Time between two redraws on a terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct ProgressLine {
    terminal: bool,
    begun: Instant,
    /// Runs of the plan that have begun, and all of them; reruns are in neither.
    run: u64,
    runs: u64,
    estimate: Duration,
    title: String,
    stage: Option<Phase>,
    drawn: Option<Instant>,
    last: (Instant, u64),
    rate: f64,
}

impl ProgressLine {
    /// `estimate` is the duration of all `runs` together.
    pub(crate) fn new(runs: u64, estimate: Duration) -> Self {
        let now = Instant::now();
        Self {
            terminal: std::io::stderr().is_terminal(),
            begun: now,
            run: 0,
            runs,
            estimate,
            title: String::new(),
            stage: None,
            drawn: None,
            last: (now, 0),
            rate: 0.0,
        }
    }

    /// Begins a run, or with `rerun` above 0 another attempt at the last one.
    pub(crate) fn begin(&mut self, rerun: u32, title: &str) {
        self.run += u64::from(rerun == 0);
        let rerun = if rerun == 0 { String::new() } else { format!(", rerun {rerun}") };
        self.title = format!("[{}/{}{rerun}] {title}", self.run, self.runs);
        self.stage = None;
        self.last = (Instant::now(), 0);
        self.rate = 0.0;
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.terminal && self.drawn.is_some_and(|drawn| now - drawn < REDRAW_INTERVAL) {
            return;
        }
        let elapsed = (now - self.last.0).as_secs_f64();
        if elapsed > 0.0 {
            self.rate = progress.delivered.saturating_sub(self.last.1) as f64 / elapsed;
        }
        if self.terminal {
            self.last = (now, progress.delivered);
            self.drawn = Some(now);
            let left = print::duration(self.estimate.saturating_sub(self.begun.elapsed()));
            let p99 = progress.delivery_us_p99.map_or(String::new(), |us| format!(", p99 {:.2} ms", us as f64 / 1e3));
            let faults = if progress.faults > 0 { format!(", {} faults", progress.faults) } else { String::new() };
            let line = format!(
                "{} {}, {left} left: {} connected, {:.0} msg/s",
                self.title,
                progress.phase.name(),
                progress.joined,
                self.rate
            );
            write(&format!("\r\x1b[2K{}", one_line(line, &[faults, p99])));
        } else if self.stage != Some(progress.phase) && progress.phase == Phase::RampUp {
            write(&format!("{} …\n", self.title));
        }
        self.stage = Some(progress.phase);
    }

    /// Prints how the run ended, on a line that stays.
    pub(crate) fn end(&mut self, outcome: &str) {
        let line = format!("{} {outcome}", self.title);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reruns_do_not_count_as_runs_of_the_plan() {
        let mut line = ProgressLine::new(2, Duration::ZERO);
        let titles = [0, 1, 2, 0].map(|rerun| {
            line.begin(rerun, "sse");
            line.title.clone()
        });
        assert_eq!(titles, ["[1/2] sse", "[1/2, rerun 1] sse", "[1/2, rerun 2] sse", "[2/2] sse"]);
    }
}
