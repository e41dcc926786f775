//! What each figure that a scenario can name is in one run. What was not measured is `None`.

use results::{Class, Direction, Figures, Purpose, Quantile, Run, RunRecord, Series, Tally};
use scenario::Figure;

/// The figure of a run.
pub fn measure(figure: Figure, run: &Run) -> Option<f64> {
    let record = &run.record;
    let window = &record.window;
    let figures = Figures::of(record);
    let seconds = record.generator.window_us as f64 / 1e6;
    let per_s = |count: f64| (seconds > 0.0).then(|| count / seconds);
    let exact = |value: Option<f64>| value.filter(|_| record.counts_all_bytes());
    match figure {
        Figure::DeliveryMeanMs => record.latency.get(&Series::Delivery).map(|latency| latency.mean_us / 1e3),
        Figure::DeliveryMaxMs => record.latency.get(&Series::Delivery).map(|latency| latency.max_us as f64 / 1e3),
        Figure::DeliveryP50Ms
        | Figure::DeliveryP90Ms
        | Figure::DeliveryP99Ms
        | Figure::DeliveryP999Ms
        | Figure::UncorrectedP50Ms
        | Figure::UncorrectedP99Ms
        | Figure::LatenessP99Ms
        | Figure::ConnectP50Ms
        | Figure::OutageP50Ms
        | Figure::UpgradeP50Ms => quantile(figure, record).map(|quantile| quantile.us as f64 / 1e3),
        Figure::UpgradedShare => share(record.total.upgrades, record.total.upgrades + record.total.upgrades_refused),
        Figure::DeliveredPerS => Some(figures.delivered_per_s),
        Figure::DeliveredShare => share(window.delivered, record.planned.deliveries_in_window),
        Figure::ServerCpuUsPerMessage => figures.server_cpu_us_per_message,
        Figure::GeneratorCpuUsPerMessage => figures.generator_cpu_us_per_message,
        Figure::ServerCpuUsPerClientS => per_s(server_cpu_us(record)? / f64::from(record.planned.seats.max(1))),
        Figure::ServerBusyShare => per_s(server_cpu_us(record)? / 1e6),
        Figure::DownBytesPerMessage => figures.down_bytes_per_message,
        Figure::UpBytesPerMessage => figures.up_bytes_per_message,
        Figure::FramingBytesPerMessage => {
            exact(share(window.bytes(Direction::Down, Purpose::Delivery, Class::Framing), window.delivered))
        }
        Figure::HeaderBytesPerMessage => exact(share(
            reading_headers(window, Purpose::Delivery) + reading_headers(window, Purpose::Empty),
            window.delivered,
        )),
        Figure::HeaderBytesPerEmptyPoll => exact(share(reading_headers(window, Purpose::Empty), window.empty_answers)),
        Figure::OverheadShare => exact(overhead(window)),
        Figure::RequestsPerMessage => figures.requests_per_message,
        Figure::RequestsPerS => per_s(window.requests as f64),
        Figure::RequestsPeakPerS => record.seconds.iter().map(|second| second.requests as f64).reduce(f64::max),
        Figure::EmptyShare => figures.empty_share,
        Figure::MessagesPerBatch => figures.messages_per_batch,
        Figure::WritesPerMessage => figures.writes_per_message,
        Figure::ConnectionsPerS => per_s(window.connections as f64),
        Figure::ServerBytesPerConnection => figures.server_bytes_per_connection,
        Figure::ServerBytesPerClient => figures.server_bytes_per_client,
    }
}

/// A figure that is a quantile, with the interval of this run alone.
pub(crate) fn quantile(figure: Figure, record: &RunRecord) -> Option<Quantile> {
    let (series, name) = match figure {
        Figure::DeliveryP50Ms => (Series::Delivery, "p50"),
        Figure::DeliveryP90Ms => (Series::Delivery, "p90"),
        Figure::DeliveryP99Ms => (Series::Delivery, "p99"),
        Figure::DeliveryP999Ms => (Series::Delivery, "p99_9"),
        Figure::UncorrectedP50Ms => (Series::DeliveryUncorrected, "p50"),
        Figure::UncorrectedP99Ms => (Series::DeliveryUncorrected, "p99"),
        Figure::LatenessP99Ms => (Series::Lateness, "p99"),
        Figure::ConnectP50Ms => (Series::Connect, "p50"),
        Figure::OutageP50Ms => (Series::Outage, "p50"),
        Figure::UpgradeP50Ms => (Series::Upgrade, "p50"),
        _ => return None,
    };
    results::quantile(record, series, name)
}

/// Server CPU over the window.
pub(crate) fn server_cpu_us(record: &RunRecord) -> Option<f64> {
    let readings = record.server.as_ref()?;
    let cpu = |usage: &wire::Usage| usage.process.cpu_user_us + usage.process.cpu_system_us;
    Some(cpu(&readings.window_end).saturating_sub(cpu(&readings.window_start)) as f64)
}

/// Headers of reading requests and their answers that were good for this.
pub(crate) fn reading_headers(window: &Tally, purpose: Purpose) -> u64 {
    window.bytes(Direction::Up, purpose, Class::Headers) + window.bytes(Direction::Down, purpose, Class::Headers)
}

fn overhead(window: &Tally) -> Option<f64> {
    let of = |class| {
        let ways = [Direction::Up, Direction::Down].into_iter();
        let bytes =
            ways.map(|way| window.bytes(way, Purpose::Delivery, class) + window.bytes(way, Purpose::Empty, class));
        bytes.sum::<u64>()
    };
    let all: u64 = Class::ALL.into_iter().map(of).sum();
    share(all - of(Class::Payload), all)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
