//! Curves with markers, intervals, and names at their ends.

use super::draw::{Chart, Figure, SIZE, SOFT, Scale, Stroke, SubjectStyle, spread, text_width};

/// Curves with more points have markers at some of them only.
const MARKED_MAX: usize = 26;

/// Maximum length of a connecting line within the panel.
const TIE_MAX: f64 = 70.0;

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PlotPoint {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Interval.
    pub(super) interval: Option<(f64, f64)>,
    /// Whether its runs are overloaded.
    pub(super) hollow: bool,
}

/// The curve of a transport.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    pub(super) look: SubjectStyle,
    pub(super) name: String,
    pub(super) spots: Vec<PlotPoint>,
    /// Curves of the runs.
    pub(super) runs: Vec<Vec<(f64, f64)>>,
    /// Curve of the latency from the send instant.
    pub(super) twin: Vec<(f64, f64)>,
}

impl Curve {
    /// All y values.
    pub(super) fn heights(&self) -> impl Iterator<Item = f64> {
        let spots = self.spots.iter().flat_map(|spot| {
            [Some(spot.y), spot.interval.map(|(low, _)| low), spot.interval.map(|(_, high)| high)].into_iter().flatten()
        });
        let others = self.runs.iter().flatten().chain(&self.twin).map(|(_, y)| *y);
        spots.chain(others)
    }

    /// Draws the curve. `value` is the text of a point.
    pub(super) fn draw(&self, figure: &Figure, chart: &mut Chart, place: usize, value: &dyn Fn(&PlotPoint) -> String) {
        figure.group(&self.name, || {
            self.lines(chart, place);
            for spot in &self.spots {
                figure.tip(chart.at(spot.x, spot.y), format!("{}: {}", self.name, value(spot)));
            }
        });
    }

    fn lines(&self, chart: &mut Chart, place: usize) {
        let colour = self.look.colour;
        for run in &self.runs {
            chart.line(run.iter().copied(), Stroke::new(colour, 0.9).pale(0.4));
        }
        chart.line(self.twin.iter().copied(), Stroke::new(colour, 1.2).dashed(true).pale(0.8));
        for (piece, hollow) in pieces(&self.spots) {
            chart.line(self.spots[piece].iter().map(|spot| (spot.x, spot.y)), Stroke::new(colour, 2.2).dashed(hollow));
        }
        for spot in &self.spots {
            if let Some((low, high)) = spot.interval {
                chart.error_bar_up(spot.x, [low, spot.y, high], Stroke::new(colour, 1.4));
            }
        }
        let dense = self.spots.len() > MARKED_MAX;
        let step = if dense { (self.spots.len() / 4).max(1) } else { 1 };
        let first = if dense { (place * step / 6) % step } else { 0 };
        for spot in self.spots.iter().skip(first).step_by(step) {
            chart.marker((spot.x, spot.y), self.look, 4.6, spot.hollow);
        }
    }
}

/// Splits a curve where overloaded points begin or end; adjacent parts share a point.
fn pieces(spots: &[PlotPoint]) -> Vec<(std::ops::RangeInclusive<usize>, bool)> {
    let mut pieces: Vec<(std::ops::RangeInclusive<usize>, bool)> = Vec::new();
    for (at, pair) in spots.windows(2).enumerate() {
        let hollow = pair[0].hollow || pair[1].hollow;
        match pieces.last_mut().filter(|last| last.1 == hollow) {
            Some(last) => last.0 = *last.0.start()..=at + 1,
            None => pieces.push((at..=at + 1, hollow)),
        }
    }
    pieces
}

/// Writes the names of curves into the right margin, without overlaps, connected to the ends of the
/// curves.
pub(super) fn name_ends(figure: &Figure, chart: &Chart, curves: &[Curve]) {
    let named: Vec<_> = curves.iter().filter_map(|curve| Some((curve, curve.spots.last()?))).collect();
    let ends: Vec<_> = named.iter().map(|(_, end)| chart.at(end.x, end.y)).collect();
    let height = SIZE * 1.22;
    let room = (named.len() as f64 * height - (chart.area.bottom - chart.area.top)).max(0.0) / 2.0;
    let range = (chart.area.top - room, chart.area.bottom + room);
    let heights = spread(&ends.iter().map(|end| end.1).collect::<Vec<_>>(), height, range);
    let left = chart.area.right;
    for (((curve, end), place), height) in named.iter().zip(&ends).zip(heights) {
        figure.group(&curve.name, || {
            // A long connecting line would look like data.
            if left - place.0 < TIE_MAX {
                let tie = [*place, (left + 5.0, place.1), (left + 18.0, height), (left + 22.0, height)];
                figure.line(&tie, Stroke::new(SOFT, 0.8).pale(0.6));
            }
            figure.name((left + 30.0, height), &curve.name, (curve.look, end.hollow));
        });
    }
}

/// Width of the names.
pub(super) fn names_width(curves: &[Curve]) -> f64 {
    let widths = curves.iter().map(|curve| text_width(&curve.name, SIZE));
    54.0 + widths.fold(0.0, f64::max)
}

/// Writes the names of curves as a list to the right of the panel.
pub(super) fn legend(figure: &Figure, chart: &Chart, curves: &[Curve]) {
    for (at, curve) in curves.iter().enumerate() {
        let place = (chart.area.right + 22.0, chart.area.top + 10.0 + at as f64 * SIZE * 1.4);
        let hollow = curve.spots.iter().all(|spot| spot.hollow);
        figure.group(&curve.name, || figure.name(place, &curve.name, (curve.look, hollow)));
    }
}

/// An axis for sizes: logarithmic if they span a decade, else linear from zero.
pub(super) fn fitting(values: Vec<f64>) -> Scale {
    match Scale::fitting(&values) {
        Scale::Log { .. } => Scale::log(values),
        _ => Scale::from_zero(values),
    }
}
