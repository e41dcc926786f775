//! `windows.csv`: a run in time.

use super::{Column, column, maybe};
use crate::{Cpu, RunRecord, Second};

/// One second of a run.
pub(super) struct Row {
    run: u32,
    label: String,
    transport: &'static str,
    second: Second,
    /// What the server used in it: two readings are needed.
    cpu: Option<Cpu>,
}

pub(super) fn rows(record: &RunRecord) -> impl Iterator<Item = Row> {
    let mut before: Option<&Second> = None;
    record.seconds.iter().map(move |second| {
        let last = before.replace(second).filter(|last| Some(last.second) == second.second.checked_sub(1));
        let readings = last.and_then(|last| last.server).zip(second.server);
        Row {
            run: record.run,
            label: record.label.clone(),
            transport: record.transport.name(),
            second: second.clone(),
            cpu: readings.map(|(start, end)| Cpu {
                user_us: end.cpu.user_us.saturating_sub(start.cpu.user_us),
                system_us: end.cpu.system_us.saturating_sub(start.cpu.system_us),
            }),
        }
    })
}

#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    column("run", "Place in the order of runs, from 1", |r| r.run.into()),
    column("label", "Point of the sweep; empty without one", |r| r.label.as_str().into()),
    column("transport", "Transport", |r| r.transport.into()),
    column("second", "Which second from the start of the warm-up, from 0", |r| r.second.second.into()),
    column("delivered", "Messages that arrived in it", |r| r.second.delivered.into()),
    column("posted", "Posts that left in it", |r| r.second.posted.into()),
    column("requests", "HTTP requests sent in it", |r| r.second.requests.into()),
    column("delivery_us_p50", "Due to seen, median of what arrived in it and was due in the window; as the next two without a test of the sample's size", |r| maybe(r.second.delivery_us_p50)),
    column("delivery_us_p99", "The same, 99 %", |r| maybe(r.second.delivery_us_p99)),
    column("delivery_us_max", "The same, the largest", |r| maybe(r.second.delivery_us_max)),
    column("server_cpu_user_us", "CPU of the server's process in it, user mode", |r| maybe(r.cpu.map(|cpu| cpu.user_us))),
    column("server_cpu_system_us", "The same in the kernel", |r| maybe(r.cpu.map(|cpu| cpu.system_us))),
    column("server_resident_bytes", "Memory of the server's process at its end", |r| maybe(r.second.server.map(|server| server.resident_bytes))),
    column("connections", "Seats connected at its end", |r| r.second.joined.into()),
    column("faults", "Faults in it", |r| r.second.faults.into()),
];
