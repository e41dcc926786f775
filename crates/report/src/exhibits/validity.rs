//! Exhibit 11: whether the instrument can be believed: every run, whatever its verdict.

use results::{
    LATENESS_MAX_US, OFFERED_SHARE_OFF_MAX, Run, RunRecord, SPIN_LOSS_MAX, Series, VerdictKind, WORKER_BUSY_MAX,
    quantile,
};

use super::Sheet;
use super::csv::{Csv, cell};
use super::draw::{Anchor, Area, Colour, Panel, SIZE, SMALL, SOFT, Scale, Scene, Shape, Stroke, WIDTH, text_width};
use super::job::Job;

/// Height of a strip.
const HEIGHT: f64 = 92.0;

/// What a strip shows: its name, the column of its data, how a run has it, and the line that it should not cross.
struct Strip {
    name: &'static str,
    column: &'static str,
    of: fn(&RunRecord) -> Option<f64>,
    limit: Option<f64>,
    log: bool,
}
const STRIPS: [Strip; 4] = [
    Strip {
        name: "lateness of posts, p99, ms (dashed: fair for all)",
        column: "lateness_p99_ms",
        of: |record| quantile(record, Series::Lateness, "p99").map(|quantile| quantile.us as f64 / 1e3),
        limit: Some(LATENESS_MAX_US as f64 / 1e3),
        log: true,
    },
    Strip {
        name: "busiest generator thread, % of its core",
        column: "generator_busy_percent",
        of: |record| Some(record.generator.worker_busy_max * 100.0),
        limit: Some(WORKER_BUSY_MAX * 100.0),
        log: false,
    },
    Strip {
        name: "posts of the window that never left, %",
        column: "not_left_percent",
        of: |record| {
            let (planned, left) = (record.planned.posts_in_window, record.planned.left_in_window);
            (planned > 0).then(|| planned.saturating_sub(left) as f64 * 100.0 / planned as f64)
        },
        limit: Some(OFFERED_SHARE_OFF_MAX * 100.0),
        log: false,
    },
    Strip {
        name: "speed the machine lost, % of its best",
        column: "spin_lost_percent",
        of: |record| {
            let machine = record.machine;
            let slowest = machine.spin_before.min(machine.spin_after);
            (machine.spin_best > 0.0).then(|| (1.0 - slowest / machine.spin_best).max(0.0) * 100.0)
        },
        limit: Some(SPIN_LOSS_MAX * 100.0),
        log: false,
    },
];
/// How a verdict looks.
const VERDICTS: [(VerdictKind, Shape, Colour, bool); 5] = [
    (VerdictKind::Sound, Shape::Circle, Colour(0, 158, 115), false),
    (VerdictKind::Overloaded, Shape::Diamond, Colour(230, 159, 0), true),
    (VerdictKind::Wrong, Shape::Square, Colour(213, 94, 0), false),
    (VerdictKind::Crashed, Shape::Up, Colour(204, 121, 167), false),
    (VerdictKind::Invalid, Shape::Cross, Colour(127, 127, 127), false),
];

pub(super) fn exhibit(job: &Job<'_>) -> Option<Sheet> {
    let runs = &job.evidence.runs;
    if runs.is_empty() {
        return None;
    }
    let title = "Whether the instrument can be believed, run by run";
    let about = format!("{} · {} runs: {}", job.evidence.manifest.scenario.name, runs.len(), counts(runs));
    let (mut scene, top) = Scene::titled(title, &about);
    let names = job.looks.iter().map(|(subject, _)| text_width(&subject.to_string(), SIZE)).fold(0.0, f64::max);
    let right = WIDTH - names - 50.0;
    let x = axis(runs);
    let mut top = verdicts(&mut scene, &x, runs, (top + 6.0, right));
    for (at, (subject, look)) in job.looks.iter().enumerate() {
        let height = top + 26.0 + at as f64 * SIZE * 1.5;
        scene.dot((right + 20.0, height), look.shape, look.colour, 5.0, false);
        scene.label((right + 34.0, height), &subject.to_string(), Anchor::Start);
    }
    let legend = top + 26.0 + job.looks.len() as f64 * SIZE * 1.5;
    for (at, strip) in STRIPS.iter().enumerate() {
        top = draw(&mut scene, &x, job, strip, (top, right), at + 1 == STRIPS.len());
    }
    scene.height = (top + 34.0).max(legend);
    Some(Sheet {
        name: job.stem("11-validity", ""),
        title: title.to_owned(),
        caption: format!(
            "Each marker is one run ({} in all), whatever its verdict; dashed lines are the limits beyond which a run is invalid. Posts may \
             also be late by 5 % of their transport's own median.",
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

fn draw(scene: &mut Scene, x: &Scale, job: &Job<'_>, strip: &Strip, (top, right): (f64, f64), last: bool) -> f64 {
    let Strip { name, of, limit, log, .. } = *strip;
    let runs = &job.evidence.runs;
    let area = Area { left: 58.0, top: top + 28.0, right, bottom: top + 28.0 + HEIGHT };
    let values = runs.iter().filter_map(|run| of(&run.record)).chain(limit);
    let y = if log { Scale::log(values) } else { Scale::from_zero(values) };
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
            let Some((_, look)) = job.looks.iter().find(|(subject, _)| *subject == run.record.subject()) else {
                continue;
            };
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
    let columns: Vec<&str> = fixed.into_iter().chain(STRIPS.iter().map(|strip| strip.column)).collect();
    let mut csv = Csv::new(&columns);
    for Run { record, .. } in runs {
        let fixed = [
            record.run.to_string(),
            record.round.to_string(),
            record.rerun.to_string(),
            record.label.clone(),
            record.subject().to_string(),
            record.verdict.kind.to_string(),
            record.verdict.reasons.join("; "),
        ];
        csv.row(fixed.into_iter().chain(STRIPS.iter().map(|strip| cell((strip.of)(record)))));
    }
    csv
}
