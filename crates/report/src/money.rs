//! What 10,000 connected users cost in a month, in proportion to what the server used, without idle
//! capacity.

use results::{Direction, MetricId, Point, RunRecord, median};
use serde::{Deserialize, Serialize};

use crate::selection::RunSelection;

/// Users of the table.
const USERS: f64 = 10_000.0;
const MONTH_H: f64 = 730.0;
const MONTH_S: f64 = MONTH_H * 3600.0;
const GB: f64 = 1e9;

/// List prices of public clouds, rounded, as of this month: a vCPU and a GB of memory by the hour on
/// demand, and a GB sent to the internet. They are assumed where the scenario has no prices.
pub const PRICES_ASSUMED: &str = "2026-11";
const VCPU_HOUR: f64 = 0.04;
const GB_HOUR: f64 = 0.005;
const GB_OUT: f64 = 0.09;
const CURRENCY: &str = "USD";

/// Prices of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// One vCPU for an hour.
    pub vcpu_hour: f64,
    /// A GB of memory for an hour.
    pub gb_hour: f64,
    /// A GB sent to clients.
    pub gb_out: f64,
    /// Currency.
    pub currency: String,
    /// Month of the list prices that are assumed; empty where the scenario has prices.
    pub assumed: Option<String>,
}

/// What 10,000 connected users need at the load of the scenario, and what it costs in a month. All
/// values are medians over the runs, or computed from these.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MonthlyCost {
    /// Cores of the server.
    pub vcpu: f64,
    /// Memory of the server.
    pub memory_gb: f64,
    /// Sent to the users in a month, with TCP/IP headers where they were counted.
    pub gb_out: f64,
    /// Messages delivered in a month.
    pub messages: f64,
    /// Price of the cores.
    pub cpu: f64,
    /// Price of the memory.
    pub memory: f64,
    /// Price of what is sent.
    pub traffic: f64,
    /// Price of all three.
    pub total: f64,
}

impl Prices {
    /// The prices of the scenario at a point, or list prices.
    pub(crate) fn of(point: Option<&Point>) -> Self {
        point.and_then(Self::of_scenario).unwrap_or_else(|| Self {
            vcpu_hour: VCPU_HOUR,
            gb_hour: GB_HOUR,
            gb_out: GB_OUT,
            currency: CURRENCY.to_owned(),
            assumed: Some(PRICES_ASSUMED.to_owned()),
        })
    }

    fn of_scenario(point: &Point) -> Option<Self> {
        Some(Self {
            vcpu_hour: point.number("prices.vcpu_hour")?,
            gb_hour: point.number("prices.gb_hour")?,
            gb_out: point.number("prices.gb_out")?,
            currency: point.settings.get("prices.currency")?.as_str()?.to_owned(),
            assumed: None,
        })
    }

    /// The prices as text, with where they are from.
    pub(crate) fn text(&self) -> String {
        let from = match &self.assumed {
            Some(month) => format!("Prices assumed, list prices of public clouds of {month}"),
            None => "Prices of the scenario".to_owned(),
        };
        let [cpu, memory, out] = [self.vcpu_hour, self.gb_hour, self.gb_out];
        format!(
            "{from}: {cpu} {c} a vCPU-hour, {memory} {c} a GB-hour of memory, {out} {c} a GB sent",
            c = self.currency
        )
    }
}

impl MonthlyCost {
    /// The cost of a subject; `None` where its CPU, memory or traffic is unknown.
    pub(crate) fn of(runs: &RunSelection<'_>, prices: &Prices, point: Option<&Point>) -> Option<Self> {
        let middle = |of: fn(&RunRecord) -> Option<f64>| median(&runs.each(of));
        // The same number of messages for every subject, so that chance in the schedule of a round
        // makes none of them cheaper.
        let per_client_s = point.and_then(planned_per_client_s).or_else(|| middle(messages_per_client_s))?;
        let cpu_us = match middle(|run| MetricId::ServerCpuPerMessage.value(run)) {
            Some(per_message) => per_message * per_client_s,
            None => middle(|run| MetricId::ServerCpuPerClientSecond.value(run))?,
        };
        let vcpu = cpu_us * USERS / 1e6;
        let memory_gb = middle(|run| MetricId::ServerBytesPerClient.value(run))? * USERS / GB;
        let messages = per_client_s * USERS * MONTH_S;
        let gb_out = middle(sent_per_message)? * messages / GB;
        let cpu = vcpu * MONTH_H * prices.vcpu_hour;
        let memory = memory_gb * MONTH_H * prices.gb_hour;
        let traffic = gb_out * prices.gb_out;
        Some(Self { vcpu, memory_gb, gb_out, messages, cpu, memory, traffic, total: cpu + memory + traffic })
    }
}

/// Messages that the scenario plans for a client in a second, its own included.
fn planned_per_client_s(point: &Point) -> Option<f64> {
    let in_room = point.number("clients")? / point.number("rooms")?;
    let authors = point.number("posts.authors").unwrap_or(in_room);
    Some(authors * point.number("posts.per_client_per_s")?).filter(|per_s| *per_s > 0.0)
}

fn messages_per_client_s(run: &RunRecord) -> Option<f64> {
    Some(MetricId::DeliveredPerS.value(run)? / f64::from(run.planned.clients.max(1)))
}

/// Bytes to the clients per delivered message. Segments are counted over the whole run.
fn sent_per_message(run: &RunRecord) -> Option<f64> {
    let headers = run.tcp_ip_header_bytes(Direction::Down).filter(|_| run.total.delivered > 0);
    let headers = headers.map_or(0.0, |bytes| bytes as f64 / run.total.delivered as f64);
    Some(MetricId::DownBytesPerMessage.value(run)? + headers)
}

#[cfg(test)]
mod tests {
    use results::{Subject, invented};

    use super::*;

    /// 100 clients of raw TCP receive 10 messages a second each: 164 bytes and 52 of headers.
    #[test]
    fn a_month_is_what_the_server_used_times_its_price() {
        let job = invented::results_folder(&[100]);
        let runs = RunSelection::of(&job, "", &Subject::BASELINE);
        let prices = Prices::of(job.manifest.points.first());
        let cost = MonthlyCost::of(&runs, &prices, job.manifest.points.first()).unwrap();
        let per_message = runs.estimate(MetricId::ServerCpuPerMessage).unwrap().value;
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        near(cost.vcpu, per_message * 100_000.0 / 1e6);
        near(cost.memory_gb, 0.04);
        near(cost.messages, 100_000.0 * 730.0 * 3600.0);
        near(cost.gb_out, cost.messages * (164.0 + 52.0) / 1e9);
        near(cost.total, cost.vcpu * 730.0 * 0.04 + 0.04 * 730.0 * 0.005 + cost.gb_out * 0.09);
        assert_eq!((prices.currency.as_str(), prices.assumed), ("EUR", None));
    }

    #[test]
    fn a_scenario_without_prices_has_list_prices_with_their_month() {
        let prices = Prices::of(None);
        assert_eq!(prices.assumed.as_deref(), Some(PRICES_ASSUMED));
        assert!(prices.text().contains("assumed") && prices.text().contains(PRICES_ASSUMED), "{}", prices.text());
    }

    #[test]
    fn nothing_is_computed_from_a_server_that_was_not_measured() {
        let mut job = invented::results_folder(&[100]);
        job.runs.iter_mut().for_each(|run| run.record.server = None);
        let runs = RunSelection::of(&job, "", &Subject::BASELINE);
        assert_eq!(MonthlyCost::of(&runs, &Prices::of(None), None), None);
    }
}
