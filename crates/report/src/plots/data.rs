//! The data of plots: points of a job, runs to draw, and sweeps.

use std::ops::Deref;

use results::{MetricId, ResultsFolder, RunRecord, Subject};
use serde_json::Value;

use super::draw::{SIZE, Scale, SubjectStyle, looks, shortened};
use crate::format::number;
use crate::selection::{RunSelection, point_names};
use crate::tables::verdicts;

/// Maximum number of points with all plots; for longer sweeps the first, middle and last.
const POINTS_MAX: usize = 3;

/// Maximum width of the name of a subject.
const NAME_MAX: f64 = 180.0;

/// A job to draw.
pub(super) struct PlotData<'a> {
    /// The results folder.
    pub(super) folder: &'a ResultsFolder,
    /// Prefix of plot names; empty for a single job.
    stem: String,
    /// Points with runs.
    pub(super) points: Vec<PointData<'a>>,
    /// Subjects with their styles.
    pub(super) styles: Vec<(Subject, SubjectStyle)>,
}

/// One point of the sweep, or the only one.
pub(super) struct PointData<'a> {
    /// Empty without a sweep.
    pub(super) name: &'a str,
    /// Settings of the point.
    pub(super) set: Option<&'a results::Point>,
    /// Subjects with the runs to draw.
    pub(super) rows: Vec<SeriesData<'a>>,
}

/// A transport of a server at a point.
pub(super) struct SeriesData<'a> {
    shown: RunSelection<'a>,
    look: SubjectStyle,
}

impl<'a> Deref for SeriesData<'a> {
    type Target = RunSelection<'a>;

    fn deref(&self) -> &Self::Target {
        &self.shown
    }
}

/// A sweep over one key with fixed values of the others.
pub(super) struct Sweep<'a> {
    /// The key.
    pub(super) key: &'a str,
    /// Fixed values of the other keys.
    pub(super) fixed: String,
    /// Points with their values, in order.
    pub(super) points: Vec<(&'a PointData<'a>, Value)>,
}

impl<'a> PlotData<'a> {
    /// The data of a results folder.
    pub(super) fn new(folder: &'a ResultsFolder, stem: &str) -> Self {
        let looks = looks(&Subject::all(folder.runs.iter().map(|run| &run.record)));
        let points = point_names(folder).into_iter().map(|label| {
            let set = folder.manifest.points.iter().find(|point| point.name == label);
            let row = |(subject, look): &(Subject, SubjectStyle)| SeriesData {
                shown: RunSelection::of(folder, label, subject),
                look: *look,
            };
            let rows = looks.iter().map(row).filter(|row| !row.verdicts.is_empty()).collect();
            PointData { name: label, set, rows }
        });
        let points = points.filter(|point: &PointData<'_>| !point.rows.is_empty()).collect();
        let apart = if stem.is_empty() { "" } else { "-" };
        Self { folder, stem: slug(stem) + apart, points, styles: looks }
    }

    /// The points with all plots.
    pub(super) fn picked(&self) -> Vec<&PointData<'a>> {
        first_middle_last(self.points.iter().collect())
    }

    /// File stem of a plot.
    pub(super) fn stem(&self, plot: &str, of: &str) -> String {
        let apart = if of.is_empty() { "" } else { "-" };
        format!("{}{plot}{apart}{}", self.stem, slug(of))
    }

    /// Sweeps over each key, for each combination of the others, up to a limit.
    pub(super) fn sweeps(&'a self) -> Vec<Sweep<'a>> {
        let Some(keys) = self.folder.manifest.points.first().map(|point| &point.swept) else { return Vec::new() };
        keys.iter().flat_map(|key| first_middle_last(self.sweeps_of(key, keys))).collect()
    }

    fn sweeps_of(&'a self, key: &'a str, keys: &[String]) -> Vec<Sweep<'a>> {
        let mut sweeps: Vec<Sweep<'a>> = Vec::new();
        for point in &self.points {
            let Some(set) = point.set else { continue };
            let others = keys.iter().filter(|other| *other != key);
            let fixed: Vec<_> = others
                .map(|other| format!("{other}={}", set.settings.get(other).map(written).unwrap_or_default()))
                .collect();
            let fixed = fixed.join(", ");
            let value = set.settings.get(key).cloned().unwrap_or(Value::Null);
            match sweeps.iter_mut().find(|sweep| sweep.fixed == fixed) {
                Some(sweep) => sweep.points.push((point, value)),
                None => sweeps.push(Sweep { key, fixed, points: vec![(point, value)] }),
            }
        }
        sweeps.retain(|sweep| sweep.points.len() > 1);
        for sweep in &mut sweeps {
            if sweep.is_numeric() {
                sweep.points.sort_by(|a, b| a.1.as_f64().unwrap_or(0.0).total_cmp(&b.1.as_f64().unwrap_or(0.0)));
            }
        }
        sweeps
    }

    /// Subtitle of every plot.
    pub(super) fn about(&self, point: &PointData<'_>) -> String {
        let mut parts = vec![self.folder.manifest.scenario.name.clone()];
        parts.extend((!point.name.is_empty()).then(|| point.name.to_owned()));
        if let Some(record) = point.rows.iter().flat_map(|row| row.records()).next() {
            let planned = &record.planned;
            parts.push(format!(
                "{} clients in {} {}, {} deliveries/s of {} bytes",
                planned.clients,
                planned.rooms,
                if planned.rooms == 1 { "room" } else { "rooms" },
                number(offered_per_s(record)),
                planned.payload_bytes
            ));
        }
        parts.push(behind(point));
        parts.join(" · ") + &left_out(&point.rows)
    }
}

/// Name of a subject in plots, of a limited width.
pub(super) fn subject_name(subject: &Subject) -> String {
    shortened(&subject.to_string(), SIZE, NAME_MAX)
}

/// Subjects that are not drawn, with the reason.
pub(super) fn left_out(rows: &[SeriesData<'_>]) -> String {
    let none = rows.iter().filter(|row| row.runs.is_empty());
    let names: Vec<_> =
        none.map(|row| format!("{} ({})", subject_name(&row.subject), verdicts(&row.verdicts))).collect();
    if names.is_empty() { String::new() } else { format!(" · not drawn: {}", names.join(", ")) }
}

/// Number of messages and runs of a point.
pub(super) fn behind(point: &PointData<'_>) -> String {
    let span = |values: Vec<u64>| match (values.iter().min(), values.iter().max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => "no".to_owned(),
    };
    let posts =
        point.rows.iter().flat_map(|row| row.records()).map(|record| record.planned.posts_sent_in_window).collect();
    let runs = point.rows.iter().filter(|row| !row.runs.is_empty()).map(|row| row.runs.len() as u64).collect();
    let (posts, runs) = (span(posts), span(runs));
    let word = if runs == "1" { "run" } else { "runs" };
    format!("n = {posts} messages per run, {runs} {word}")
}

impl SeriesData<'_> {
    /// Name in plots.
    pub(super) fn name(&self) -> String {
        let mark = if self.is_overloaded() { " (overloaded)" } else { "" };
        format!("{}{mark}", subject_name(&self.subject))
    }

    /// Colour and marker.
    pub(super) fn style(&self) -> SubjectStyle {
        self.look
    }

    /// Verdict in CSV.
    pub(super) fn verdict(&self) -> String {
        if self.is_overloaded() { "overloaded".to_owned() } else { "valid".to_owned() }
    }
}

impl Sweep<'_> {
    fn is_numeric(&self) -> bool {
        self.points.iter().all(|(_, value)| value.is_number())
    }

    /// Axis of the swept values.
    pub(super) fn scale(&self) -> Scale {
        if self.is_numeric() {
            let values: Vec<f64> = self.points.iter().filter_map(|(_, value)| value.as_f64()).collect();
            Scale::fitting(&values)
        } else {
            Scale::Names(self.points.iter().map(|(_, value)| written(value)).collect())
        }
    }

    /// Position of a point on the axis.
    pub(super) fn value(&self, at: usize) -> f64 {
        let number = self.points.get(at).and_then(|(_, value)| value.as_f64());
        number.filter(|_| self.is_numeric()).unwrap_or(at as f64)
    }

    /// The value at a position on the axis.
    pub(super) fn text(&self, x: f64) -> String {
        let at = (0..self.points.len()).find(|at| self.value(*at) == x);
        at.map_or_else(String::new, |at| written(&self.points[at].1))
    }

    /// Common settings of the points, as text.
    pub(super) fn about(&self, job: &PlotData<'_>) -> String {
        let fixed = if self.fixed.is_empty() { String::new() } else { format!(" · at {}", self.fixed) };
        format!("{} · {} swept{fixed}", job.folder.manifest.scenario.name, self.key)
    }

    /// Suffix of plot names.
    pub(super) fn stem(&self) -> String {
        format!("{} {}", self.key, self.fixed)
    }

    /// A subject over the sweep: position and runs of each point.
    pub(super) fn rows(&self, subject: &Subject) -> Vec<(usize, &SeriesData<'_>)> {
        let points = self.points.iter().enumerate();
        let rows = points.filter_map(|(at, (point, _))| {
            Some((at, point.rows.iter().find(|row| row.subject == *subject && !row.runs.is_empty())?))
        });
        rows.collect()
    }
}

/// A setting as text.
pub(super) fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Deliveries per second that the plan asks for.
pub(super) fn offered_per_s(record: &RunRecord) -> f64 {
    let planned = &record.planned;
    let one_window = || planned.deliveries_in_window as f64 * 1e6 / planned.window_us.max(1) as f64;
    MetricId::OfferedPerS.value(record).unwrap_or_else(one_window)
}

fn first_middle_last<T>(all: Vec<T>) -> Vec<T> {
    let count = all.len();
    if count <= POINTS_MAX {
        return all;
    }
    let kept = [0, count / 2, count - 1];
    all.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, item)| item).collect()
}

fn slug(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '.' if out.ends_with(|c: char| c.is_ascii_digit()) => out.push('.'),
            letter if letter.is_ascii_alphanumeric() => out.push(letter.to_ascii_lowercase()),
            _ if !out.ends_with('-') && !out.is_empty() => out.push('-'),
            _ => {}
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sweeps_are_shown_by_their_ends_and_their_middle() {
        assert_eq!(first_middle_last(vec![1, 2, 3]), [1, 2, 3]);
        assert_eq!(first_middle_last((1..=9).collect()), [1, 5, 9]);
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(slug("posts.per_client_per_s=0.5, clients=1000"), "posts-per-client-per-s-0.5-clients-1000");
    }
}
