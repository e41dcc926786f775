//! Plot 12: cost at the scenario's prices.

use results::{Direction, MetricId, RunRecord};

use super::bars::BarPlot;
use super::data::{PlotData, PointData, behind, window_s, written};
use super::{AROUND, Plot};

const CLASSES: [&str; 3] = ["server CPU", "traffic to clients", "memory"];
const HOUR_US: f64 = 3.6e9;
const MONTH_H: f64 = 730.0;
const CLIENTS: f64 = 10_000.0;
const GB: f64 = 1e9;

struct Prices {
    vcpu_hour: f64,
    gb_hour: f64,
    gb_out: f64,
    currency: String,
}

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let set = point.set?;
    let prices = Prices {
        vcpu_hour: set.number("prices.vcpu_hour")?,
        gb_hour: set.number("prices.gb_hour")?,
        gb_out: set.number("prices.gb_out")?,
        currency: set.settings.get("prices.currency").map(written)?,
    };
    let mut plot = BarPlot::new(point);
    let million = format!("{} per million messages", prices.currency);
    plot.column(&million, &CLASSES, &|record| per_million(record, &prices).unwrap_or_default());
    let month = format!("{} per month for 10,000 clients", prices.currency);
    plot.column(&month, &CLASSES, &|record| per_month(record, &prices).unwrap_or_default());
    let caption = format!(
        "Prices of the scenario: {} {c} a vCPU-hour, {} {c} a GB-hour of memory, {} {c} a GB sent (TCP/IP headers \
         included where they were counted). Per million delivered messages: CPU and traffic. A month (730 h) of 10,000 \
         connected clients at the scenario's rate: CPU, traffic and memory of the server's process, in proportion and \
         without idle capacity. Medians over runs, brackets {AROUND}. {}.",
        prices.vcpu_hour,
        prices.gb_hour,
        prices.gb_out,
        behind(point),
        c = prices.currency
    );
    plot.build(job, ("12-money", "Cost at the scenario's prices"), caption, (&CLASSES, false))
}

/// Cost of CPU and traffic per message.
fn of_message(record: &RunRecord, prices: &Prices) -> Option<(f64, f64)> {
    let cpu_us = MetricId::ServerCpuPerMessage.value(record)?;
    let down: f64 = super::bytes::parts(record, Direction::Down)?.iter().sum();
    Some((cpu_us / HOUR_US * prices.vcpu_hour, down / GB * prices.gb_out))
}

fn per_million(record: &RunRecord, prices: &Prices) -> Option<Vec<f64>> {
    let (cpu, traffic) = of_message(record, prices)?;
    Some(vec![cpu * 1e6, traffic * 1e6])
}

fn per_month(record: &RunRecord, prices: &Prices) -> Option<Vec<f64>> {
    let (cpu, traffic) = of_message(record, prices)?;
    let rate = record.window().delivered as f64 / window_s(record) / f64::from(record.planned.clients.max(1));
    let messages = rate * CLIENTS * MONTH_H * 3600.0;
    let memory = MetricId::ServerBytesPerConnection.value(record)? * CLIENTS / GB * MONTH_H * prices.gb_hour;
    Some(vec![cpu * messages, traffic * messages, memory])
}
