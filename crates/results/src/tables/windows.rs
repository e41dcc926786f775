//! `windows.csv`: a run in time.

use super::{Column, maybe};
use crate::{Cpu, RunRecord, Second};

type SecondColumn = Column<Row>;

/// One second of a run.
pub(super) struct Row {
    run: u32,
    label: String,
    transport: &'static str,
    target: String,
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
            label: record.point.clone(),
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

#[rustfmt::skip]
pub(super) fn columns() -> Vec<SecondColumn> {
    vec![
        SecondColumn::new("run", "Place in the order of runs, from 1", |r| r.run.into()),
        SecondColumn::new("label", "Point of the sweep; empty without one", |r| r.label.as_str().into()),
        SecondColumn::new("transport", "Transport", |r| r.transport.into()),
        SecondColumn::new("target", "Whose server: `pushbench` is ours", |r| r.target.as_str().into()),
        SecondColumn::new("second", "Which second from the start of the warm-up, from 0", |r| r.second.second.into()),
        SecondColumn::new("delivered", "Messages that arrived in it", |r| r.second.delivered.into()),
        SecondColumn::new("posted", "Posts that left in it", |r| r.second.posted.into()),
        SecondColumn::new("requests", "HTTP requests sent in it", |r| r.second.requests.into()),
        SecondColumn::new("delivery_us_p50", "Due to seen, median of what arrived in it and was due in the window; as the next two without a test of the sample's size", |r| maybe(r.second.delivery_us_p50)),
        SecondColumn::new("delivery_us_p99", "The same, 99 %", |r| maybe(r.second.delivery_us_p99)),
        SecondColumn::new("delivery_us_max", "The same, the largest", |r| maybe(r.second.delivery_us_max)),
        SecondColumn::new("server_cpu_user_us", "CPU of the server's process in it, user mode", |r| maybe(r.cpu.map(|cpu| cpu.user_us))),
        SecondColumn::new("server_cpu_system_us", "The same in the kernel", |r| maybe(r.cpu.map(|cpu| cpu.system_us))),
        SecondColumn::new("server_resident_bytes", "Memory of the server's process at its end", |r| maybe(r.second.server.map(|server| server.resident_bytes))),
        SecondColumn::new("connections", "Seats connected at its end", |r| r.second.joined.into()),
        SecondColumn::new("faults", "Faults in it", |r| r.second.faults.into()),
    ]
}
