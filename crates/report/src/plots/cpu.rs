//! Plot 5: server CPU per delivered message.

use results::{MetricId, Subject};

use super::bars::{Bars, column, drawable, table};
use super::data::{PlotData, PointData, behind};
use super::draw::Scene;
use super::{AROUND, Plot};
use crate::stats::median;

const CLASSES: [&str; 2] = ["user mode", "kernel mode"];

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut csv = table();
    let head = "µs per delivered message · dashed: raw TCP, the baseline";
    let mut only = column(&mut csv, point, head, &CLASSES, &|record| {
        let both = MetricId::ServerCpuUserPerMessage.value(record).zip(MetricId::ServerCpuPerMessage.value(record));
        both.map_or_else(Vec::new, |(user, all)| vec![user, all - user])
    });
    let floor = point.rows.iter().find(|row| row.subject == Subject::BASELINE);
    let floor = floor.map(|row| row.each(|record| MetricId::ServerCpuPerMessage.value(record)));
    only.floor = floor.and_then(|values| median(&values));
    let bars = Bars { rows: drawable(point), columns: vec![only], classes: &CLASSES, shaded: true };
    if bars.is_empty() {
        return None;
    }
    let title = "Server CPU per delivered message";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    bars.draw(&mut scene, top);
    Some(Plot {
        name: job.stem("05-server-cpu-per-message", point.label),
        title: title.to_owned(),
        caption: format!(
            "CPU time of the server process in the window per delivered message; bars are medians over runs, brackets {AROUND}, dots the \
             runs. The dashed line is raw TCP on the same machine. {}.",
            behind(point)
        ),
        scene,
        csv,
    })
}
