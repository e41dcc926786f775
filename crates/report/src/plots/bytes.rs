//! PlotFiles 6: which bytes a delivered message takes, each way.

use results::{ByteClass, Direction, RunRecord, TrafficKind};

use super::bars::{Bars, column, drawable, table};
use super::data::{PlotData, PointData, behind};
use super::draw::Scene;
use super::{AROUND, Plot};

const CLASSES: [&str; 8] =
    ["payload", "envelope", "framing", "headers", "empty polls", "set-up, keep-alive", "posting", "TCP/IP headers"];

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut csv = table();
    let ways = [("bytes per message, down", Direction::Down), ("bytes per message, up", Direction::Up)];
    let columns = ways
        .map(|(head, way)| column(&mut csv, point, head, &CLASSES, &|record| parts(record, way).unwrap_or_default()));
    let bars = Bars { rows: drawable(point), columns: columns.into(), classes: &CLASSES, shaded: false };
    if bars.is_empty() {
        return None;
    }
    let title = "Bytes per delivered message, by what they are";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    bars.draw(&mut scene, top);
    Some(Plot {
        name: job.stem("06-bytes-per-message", point.label),
        title: title.to_owned(),
        caption: format!(
            "All bytes over the window, for each delivered message. Payload, envelope, framing and headers are those of messages that \
             arrive (where only the server could count, of everything); posting is what senders pay for sending, answers included; TCP/IP headers come from the kernel's count of segments \
             where it was asked. Medians over runs, parts scaled to add up; brackets {AROUND}. {}.",
            behind(point)
        ),
        scene,
        csv,
    })
}

/// Bytes for each delivered message, in the order of the classes.
pub(super) fn parts(record: &RunRecord, way: Direction) -> Option<Vec<f64>> {
    let mut parts = counted(record, way)?;
    parts.push(record.tcp_ip_header_bytes(way).unwrap_or(0));
    let delivered = record.window().delivered as f64;
    (delivered > 0.0).then(|| parts.into_iter().map(|bytes| bytes as f64 / delivered).collect())
}

fn counted(record: &RunRecord, way: Direction) -> Option<Vec<u64>> {
    // Only a client that reads its own headers knows all bytes; for others the server has counted, and knows no purposes.
    if !record.counts_all_bytes() {
        let bytes = record.server_bytes(way)?;
        return Some(vec![bytes.payload, bytes.envelope, bytes.framing, bytes.headers, 0, 0, 0]);
    }
    let of =
        |purpose: TrafficKind| ByteClass::ALL.into_iter().map(move |class| record.window().bytes(way, purpose, class));
    let all = |purpose: TrafficKind| of(purpose).sum::<u64>();
    let rest =
        [all(TrafficKind::Empty), all(TrafficKind::SetUp) + all(TrafficKind::KeepAlive), all(TrafficKind::Posting)];
    Some(of(TrafficKind::Delivery).chain(rest).collect())
}
