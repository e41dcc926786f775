//! `slices.csv`: one row for each measured window of a run.

use super::{Column, maybe};
use crate::{Direction, RunRecord, ServerWindowSamples, Slice};

type SliceColumn = Column<Row>;

/// One measured window.
pub(super) struct Row {
    run: u32,
    round: u32,
    point: String,
    transport: &'static str,
    target: String,
    slice: Slice,
}

pub(super) fn rows(record: &RunRecord) -> impl Iterator<Item = Row> {
    record.slices.iter().map(|slice| Row {
        run: record.run,
        round: record.round,
        point: record.point.clone(),
        transport: record.transport.name(),
        target: record.target.clone(),
        slice: slice.clone(),
    })
}

fn server_cpu_us(samples: &ServerWindowSamples) -> u64 {
    let total = |stats: &wire::ServerStats| stats.process.cpu_user_us + stats.process.cpu_system_us;
    total(&samples.end).saturating_sub(total(&samples.start))
}

#[rustfmt::skip]
pub(super) fn columns() -> Vec<SliceColumn> {
    vec![
        SliceColumn::new("run", "Number of the run in the job, from 1", |r| r.run.into()),
        SliceColumn::new("round", "Number of the repetition, from 1", |r| r.round.into()),
        SliceColumn::new("block", "Number of the block, from 1", |r| r.slice.block.into()),
        SliceColumn::new("position", "Position in the block, from 1", |r| r.slice.position.into()),
        SliceColumn::new("point", "Point of the sweep; empty without a sweep", |r| r.point.as_str().into()),
        SliceColumn::new("transport", "Transport", |r| r.transport.into()),
        SliceColumn::new("target", "Server under test; `pushbench` is the built-in server", |r| r.target.as_str().into()),
        SliceColumn::new("window_us", "Length of the window", |r| r.slice.window_us.into()),
        SliceColumn::new("posted", "Posts sent in the window", |r| r.slice.traffic.posted.into()),
        SliceColumn::new("delivered", "Messages received in the window", |r| r.slice.traffic.delivered.into()),
        SliceColumn::new("requests", "HTTP requests sent in the window", |r| r.slice.traffic.requests.into()),
        SliceColumn::new("bytes_up", "Bytes to the server, everything above TCP included", |r| r.slice.traffic.total(Direction::Up).into()),
        SliceColumn::new("bytes_down", "Bytes to the clients, everything above TCP included", |r| r.slice.traffic.total(Direction::Down).into()),
        SliceColumn::new("server_cpu_us", "CPU time of the server's process in the window", |r| maybe(r.slice.server.as_ref().map(server_cpu_us))),
        SliceColumn::new("generator_cpu_us", "CPU time of the load generator's workers in the window", |r| r.slice.generator_cpu.total_us().into()),
    ]
}
