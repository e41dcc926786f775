//! `costs.csv`: the costs of a run over its windows, one number a row.

use super::{Column, maybe};
use crate::metrics::{ServerWindow, connections_opened};
use crate::{ByteClass, Cpu, Direction, RunRecord, TrafficKind};

type CostColumn = Column<Row>;

/// One cost.
pub(super) struct Row {
    run: u32,
    point: String,
    transport: &'static str,
    target: String,
    cost: &'static str,
    direction: &'static str,
    kind: &'static str,
    class: &'static str,
    unit: &'static str,
    total: u64,
    /// Messages to divide by.
    messages: Option<u64>,
    /// Connections to divide by.
    connections: Option<u64>,
}

const DIRECTIONS: [(Direction, &str); 2] = [(Direction::Down, "down"), (Direction::Up, "up")];

pub(super) fn rows(record: &RunRecord) -> Vec<Row> {
    let mut rows = Rows { record, rows: Vec::new() };
    let window = ServerWindow::of(record);
    let counters = window.as_ref().filter(|window| window.metered);
    rows.bytes(counters);
    rows.calls(counters);
    if let Some(window) = &window {
        rows.cpu("server_cpu", window.cpu, window.messages);
    }
    rows.cpu("generator_cpu", record.generator_cpu(), record.window().delivered);
    rows.memory();
    rows.rows
}

struct Rows<'a> {
    record: &'a RunRecord,
    rows: Vec<Row>,
}

impl Rows<'_> {
    fn add(&mut self, cost: &'static str, class: &'static str, unit: &'static str, total: u64) -> &mut Row {
        self.rows.push(Row {
            run: self.record.run,
            point: self.record.point.clone(),
            transport: self.record.transport.name(),
            target: self.record.target.clone(),
            cost,
            direction: "",
            kind: "",
            class,
            unit,
            total,
            messages: None,
            connections: None,
        });
        self.rows.last_mut().expect("it was just added")
    }

    fn bytes(&mut self, server: Option<&ServerWindow>) {
        let (tally, messages) = (self.record.window(), self.record.total.delivered);
        for (direction, name) in DIRECTIONS {
            if self.record.counts_all_bytes() {
                for (purpose, class) in
                    TrafficKind::ALL.iter().flat_map(|purpose| ByteClass::ALL.map(|class| (*purpose, class)))
                {
                    let row = self.add("bytes", class.name(), "bytes", tally.bytes(direction, purpose, class));
                    (row.direction, row.kind, row.messages) = (name, purpose.name(), Some(tally.delivered));
                }
            } else if let Some(server) = server {
                let total = match direction {
                    Direction::Up => server.up,
                    Direction::Down => server.down,
                };
                let row = self.add("bytes", "all", "bytes", total);
                (row.direction, row.kind, row.messages) = (name, "all", Some(server.messages));
            }
            if let Some(headers) = self.record.tcp_ip_header_bytes(direction) {
                let row = self.add("tcp_ip_bytes", "tcp-ip", "bytes", headers);
                (row.direction, row.kind, row.messages) = (name, "all", Some(messages));
            }
        }
    }

    fn calls(&mut self, server: Option<&ServerWindow>) {
        let tally = self.record.window();
        let by_client = [
            ("requests", tally.requests),
            ("empty-answers", tally.empty_answers),
            ("batches", tally.batches),
            ("connections", tally.connections),
            ("client-reads", tally.socket_reads),
            ("client-writes", tally.socket_writes),
        ];
        for (class, total) in by_client {
            self.add("calls", class, "calls", total).messages = Some(tally.delivered);
        }
        for (class, of) in
            [("server-reads", (|w| w.reads) as fn(&ServerWindow) -> u64), ("server-writes", |w| w.writes)]
        {
            if let Some(window) = server {
                self.add("calls", class, "calls", of(window)).messages = Some(window.messages);
            }
        }
        let all = self.record.total.delivered;
        if let Some(tcp) = self.record.tcp {
            for (direction, total) in [("down", tcp.segments_down), ("up", tcp.segments_up)] {
                let row = self.add("segments", "tcp-ip", "segments", total);
                (row.direction, row.messages) = (direction, Some(all));
            }
        }
    }

    fn cpu(&mut self, cost: &'static str, cpu: Cpu, messages: u64) {
        for (class, total) in [("user", cpu.user_us), ("system", cpu.system_us)] {
            self.add(cost, class, "us", total).messages = Some(messages);
        }
    }

    fn memory(&mut self) {
        let opened = connections_opened(self.record);
        if let Some(Ok(bytes)) = self.record.server_memory_bytes() {
            self.add("server_memory", "idle", "bytes", bytes).connections = opened;
        }
        if let Some(tcp) = self.record.tcp {
            self.add("kernel_buffers", "idle", "bytes", tcp.socket_memory_bytes).connections = opened;
        }
        let clients = self.record.planned.clients.into();
        self.add("generator_memory", "idle", "bytes", self.record.generator.resident_bytes_clients).connections =
            Some(clients);
    }
}

fn share(total: u64, of: Option<u64>) -> Option<f64> {
    of.filter(|of| *of > 0).map(|of| total as f64 / of as f64)
}

#[rustfmt::skip]
pub(super) fn columns() -> Vec<CostColumn> {
    vec![
        CostColumn::new("run", "Number of the run in the job, from 1", |r| r.run.into()),
        CostColumn::new("point", "Point of the sweep; empty without a sweep", |r| r.point.as_str().into()),
        CostColumn::new("transport", "Transport", |r| r.transport.into()),
        CostColumn::new("target", "Server under test; `pushbench` is the built-in server", |r| r.target.as_str().into()),
        CostColumn::new("cost", "`bytes`, `tcp_ip_bytes`, `calls`, `segments`, `server_cpu`, `generator_cpu`, `server_memory`, `kernel_buffers` or `generator_memory`", |r| r.cost.into()),
        CostColumn::new("direction", "`up` to the server, `down` to the clients, or empty", |r| r.direction.into()),
        CostColumn::new("kind", "Use of the bytes: `delivery`, `empty` (polls), `keep-alive`, `set-up`, `posting`; `all` where they cannot be told apart", |r| r.kind.into()),
        CostColumn::new("class", "Class of the bytes: `payload`, `envelope`, `framing`, `headers`; or name of the calls; or `user` or `system` CPU time; or `idle` connections for memory", |r| r.class.into()),
        CostColumn::new("unit", "Unit of the numbers in this row: `bytes`, `calls`, `segments` or `us`", |r| r.unit.into()),
        CostColumn::new("total", "Total over the measured windows; `tcp_ip_bytes`, `segments`, `server_cpu`, server reads and writes: from the first slice to the last, lead-ins and drains included; memory: growth while the clients connected", |r| r.total.into()),
        CostColumn::new("per_message", "`total` per delivered message", |r| maybe(share(r.total, r.messages))),
        CostColumn::new("per_connection", "`total` per connection", |r| maybe(share(r.total, r.connections))),
    ]
}
