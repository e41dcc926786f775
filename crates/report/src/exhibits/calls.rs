//! Exhibit 7: how often somebody has to act for a message: requests, writes, and how many messages share one.

use results::Figures;

use super::bars::{Bars, column, drawable, table};
use super::draw::Scene;
use super::job::{Job, Point, behind};
use super::{AROUND, Sheet};

type Of = fn(&Figures) -> Option<f64>;
const FIGURES: [(&str, Of); 3] = [
    ("requests per message", |figures| figures.requests_per_message),
    ("writes per message", |figures| figures.writes_per_message),
    ("messages per response", |figures| figures.messages_per_batch),
];

pub(super) fn exhibit(job: &Job<'_>, point: &Point<'_>) -> Option<Sheet> {
    let mut csv = table();
    let columns = FIGURES
        .map(|(head, of)| column(&mut csv, point, head, &[], &|record| of(&Figures::of(record)).into_iter().collect()));
    let bars = Bars { rows: drawable(point), columns: columns.into(), classes: &[], shaded: false };
    if bars.is_empty() {
        return None;
    }
    let title = "Requests, writes and batches";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    bars.draw(&mut scene, top);
    Some(Sheet {
        name: job.stem("07-calls-per-message", point.label),
        title: title.to_owned(),
        caption: format!(
            "HTTP requests of all clients, posts included, and writes on the server's sockets, for each delivered message; and messages \
             that share a response, chunk or write. Medians over runs, brackets {AROUND}, dots the runs. {}.",
            behind(point)
        ),
        scene,
        csv,
    })
}
