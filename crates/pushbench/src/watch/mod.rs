//! `--watch`: a page that shows a job while it runs.
//!
//! It must not disturb what it shows. Its server has a thread and a runtime of its own, which run
//! only while the job gives them a turn: between slices, about once a second, whether or not a
//! browser is there. A request in between waits for the next turn.

mod event;
mod event_log;
mod page_server;
mod watched_job;

use std::time::{Duration, Instant};

use anyhow::Context;
use results::RunRecord;

use self::event_log::EventLog;
use self::page_server::PageServer;
use self::watched_job::WatchedJob;
use crate::run::{BlockSlice, RoundSubject};

/// Time between two events.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two turns while nothing is measured.
const TURN_INTERVAL: Duration = Duration::from_millis(200);
/// The ratios are computed again when this many times the time for them has passed.
const COMPUTING_PAUSES: u32 = 30;
/// How long browsers may take to fetch the report.
const REPORT_MAX: Duration = Duration::from_secs(5);

/// A job that a page shows.
pub(crate) struct Watch {
    server: PageServer,
    job: WatchedJob,
    started: Instant,
    last_turn: Instant,
    /// When the next event is due.
    due: Instant,
}

impl Watch {
    /// Starts the server on a loopback address; port 0 is any free one.
    pub(crate) fn start(port: u16, title: &str, question: &str, subjects: &[RoundSubject]) -> anyhow::Result<Self> {
        let job = WatchedJob::new(subjects);
        let first = event::job(title, question, &job);
        let server = PageServer::start(port, EventLog::new(first)).with_context(|| {
            format!("--watch cannot listen on port {port} of 127.0.0.1; leave the port out, or give another")
        })?;
        let now = Instant::now();
        Ok(Self { server, job, started: now, last_turn: now, due: now })
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    /// Nothing is measured at the moment.
    pub(crate) fn idle(&mut self) {
        if self.last_turn.elapsed() >= TURN_INTERVAL {
            self.turn();
        }
    }

    /// A block is over.
    pub(crate) fn block(&mut self, doing: &str, left: Duration, slices: &[BlockSlice<'_>]) {
        self.job.block(slices);
        if Instant::now() >= self.due {
            self.show(doing, left);
        }
    }

    /// A run with one long window is over.
    pub(crate) fn one_slice(&mut self, record: &RunRecord, doing: &str, left: Duration) {
        let (subject, scheduled) = (watched_job::name_of(record), record.planned.deliveries_in_window);
        let slice = |slice| BlockSlice { subject: &subject, mode: record.mode, round: record.round, slice, scheduled };
        self.job.block(&record.slices.iter().map(slice).collect::<Vec<_>>());
        self.show(doing, left);
    }

    /// A run is over. Its slices count if its verdict says so.
    pub(crate) fn run(&mut self, record: &RunRecord) {
        self.job.run(record);
    }

    /// Shows how things are now.
    pub(crate) fn show(&mut self, doing: &str, left: Duration) {
        let begun = Instant::now();
        let event = event::now(&self.job, self.started.elapsed(), left, doing);
        self.server.publish(event);
        self.due = begun + EVENT_INTERVAL.max(begun.elapsed() * COMPUTING_PAUSES);
        self.turn();
    }

    /// The job has ended: open pages are sent to the report.
    pub(crate) fn end(mut self, report: String) {
        let watchers = self.server.end(report);
        let begun = Instant::now();
        while self.server.reports() < watchers && begun.elapsed() < REPORT_MAX {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.server.turn();
        self.last_turn = Instant::now();
    }
}
