//! The record of a run, from what its generator and the readings of its server say.

use std::time::Duration;

use results::{
    GeneratorUsage, MachineState, Mode, PlannedLoad, RunRecord, RunVerdict, SCHEMA, TcpUsage, VerdictKind, judge,
};
use scenario::SliceLoad;

use super::live_subject::EndedSubject;

/// The record of an ended run.
pub(crate) fn record(run: u32, round: u32, ended: EndedSubject, machine: MachineState) -> RunRecord {
    let EndedSubject { subject, plan, mode, loads, readings, slices, resident_bytes, totals } = ended;
    let mut seconds = totals.seconds;
    seconds.iter_mut().for_each(|row| row.server = readings.second(row.second));
    let run_loads = &loads[..loads.len().min(slices.len())];
    let sum = |of: fn(&SliceLoad) -> u64| run_loads.iter().map(of).sum::<u64>();
    let posted = slices.iter().map(|slice| slice.traffic.posted).sum();
    let in_lock_step = mode == Mode::LockStep;
    let planned = PlannedLoad {
        clients: plan.clients,
        rooms: plan.rooms,
        payload_bytes: plan.payload_bytes as u64,
        slices: if in_lock_step { u32::MAX } else { plan.slicing.count },
        window_us: if in_lock_step { 0 } else { micros(plan.slicing.window) },
        posts_in_window: if in_lock_step { posted } else { sum(|load| load.posts_in_window) },
        posts_sent_in_window: if in_lock_step { posted } else { totals.posts_sent_in_window },
        outages: plan.outages.len() as u32,
        deliveries_in_window: if in_lock_step { totals.total.delivered } else { sum(|load| load.deliveries_in_window) },
    };
    let mut ledger = totals.ledger;
    // A probe per room is accepted too.
    ledger.forgotten = readings.forgotten(totals.total.accepted + u64::from(plan.rooms));
    let sockets = totals.sockets.zip(totals.sockets_in_slices);
    let mut record = RunRecord {
        schema: SCHEMA,
        run,
        round,
        mode,
        point: plan.label.clone(),
        transport: subject.transport,
        target: subject.target.clone(),
        http_client: plan.http_client.name().to_owned(),
        encoding: plan.encoding(subject.transport),
        verdict: RunVerdict { kind: VerdictKind::Invalid, reasons: Vec::new() },
        ended: totals.ended,
        planned,
        latency: totals.latency,
        saturated: totals.saturated,
        negative: totals.negative,
        seconds,
        set_up: totals.set_up,
        slices,
        total: totals.total,
        ledger,
        faults: totals.faults,
        generator: GeneratorUsage { core_usage_max: totals.core_usage_max, resident_bytes_clients: resident_bytes },
        server: readings.server(),
        tcp: sockets.map(|(whole, in_slices)| TcpUsage {
            bytes_up: whole.bytes_up,
            bytes_down: whole.bytes_down,
            segments_up: in_slices.segments_up,
            segments_down: in_slices.segments_down,
            header_bytes_per_segment: whole.header_bytes_per_segment,
            socket_memory_bytes: readings.socket_memory_bytes(),
        }),
        log: readings.log(),
        machine,
    };
    record.verdict = judge(&record);
    record
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
