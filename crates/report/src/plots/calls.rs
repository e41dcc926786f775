//! Plot 7: requests and writes per message, and messages per batch.

use results::MetricId;

use super::bars::{Bars, column, drawable, table};
use super::data::{PlotData, PointData, behind};
use super::draw::Scene;
use super::{AROUND, Plot};

const METRICS: [(&str, MetricId); 3] = [
    ("requests per message", MetricId::RequestsPerMessage),
    ("writes per message", MetricId::WritesPerMessage),
    ("messages per response", MetricId::MessagesPerBatch),
];

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut csv = table();
    let columns = METRICS
        .map(|(head, metric)| column(&mut csv, point, head, &[], &|record| metric.value(record).into_iter().collect()));
    let bars = Bars { rows: drawable(point), columns: columns.into(), classes: &[], shaded: false };
    if bars.is_empty() {
        return None;
    }
    let title = "Requests, writes and batches";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    bars.draw(&mut scene, top);
    Some(Plot {
        name: job.stem("07-calls-per-message", point.label),
        title: title.to_owned(),
        caption: format!(
            "HTTP requests of all clients including posts, and writes on the server's sockets, per delivered message; and messages per \
             response, chunk or write. Medians over runs, brackets {AROUND}, dots the runs. {}.",
            behind(point)
        ),
        scene,
        csv,
    })
}
