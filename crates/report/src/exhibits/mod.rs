//! One file per table or picture.

mod bars;
mod bytes;
mod calls;
mod cpu;
mod csv;
mod curves;
mod draw;
mod forest;
mod freshness;
mod heat;
mod history;
mod job;
mod memory;
mod money;
mod over_time;
mod percentiles;
mod sweep;
#[cfg(test)]
mod tests;
mod throughput;

pub use forest::forest;
pub use history::history;

use results::Evidence;

use csv::Csv;
use draw::Scene;
use job::Job;

/// What is drawn around a median over runs.
const AROUND: &str = "95 % intervals (of fewer than six runs the range)";

/// A picture with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// Stem of its files.
    pub name: String,
    /// What is seen.
    pub title: String,
    /// What is drawn, how much is behind it, and what its spread is.
    pub caption: String,
    /// As SVG. Ink and paper follow the page: `--plot-ink`, `--plot-soft`, `--plot-faint`, `--plot-paper`, `--plot-heat`.
    pub svg: String,
    /// As PNG, on white.
    pub png: Vec<u8>,
    /// The data drawn.
    pub csv: String,
}

/// Every picture for which there is data.
pub fn plots(jobs: &[Evidence]) -> Vec<Exhibit> {
    let stem = |at: usize, job: &Evidence| match jobs {
        [_] => String::new(),
        _ if jobs[..at].iter().any(|other| other.name == job.name) => format!("{} {}", job.name, at + 1),
        _ => job.name.clone(),
    };
    let sheets = jobs.iter().enumerate().flat_map(|(at, job)| sheets(&Job::new(job, &stem(at, job))));
    sheets.map(Sheet::finish).collect()
}

fn sheets(job: &Job<'_>) -> Vec<Sheet> {
    let by_point = [
        percentiles::exhibit,
        over_time::exhibit,
        heat::exhibit,
        throughput::over_time,
        cpu::exhibit,
        bytes::exhibit,
        calls::exhibit,
        memory::exhibit,
        money::exhibit,
    ];
    let by_sweep = [throughput::over_sweep, freshness::exhibit, sweep::exhibit];
    let (points, sweeps) = (job.picked(), job.sweeps());
    let points = by_point.iter().flat_map(|exhibit| points.iter().filter_map(|point| exhibit(job, point)));
    let sweeps = by_sweep.iter().flat_map(|exhibit| sweeps.iter().filter_map(|sweep| exhibit(job, sweep)));
    let mut all: Vec<Sheet> = points.chain(sweeps).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// An exhibit before it is painted.
struct Sheet {
    name: String,
    title: String,
    caption: String,
    scene: Scene,
    csv: Csv,
}

impl Sheet {
    fn finish(self) -> Exhibit {
        Exhibit {
            svg: draw::svg(&self.scene, &self.title),
            png: draw::png(&self.scene),
            csv: self.csv.finish(),
            name: self.name,
            title: self.title,
            caption: self.caption,
        }
    }
}
