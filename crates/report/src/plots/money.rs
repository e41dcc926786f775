//! Plot 7: cost in money, as in the table.

use super::Plot;
use super::bars::BarPlot;
use super::data::{PlotData, PointData, behind};
use crate::money::{MonthlyCost, Prices};

const CLASSES: [&str; 3] = ["server CPU", "traffic to clients", "memory"];

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let prices = Prices::of(point.set);
    let mut plot = BarPlot::new(point);
    let million = format!("{} per million messages", prices.currency);
    plot.medians(&million, &CLASSES, &|runs| {
        let cost = MonthlyCost::of(runs, &prices, point.set)?;
        let million = |price: f64| price * 1e6 / cost.messages;
        (cost.messages > 0.0).then(|| vec![million(cost.cpu), million(cost.traffic)])
    });
    let month = format!("{} per month for 10,000 users", prices.currency);
    plot.medians(&month, &CLASSES, &|runs| {
        MonthlyCost::of(runs, &prices, point.set).map(|cost| vec![cost.cpu, cost.traffic, cost.memory])
    });
    let caption = format!(
        "{} (TCP/IP headers included where they were counted). Per million delivered messages: CPU and traffic. A month \
         (730 h) of 10,000 connected users at the scenario's rate: CPU, traffic and memory of the server's process, in \
         proportion and without idle capacity. From medians over runs. {}.",
        prices.text(),
        behind(point)
    );
    plot.build(job, ("07-money", "Cost in money"), caption, (&CLASSES, false))
}
