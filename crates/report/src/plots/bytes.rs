//! Plot 4: bytes per delivered message, by direction and class.

use results::{ByteClass, Direction, MetricId, RunRecord, TrafficKind};

use super::bars::BarPlot;
use super::data::{PlotData, PointData, behind};
use super::{AROUND, Plot};

const CLASSES: [&str; 8] =
    ["payload", "envelope", "framing", "headers", "empty polls", "set-up, keep-alive", "posting", "TCP/IP headers"];

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut plot = BarPlot::new(point);
    for (head, way) in [("down, with TCP/IP headers", Direction::Down), ("up, with TCP/IP headers", Direction::Up)] {
        plot.column(head, &CLASSES, &|record| parts(record, way).unwrap_or_default());
    }
    let caption = format!(
        "All bytes in the window, per delivered message. Payload, envelope, framing and headers belong to deliveries \
         (of all traffic, where only the server counted); posting contains posts and their responses; TCP/IP headers \
         follow from the kernel's count of segments. Medians over runs, parts scaled to add up; brackets {AROUND}. {}.",
        behind(point)
    );
    plot.build(job, ("04-bytes-per-message", "Bytes per delivered message, by class"), caption, (&CLASSES, false))
}

/// Bytes per delivered message, in the order of the classes. Segments are counted over the whole
/// run, and a server counts from the first slice to the last.
pub(super) fn parts(record: &RunRecord, way: Direction) -> Option<Vec<f64>> {
    let metric = if way == Direction::Up { MetricId::UpBytesPerMessage } else { MetricId::DownBytesPerMessage };
    let (counted, whole) = (counted(record, way)?, metric.value(record)?);
    let all = counted.iter().sum::<u64>().max(1) as f64;
    let headers = record.tcp_ip_header_bytes(way).unwrap_or(0) as f64 / record.total.delivered.max(1) as f64;
    Some(counted.into_iter().map(|bytes| bytes as f64 / all * whole).chain([headers]).collect())
}

fn counted(record: &RunRecord, way: Direction) -> Option<Vec<u64>> {
    // Only the built-in client counts all bytes. For others the server's counts are used, which
    // have no purposes.
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
