//! Exhibit 11: whether the instrument can be believed: every run, whatever its verdict.

use results::{Run, RunRecord, SPIN_LOSS_MAX, Series, VerdictKind};
use wire::Transport;

use super::Sheet;
use super::csv::{Csv, cell};
use super::draw::{
    Anchor, Area, Colour, Panel, SIZE, SMALL, SOFT, Scale, Scene, Shape, Stroke, WIDTH, look, text_width,
};
use super::job::Job;
use crate::figures::quantile;

/// Height of a strip.
const HEIGHT: f64 = 92.0;

/// What a strip shows: its name, the column of its data, how a run has it, and the line that it should not cross.
type Strip = (&'static str, &'static str, fn(&RunRecord) -> Option<f64>, Option<f64>);
const STRIPS: [Strip; 4] = [
    (
        "lateness of posts, p99, ms",
        "lateness_p99_ms",
        |record| quantile(record, Series::Lateness, "p99").map(|quantile| quantile.us as f64 / 1e3),
        None,
    ),
    (
        "busiest generator thread, share of its core",
        "generator_busy_share",
        |record| Some(record.generator.worker_busy_max),
        Some(0.85),
    ),
    (
        "posts that left, share of those planned",
        "left_share",
        |record| {
            let planned = record.planned.posts_in_window;
            (planned > 0).then(|| record.planned.left_in_window as f64 / planned as f64)
        },
        None,
    ),
    (
        "speed of the machine, share of the best",
        "spin_share",
        |record| {
            let machine = record.machine;
            (machine.spin_best > 0.0).then(|| machine.spin_before.min(machine.spin_after) / machine.spin_best)
        },
        Some(1.0 - SPIN_LOSS_MAX),
    ),
];
/// How a verdict looks.
const VERDICTS: [(VerdictKind, Shape, Colour, bool); 4] = [
    (VerdictKind::Sound, Shape::Circle, Colour(0, 158, 115), false),
    (VerdictKind::Overloaded, Shape::Diamond, Colour(230, 159, 0), true),
    (VerdictKind::Wrong, Shape::Square, Colour(213, 94, 0), false),
    (VerdictKind::Invalid, Shape::Cross, Colour(127, 127, 127), false),
];

pub(super) fn exhibit(job: &Job<'_>) -> Option<Sheet> {
    let runs = &job.evidence.runs;
    if runs.is_empty() {
        return None;
    }
    let title = "Can the instrument be believed? Every run in the order it was made";
    let about = format!("{} · {} runs: {}", job.evidence.manifest.scenario.name, runs.len(), counts(runs));
    let (mut scene, top) = Scene::titled(title, &about);
    let transports: Vec<Transport> =
        Transport::ALL.into_iter().filter(|t| runs.iter().any(|run| run.record.transport == *t)).collect();
    let names = transports.iter().map(|transport| text_width(transport.name(), SIZE)).fold(0.0, f64::max);
    let right = WIDTH - names - 50.0;
    let x = axis(runs);
    let mut top = verdicts(&mut scene, &x, runs, (top + 6.0, right));
    for (at, transport) in transports.iter().enumerate() {
        let (look, height) = (look(*transport), top + 26.0 + at as f64 * SIZE * 1.5);
        scene.dot((right + 20.0, height), look.shape, look.colour, 5.0, false);
        scene.label((right + 34.0, height), transport.name(), Anchor::Start);
    }
    let legend = top + 26.0 + transports.len() as f64 * SIZE * 1.5;
    for (at, strip) in STRIPS.iter().enumerate() {
        top = draw(&mut scene, &x, runs, *strip, (top, right), at + 1 == STRIPS.len());
    }
    scene.height = (top + 34.0).max(legend);
    Some(Sheet {
        name: job.stem("11-validity", ""),
        title: title.to_owned(),
        caption: format!(
            "Each marker is one run ({} in all), whatever its verdict; dashed lines are the limits beyond which a run is invalid. Posts may \
             leave 1 ms late (p99) or 5 % of their transport's median, and 99 % of those planned must leave.",
            runs.len()
        ),
        scene,
        csv: table(runs),
    })
}

fn counts(runs: &[Run]) -> String {
    let of = |kind| runs.iter().filter(|run| run.record.verdict.kind == kind).count();
    let all = VERDICTS.iter().map(|(kind, ..)| (kind, of(*kind))).filter(|(_, count)| *count > 0);
    all.map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

fn axis(runs: &[Run]) -> Scale {
    let numbers = || runs.iter().map(|run| f64::from(run.record.run));
    let (low, high) = (numbers().fold(f64::INFINITY, f64::min), numbers().fold(0.0, f64::max));
    Scale::Linear { low: low - 0.7, high: high + 0.7 }
}

/// The first strip, with its key; returns where the next may begin.
fn verdicts(scene: &mut Scene, x: &Scale, runs: &[Run], (top, right): (f64, f64)) -> f64 {
    let mut left = 12.0;
    for (kind, shape, colour, hollow) in VERDICTS {
        scene.dot((left + 6.0, top), shape, colour, 4.6, hollow);
        scene.small((left + 17.0, top), kind.name(), Anchor::Start);
        left += 34.0 + text_width(kind.name(), SMALL);
    }
    let area = Area { left: 58.0, top: top + 16.0, right, bottom: top + 44.0 };
    let panel = Panel { area, x: x.clone(), y: Scale::Linear { low: 0.0, high: 1.0 } };
    panel.across_ticks(scene, false);
    for run in runs {
        let verdict = VERDICTS.iter().find(|(kind, ..)| *kind == run.record.verdict.kind);
        if let Some((_, shape, colour, hollow)) = verdict {
            scene.dot(panel.at(f64::from(run.record.run), 0.5), *shape, *colour, 4.6, *hollow);
        }
    }
    area.bottom + 10.0
}

fn draw(scene: &mut Scene, x: &Scale, runs: &[Run], strip: Strip, (top, right): (f64, f64), last: bool) -> f64 {
    let (name, _, of, limit) = strip;
    let area = Area { left: 58.0, top: top + 28.0, right, bottom: top + 28.0 + HEIGHT };
    let y = Scale::from_zero(runs.iter().filter_map(|run| of(&run.record)).chain(limit));
    let panel = Panel { area, x: x.clone(), y };
    scene.text((12.0, area.top - 10.0), name, SMALL, Anchor::Start, SOFT);
    panel.up_ticks(scene, true);
    panel.across_ticks(scene, last);
    if let Some(limit) = limit {
        let line = vec![(area.left, panel.up(limit)), (area.right, panel.up(limit))];
        scene.line(line, Stroke::new(SOFT, 1.4).dashed(true));
    }
    for run in runs {
        if let Some(value) = of(&run.record) {
            let look = look(run.record.transport);
            let hollow = run.record.verdict.kind != VerdictKind::Sound;
            scene.dot(panel.at(f64::from(run.record.run), value), look.shape, look.colour, 4.2, hollow);
        }
    }
    if last {
        scene.small(
            (f64::midpoint(area.left, area.right), area.bottom + 34.0),
            "run (hollow: not sound)",
            Anchor::Middle,
        );
    }
    area.bottom + 12.0
}

fn table(runs: &[Run]) -> Csv {
    let fixed = ["run", "round", "rerun", "point", "transport", "verdict", "reasons"];
    let columns: Vec<&str> = fixed.into_iter().chain(STRIPS.iter().map(|(_, column, ..)| *column)).collect();
    let mut csv = Csv::new(&columns);
    for Run { record, .. } in runs {
        let fixed = [
            record.run.to_string(),
            record.round.to_string(),
            record.rerun.to_string(),
            record.label.clone(),
            record.transport.to_string(),
            record.verdict.kind.to_string(),
            record.verdict.reasons.join("; "),
        ];
        csv.row(fixed.into_iter().chain(STRIPS.iter().map(|(_, _, of, _)| cell(of(record)))));
    }
    csv
}
