//! Plots, one file per plot.

mod bars;
mod bytes;
mod csv;
mod curves;
mod data;
mod draw;
mod forest;
mod freshness;
mod heat;
mod history;
mod metric_bars;
mod money;
mod over_time;
mod percentiles;
mod ratios;
mod sweep;
#[cfg(test)]
mod tests;
mod throughput;

pub use forest::forest;
pub use history::history;

use results::ResultsFolder;

use csv::Csv;
use data::PlotData;
use draw::Figure;

/// What stands around medians: intervals belong to ratios.
const AROUND: &str = "ranges of the runs";

/// A rendered plot with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlotFiles {
    /// File stem.
    pub name: String,
    /// Title.
    pub title: String,
    /// Caption: what is drawn, number of messages and runs, meaning of the ranges.
    pub caption: String,
    /// SVG. Its colours follow the page: `--plot-ink`, `--plot-soft`, `--plot-faint`,
    /// `--plot-paper`, `--plot-heat`.
    pub svg: String,
    /// PNG on white.
    pub png: Vec<u8>,
    /// Data as CSV.
    pub csv: String,
}

/// All plots for which there is data.
pub fn plots(jobs: &[ResultsFolder]) -> Vec<PlotFiles> {
    let stem = |at: usize, job: &ResultsFolder| match jobs {
        [_] => String::new(),
        _ if jobs[..at].iter().any(|other| other.name == job.name) => format!("{} {}", job.name, at + 1),
        _ => job.name.clone(),
    };
    let drawn = jobs.iter().enumerate().flat_map(|(at, job)| drawn(&PlotData::new(job, &stem(at, job))));
    drawn.map(Plot::finish).collect()
}

fn drawn(job: &PlotData<'_>) -> Vec<Plot> {
    let by_point = [
        percentiles::plot,
        ratios::plot,
        over_time::plot,
        heat::plot,
        throughput::over_time,
        metric_bars::cpu,
        bytes::plot,
        metric_bars::calls,
        metric_bars::memory,
        money::plot,
    ];
    let by_sweep = [throughput::over_sweep, freshness::plot, sweep::plot];
    let (points, sweeps) = (job.picked(), job.sweeps());
    let points = by_point.iter().flat_map(|plot| points.iter().filter_map(|point| plot(job, point)));
    let sweeps = by_sweep.iter().flat_map(|plot| sweeps.iter().filter_map(|sweep| plot(job, sweep)));
    let mut all: Vec<Plot> = points.chain(sweeps).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A plot before rendering.
struct Plot {
    name: String,
    title: String,
    caption: String,
    figure: Figure,
    csv: Csv,
}

impl Plot {
    fn finish(self) -> PlotFiles {
        PlotFiles {
            svg: draw::svg(&self.figure, &self.title),
            png: draw::png(&self.figure),
            csv: self.csv.finish(),
            name: self.name,
            title: self.title,
            caption: self.caption,
        }
    }
}
