//! Plots 3, 5 and 6: bars of single metrics.

use results::{MetricId, Subject};

use super::bars::BarPlot;
use super::data::{PlotData, PointData, behind};
use super::{AROUND, Plot};
use crate::stats::median;

const MODES: [&str; 2] = ["user mode", "kernel mode"];
const CALLS: [(&str, MetricId); 3] = [
    ("requests per message", MetricId::RequestsPerMessage),
    ("writes per message", MetricId::WritesPerMessage),
    ("messages per response", MetricId::MessagesPerBatch),
];

pub(super) fn cpu(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut plot = BarPlot::new(point);
    let column = plot.column("µs per delivered message · dashed: raw TCP", &MODES, &|record| {
        let both = MetricId::ServerCpuUserPerMessage.value(record).zip(MetricId::ServerCpuPerMessage.value(record));
        both.map_or_else(Vec::new, |(user, all)| vec![user.min(all), (all - user).max(0.0)])
    });
    let baseline = point.rows.iter().find(|row| row.subject == Subject::BASELINE);
    let baseline = baseline.map(|row| row.each(|record| MetricId::ServerCpuPerMessage.value(record)));
    column.baseline = baseline.and_then(|values| median(&values));
    let caption = format!(
        "CPU time of the server's process in the window, per delivered message. Bars are medians over runs, brackets \
         {AROUND}, dots the runs. The dashed line is raw TCP on the same machine. {}.",
        behind(point)
    );
    plot.build(job, ("03-server-cpu-per-message", "Server CPU per delivered message"), caption, (&MODES, true))
}

pub(super) fn calls(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut plot = BarPlot::new(point);
    for (head, metric) in CALLS {
        plot.column(head, &[], &|record| metric.value(record).into_iter().collect());
    }
    let caption = format!(
        "HTTP requests of all clients, posts included, and writes on the server's sockets, per delivered message; and \
         messages per response, chunk or write. Medians over runs, brackets {AROUND}, dots the runs. {}.",
        behind(point)
    );
    plot.build(job, ("05-calls-per-message", "Requests, writes and batches"), caption, (&[], false))
}

pub(super) fn memory(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut plot = BarPlot::new(point);
    plot.column("server process, bytes per connection", &[], &|record| {
        MetricId::ServerBytesPerConnection.value(record).into_iter().collect()
    });
    let caption = format!(
        "Growth of the server's resident memory while the clients connected, per connection, without the pages of files \
         and the memory of the kernel's sockets. A polling connection may be closed between two polls. Medians over runs, brackets {AROUND}, \
         dots the runs. {}.",
        behind(point)
    );
    plot.build(job, ("06-memory-per-connection", "Memory per idle connection"), caption, (&[], false))
}
