//! `report.html`: one file that needs no other and no network. Everything that was not written here is escaped by `maud`.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use results::ResultsFolder;

use crate::plots::PlotFiles;
use crate::summary::{JobSummary, Summary};
use crate::tables::{self, Table, Tone};

const STYLE: &str = include_str!("page.css");
/// What all pictures in the page may take together; others stand beside it as files.
const PICTURES_BYTES_MAX: usize = 2_500_000;

/// The whole page.
pub(crate) fn html(jobs: &[ResultsFolder], summary: &Summary, plots: &[PlotFiles]) -> String {
    let title = match summary.jobs.as_slice() {
        [job] => format!("{} – pushbench", job.scenario),
        several => format!("{} jobs – pushbench", several.len()),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    @for summary in &summary.jobs { (opening(summary)) }
                    (pictures(plots))
                    @for (job, summary) in jobs.iter().zip(&summary.jobs) { (details(job, summary, jobs.len() == 1)) }
                    section id="method" {
                        h2 { "Method" }
                        @for paragraph in tables::METHOD { p { (paragraph) } }
                    }
                }
                footer { "Made by pushbench from the raw data alone; the same folders give the same report." }
            }
        }
    };
    page.into_string()
}

/// What a reader came for: the question, the answer, the summary.
fn opening(job: &JobSummary) -> Markup {
    html! {
        header {
            p.kicker { "pushbench · " (job.scenario) " · " (job.folder) }
            h1 { (job.question) }
            @if job.is_partial() {
                p.partial { strong { "partial" } ": " (job.runs_made) " of " (job.runs_planned) " runs" }
            }
            div.answer { @for sentence in &job.answer { p { (sentence) } } }
        }
        section {
            @for point in &job.points {
                @if !point.point.is_empty() { h2 { (point.point) } }
                h3 { "When messages arrive" }
                (table(&tables::delivery(point)))
                h3 { "What that costs" }
                (table(&tables::cost(point)))
                @if point.has_external_servers() {
                    h3 { (tables::EXTERNAL_SERVERS_TITLE) }
                    (table(&tables::external_servers(point)))
                    p { (tables::EXTERNAL_SERVERS_NOTE) }
                }
                @if point.has_faults() {
                    h3 { (tables::FAULTS_TITLE) }
                    (table(&tables::faults(point)))
                }
            }
        }
        @if !job.claims.is_empty() {
            section { h2 { "Claims" } (table(&tables::claims(job))) }
        }
        @if !job.published.is_empty() {
            section { h2 { "Published figures beside ours" } (table(&tables::published(job))) }
        }
    }
}

fn pictures(plots: &[PlotFiles]) -> Markup {
    let mut left = PICTURES_BYTES_MAX;
    let fits = plots.iter().map(|plot| {
        let fits = plot.svg.len() <= left;
        left -= if fits { plot.svg.len() } else { 0 };
        (plot, fits)
    });
    html! {
        @if !plots.is_empty() {
            section id="plots" {
                h2 { "Plots" }
                @for (plot, fits) in fits {
                    metric id=(plot.name) {
                        @if fits {
                            div.plot { (PreEscaped(svg_element(&plot.svg))) }
                        } @else {
                            h3 { (plot.title) }
                            p { "This picture is too large for the page: " a href={ "plots/" (plot.name) ".svg" } { "open it" } "." }
                        }
                        figcaption {
                            (plot.caption) " "
                            a href={ "plots/" (plot.name) ".csv" } { "data" } " · "
                            a href={ "plots/" (plot.name) ".svg" } { "SVG" } " · "
                            a href={ "plots/" (plot.name) ".png" } { "PNG" }
                        }
                    }
                }
            }
        }
    }
}

/// The element alone: a declaration before it has no place inside a page.
fn svg_element(svg: &str) -> &str {
    svg.find("<svg").map_or("", |at| &svg[at..])
}

/// What a reader who doubts wants to see.
fn details(job: &ResultsFolder, summary: &JobSummary, alone: bool) -> Markup {
    let theory: Vec<_> = summary.points.iter().filter(|point| !point.theory.is_empty()).collect();
    html! {
        @if !theory.is_empty() {
            section {
                h2 { "Theory beside measurement" }
                @for point in theory {
                    @if !point.point.is_empty() { h3 { (point.point) } }
                    (table(&tables::theory(&point.theory)))
                }
            }
        }
        section {
            h2 { "Validity" }
            (table(&tables::validity(summary)))
        }
        section {
            h2 { "What was run" }
            div.scroll { table.about { @for (name, value) in tables::about(job) { tr { th scope="row" { (name) } td { (value) } } } } }
            details {
                summary { "Scenario" }
                pre { (job.manifest.scenario.text) }
                @for set in &job.manifest.scenario.set { pre { "--set " (set) } }
            }
            p {
                "Raw data: folder " code { (summary.folder) }
                @if alone {
                    ", with " a href="../manifest.json" { "manifest" } ", " a href="../runs/" { "runs" } " and "
                    a href="../histograms/" { "histograms" } "; this page in figures: " a href="summary.json" { "summary.json" }
                }
                "."
            }
        }
    }
}

fn table(grid: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { @for head in &grid.head { th scope="col" { (head) } } } }
                tbody {
                    @for row in &grid.rows {
                        tr { @for field in row { td class=(class(field.tone)) { (field.text) } } }
                    }
                }
            }
        }
    }
}

const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Name => "name",
        Tone::Words => "words",
        Tone::Number => "number",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Open => "open",
    }
}
