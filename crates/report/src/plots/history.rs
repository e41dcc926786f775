//! Plot of a history: one panel per metric with a point per commit, levels and change points.

use plotters::style::RGBColor;
use results::{Better, MetricId};

use super::csv::{Csv, cell};
use super::draw::{
    Area, Chart, Figure, Grid, SIZE, SMALL, SOFT, Scale, Shape, Stroke, SubjectStyle, WIDTH, panels, shortened,
};
use super::{Plot, PlotFiles};
use crate::history::{History, Trend};

const COLUMNS: usize = 2;
/// Height of a panel, and of the text below it.
const HEIGHT: f64 = 78.0;
const WORDS: f64 = 22.0;
/// Space for the ticks of a panel.
const TICKS: f64 = 52.0;
/// Maximum number of panels.
const PANELS_MAX: usize = 30;
const VALUE: SubjectStyle = SubjectStyle { colour: RGBColor(86, 180, 233), shape: Shape::Circle };
const WORSE: RGBColor = RGBColor(213, 94, 0);
const BETTER: RGBColor = RGBColor(0, 110, 80);

/// Draws the history; `None` without values.
pub fn history(history: &History) -> Option<PlotFiles> {
    let (commits, mut trends) = (history.commits(), history.trends());
    trends.retain(|trend| !trend.values.is_empty());
    let [first, last] = [commits.first()?, commits.last()?].map(|commit| shortened(commit, SMALL, 200.0));
    let (all, changed) = (trends.len(), trends.iter().filter(|trend| trend.stretches.len() > 1).count());
    if all == 0 {
        return None;
    }
    // Changed metrics first, so that none of them is left out.
    trends.sort_by_key(|trend| trend.stretches.len() < 2);
    trends.truncate(PANELS_MAX);
    let left_out = if all > trends.len() { format!(" · {} not drawn", all - trends.len()) } else { String::new() };
    let title = "History by commit".to_owned();
    let about = format!(
        "{} commits, {first} to {last} · {changed} of {all} metrics changed{left_out} · line: median between changes · dashed: a change, \
         for the worse (orange) or the better (green)",
        commits.len(),
    );
    let (mut figure, top) = Figure::titled(&title, &about);
    let (areas, bottom) = panels(trends.len(), (top, HEIGHT + WORDS), (12.0, WIDTH - 14.0), COLUMNS);
    let x = Scale::Linear { low: -0.5, high: commits.len() as f64 - 0.5 };
    let mut csv = Csv::new(&["metric", "commit", "value", "level", "changed"]);
    for (trend, area) in trends.iter().zip(&areas) {
        let values: Vec<f64> = trend.values.iter().map(|(_, value)| *value).collect();
        let area = Area { left: area.left + TICKS, bottom: area.bottom - WORDS, ..*area };
        draw(&figure, &mut Chart::new(&figure, area, x.clone(), Scale::fitting(&values)), trend, &commits);
        write(&mut csv, trend, &commits);
    }
    figure.height = bottom + 14.0;
    let caption = format!("{about}. Every panel has its own y axis. Changes are shown and not gated.");
    Some(Plot { name: "history-plot".to_owned(), title, caption, figure, csv }.finish())
}

/// Colour of a change: worse, better, or unknown.
fn colour(trend: &Trend, rises: bool) -> RGBColor {
    let metric = MetricId::ALL.iter().find(|metric| trend.name.ends_with(&format!(".{}", metric.name())));
    metric.map_or(SOFT, |metric| if (metric.info().better == Better::More) == rises { BETTER } else { WORSE })
}

/// Heading of a metric; `None` for unknown names.
fn name(trend: &Trend) -> String {
    let ours = MetricId::ALL.iter().find_map(|metric| {
        let place = trend.name.strip_suffix(metric.name())?.strip_suffix('.')?;
        Some(format!("{place} {}, {}", metric.info().label, metric.info().unit.symbol))
    });
    ours.unwrap_or_else(|| trend.name.clone())
}

fn draw(figure: &Figure, chart: &mut Chart, trend: &Trend, commits: &[String]) {
    let area = chart.area;
    let (left, room) = (area.left - TICKS, area.right - area.left + TICKS);
    figure.label_within((left, area.top - 16.0), &shortened(&name(trend), SIZE, room * 1.3), room);
    chart.grid(Grid::None, Grid::Labelled);
    for (at, value) in &trend.values {
        chart.marker((*at as f64, *value), VALUE, 2.6, false);
    }
    for stretch in &trend.stretches {
        let end = |at: usize, by: f64| (at as f64 + by, stretch.level);
        chart.line([end(stretch.first, -0.4), end(stretch.last, 0.4)], Stroke::new(SOFT, 2.2));
    }
    for (at, before, after) in trend.changes() {
        chart.vertical(at as f64 - 0.5, Stroke::new(colour(trend, after > before), 1.8).dashed(true));
    }
    let says = shortened(&trend.sentence(commits), SMALL, room - TICKS);
    figure.small((area.left, area.bottom + 13.0), &says);
}

fn write(csv: &mut Csv, trend: &Trend, commits: &[String]) {
    for (at, value) in &trend.values {
        let level = trend.stretches.iter().find(|stretch| (stretch.first..=stretch.last).contains(at));
        let changed = trend.changes().any(|(place, ..)| place == *at);
        let numbers = [Some(*value), level.map(|stretch| stretch.level)].map(cell);
        let words = [trend.name.clone(), commits[*at].clone()];
        csv.row(words.into_iter().chain(numbers).chain([changed.to_string()]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Option<PlotFiles> {
        history(&History::parse(text).unwrap())
    }

    #[test]
    fn only_the_commit_of_a_change_is_marked() {
        let value = |at: usize| if at < 15 { 100.0 + (at % 4) as f64 } else { 110.0 + (at % 4) as f64 };
        let row = |at: usize| format!("t,c{at},{},{}\n", value(at), 7 + at % 3);
        let text = "time,commit,q.sse.delivery_p50_ms,q.sse.delivered_per_s\n".to_owned();
        let plot = drawn(&(text + &(0..30).map(row).collect::<String>())).unwrap();
        let marked: Vec<_> = plot.csv.lines().filter(|line| line.ends_with(",true")).collect();
        assert_eq!(marked, ["q.sse.delivery_p50_ms,c15,113,111,true"]);
        assert!(plot.svg.contains("c15 (+9.") && plot.svg.contains("1 of 2 metrics changed"), "{}", plot.svg);
    }

    #[test]
    fn no_history_causes_a_panic() {
        for nothing in ["", "time,commit\n", "time,commit,a\n", "time,commit,a\nt,c,\n", "time,commit\nt,c\n"] {
            assert_eq!(drawn(nothing), None, "{nothing:?}");
        }
        let many: Vec<String> = (0..300).map(|at| at.to_string()).collect();
        let many = format!("time,commit,{}\nt,c,{}\n", many.join(","), many.join(","));
        let zeros = "time,commit,a\n".to_owned() + &"t,c,0\n".repeat(8) + &"t,c,5\n".repeat(8);
        let long = format!("time,commit,{0}\nt,{0},-1e15\nt,<&>\u{1b},1e15\n", "x".repeat(5_000));
        for text in ["time,commit,a\nt,c,1\n", &many, &zeros, &long] {
            let plot = drawn(text).unwrap();
            assert!(plot.png.starts_with(b"\x89PNG") && !plot.svg.contains("NaN") && !plot.svg.contains('\u{1b}'));
        }
    }
}
