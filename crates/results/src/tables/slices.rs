//! `slices.csv`: one row for each measured window of a run.

use super::{Column, maybe};
use crate::{Direction, Mode, RunRecord, Slice};

type SliceColumn = Column<Row>;

/// One measured window.
pub(super) struct Row {
    run: u32,
    round: u32,
    mode: Mode,
    point: String,
    transport: &'static str,
    target: String,
    slice: Slice,
}

pub(super) fn rows(record: &RunRecord) -> impl Iterator<Item = Row> {
    record.slices.iter().map(|slice| Row {
        run: record.run,
        round: record.round,
        mode: record.mode,
        point: record.point.clone(),
        transport: record.transport.name(),
        target: record.target.clone(),
        slice: slice.clone(),
    })
}

#[rustfmt::skip]
pub(super) fn columns() -> Vec<SliceColumn> {
    vec![
        SliceColumn::new("run", "Number of the run in the job, from 1", |r| r.run.into()),
        SliceColumn::new("mode", "`load` or `lock-step`", |r| r.mode.name().into()),
        SliceColumn::new("round", "Round among those of the same mode, from 1", |r| r.round.into()),
        SliceColumn::new("block", "Block in the round, from 1", |r| r.slice.block.into()),
        SliceColumn::new("position", "Position in the block, from 1", |r| r.slice.position.into()),
        SliceColumn::new("point", "Point of the sweep; empty without a sweep", |r| r.point.as_str().into()),
        SliceColumn::new("transport", "Transport", |r| r.transport.into()),
        SliceColumn::new("target", "Server under test; `pushbench` is the built-in server", |r| r.target.as_str().into()),
        SliceColumn::new("kept", "1 for a slice that counts, 0 for one that was dropped", |r| u8::from(r.slice.dropped.is_none()).into()),
        SliceColumn::new("dropped", "Why it was dropped", |r| maybe(r.slice.dropped.as_deref())),
        SliceColumn::new("window_us", "Length of the window", |r| r.slice.window_us.into()),
        SliceColumn::new("posted", "Posts sent in the window", |r| r.slice.traffic.posted.into()),
        SliceColumn::new("delivered", "Messages received in the window", |r| r.slice.traffic.delivered.into()),
        SliceColumn::new("requests", "HTTP requests sent in the window", |r| r.slice.traffic.requests.into()),
        SliceColumn::new("bytes_up", "Bytes to the server, everything above TCP included", |r| r.slice.traffic.total(Direction::Up).into()),
        SliceColumn::new("bytes_down", "Bytes to the clients, everything above TCP included", |r| r.slice.traffic.total(Direction::Down).into()),
        SliceColumn::new("server_cpu_us", "CPU time of the server's processes in the window", |r| maybe(r.slice.server_cpu_ns.map(|ns| ns as f64 / 1e3))),
        SliceColumn::new("generator_cpu_us", "CPU time of the load generator's workers in the window", |r| r.slice.generator_cpu.total_us().into()),
        SliceColumn::new("delivery_p50_ms", "Median delivery latency of the posts scheduled in the window", |r| maybe(r.slice.delivery_p50_us.map(|us| us as f64 / 1e3))),
        SliceColumn::new("drain_ms", "Time from the end of the window until everything scheduled had arrived", |r| (r.slice.drain_us as f64 / 1e3).into()),
        SliceColumn::new("drained", "1 if everything scheduled arrived before the next slice", |r| u8::from(r.slice.drained).into()),
    ]
}
