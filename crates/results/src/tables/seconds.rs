//! `seconds.csv`: one row for each second of a run.

use super::{Column, maybe};
use crate::{Cpu, RunRecord, Second};

type SecondColumn = Column<Row>;

/// One second of a run.
pub(super) struct Row {
    run: u32,
    point: String,
    transport: &'static str,
    target: String,
    second: Second,
    /// CPU time of the server in the second, where it was sampled at both ends.
    cpu: Option<Cpu>,
}

pub(super) fn rows(record: &RunRecord) -> impl Iterator<Item = Row> {
    let mut before: Option<&Second> = None;
    record.seconds.iter().map(move |second| {
        let last = before.replace(second).filter(|last| Some(last.second) == second.second.checked_sub(1));
        let readings = last.and_then(|last| last.server).zip(second.server);
        Row {
            run: record.run,
            point: record.point.clone(),
            transport: record.transport.name(),
            target: record.target.clone(),
            second: second.clone(),
            cpu: readings.map(|(start, end)| Cpu {
                user_us: end.cpu.user_us.saturating_sub(start.cpu.user_us),
                system_us: end.cpu.system_us.saturating_sub(start.cpu.system_us),
            }),
        }
    })
}

fn ms(us: Option<u64>) -> Option<f64> {
    us.map(|us| us as f64 / 1e3)
}

#[rustfmt::skip]
pub(super) fn columns() -> Vec<SecondColumn> {
    vec![
        SecondColumn::new("run", "Number of the run in the job, from 1", |r| r.run.into()),
        SecondColumn::new("point", "Point of the sweep; empty without a sweep", |r| r.point.as_str().into()),
        SecondColumn::new("transport", "Transport", |r| r.transport.into()),
        SecondColumn::new("target", "Server under test; `pushbench` is the built-in server", |r| r.target.as_str().into()),
        SecondColumn::new("second", "Second since the start of the warm-up, from 0", |r| r.second.second.into()),
        SecondColumn::new("delivered", "Messages received in the second", |r| r.second.delivered.into()),
        SecondColumn::new("posted", "Posts sent in the second", |r| r.second.posted.into()),
        SecondColumn::new("requests", "HTTP requests sent in the second", |r| r.second.requests.into()),
        SecondColumn::new("delivery_p50_ms", "Median delivery latency of the messages received in the second and scheduled in the window; given for samples of any size", |r| maybe(ms(r.second.delivery_p50_us))),
        SecondColumn::new("delivery_p99_ms", "Delivery latency of these messages, 99th percentile", |r| maybe(ms(r.second.delivery_p99_us))),
        SecondColumn::new("delivery_max_ms", "Longest delivery latency of these messages", |r| maybe(ms(r.second.delivery_max_us))),
        SecondColumn::new("server_cpu_user_us", "CPU time of the server's process in the second, user mode", |r| maybe(r.cpu.map(|cpu| cpu.user_us))),
        SecondColumn::new("server_cpu_system_us", "CPU time of the server's process in the second, kernel mode", |r| maybe(r.cpu.map(|cpu| cpu.system_us))),
        SecondColumn::new("server_resident_bytes", "Resident memory of the server's process, without the pages of files, at the end of the second", |r| maybe(r.second.server.map(|server| server.resident_bytes))),
        SecondColumn::new("connected", "Clients connected at the end of the second", |r| r.second.connected.into()),
        SecondColumn::new("faults", "Connection and protocol errors in the second", |r| r.second.faults.into()),
    ]
}
