//! Plot 8: memory per connection.

use results::MetricId;

use super::bars::{Bars, column, drawable, table};
use super::data::{PlotData, PointData, behind};
use super::draw::Scene;
use super::{AROUND, Plot};

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut csv = table();
    let process = column(&mut csv, point, "server process, KiB per connection", &[], &|record| {
        MetricId::ServerBytesPerConnection.value(record).map(|bytes| bytes / 1024.0).into_iter().collect()
    });
    let bars = Bars { rows: drawable(point), columns: vec![process], classes: &[], shaded: false };
    if bars.is_empty() {
        return None;
    }
    let title = "Memory per idle connection";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    bars.draw(&mut scene, top);
    Some(Plot {
        name: job.stem("08-memory-per-connection", point.label),
        title: title.to_owned(),
        caption: format!(
            "Growth of the server's resident memory while all clients connected, per connection, without the kernel's socket buffers. A \
             polling connection may be closed between polls. Medians over runs, brackets {AROUND}, dots the runs. {}.",
            behind(point)
        ),
        scene,
        csv,
    })
}
