//! What is shown while a job runs: a line that changes on a terminal, a line a stage elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use loadgen::{Phase, Progress};

/// A terminal's line is drawn this often.
const DRAW_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Shown {
    terminal: bool,
    begun: Instant,
    runs: u64,
    estimate: Duration,
    title: String,
    stage: Option<Phase>,
    drawn: Option<Instant>,
    last: (Instant, u64),
    rate: f64,
}

impl Shown {
    pub(crate) fn new(runs: u64, estimate: Duration) -> Self {
        let now = Instant::now();
        Self {
            terminal: std::io::stderr().is_terminal(),
            begun: now,
            runs,
            estimate,
            title: String::new(),
            stage: None,
            drawn: None,
            last: (now, 0),
            rate: 0.0,
        }
    }

    pub(crate) fn begin(&mut self, run: u32, title: &str) {
        self.title = format!("[{run}/{}] {title}", self.runs);
        self.stage = None;
        self.last = (Instant::now(), 0);
        self.rate = 0.0;
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.terminal && self.drawn.is_some_and(|drawn| now - drawn < DRAW_EVERY) {
            return;
        }
        let elapsed = (now - self.last.0).as_secs_f64();
        if elapsed > 0.0 {
            self.rate = progress.delivered.saturating_sub(self.last.1) as f64 / elapsed;
        }
        if self.terminal {
            self.last = (now, progress.delivered);
            self.drawn = Some(now);
            let left = self.estimate.saturating_sub(self.begun.elapsed()).as_secs();
            let p99 = progress.delivery_us_p99.map_or(String::new(), |us| format!(", p99 {:.2} ms", us as f64 / 1e3));
            let faults = if progress.faults > 0 { format!(", {} faults", progress.faults) } else { String::new() };
            write_line(&format!(
                "\r\x1b[2K{} {}: {} connected, {:.0} msg/s{p99}{faults} · about {left} s left",
                self.title,
                progress.phase.name(),
                progress.joined,
                self.rate
            ));
        } else if self.stage != Some(progress.phase) && progress.phase == Phase::RampUp {
            write_line(&format!("{} …\n", self.title));
        }
        self.stage = Some(progress.phase);
    }

    /// Says how a run ended, on a line that stays.
    pub(crate) fn end(&mut self, outcome: &str) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        write_line(&format!("{clear}{} {outcome}\n", self.title));
    }
}

fn write_line(text: &str) {
    let mut err = std::io::stderr().lock();
    // Progress that cannot be shown is no reason to stop measuring.
    err.write_all(text.as_bytes()).and_then(|()| err.flush()).ok();
}
