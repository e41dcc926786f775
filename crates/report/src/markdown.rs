//! `report.md`: the report as Markdown; plots are separate files.

use std::fmt::Write;

use results::ResultsFolder;

use crate::notes;
use crate::plots::PlotFiles;
use crate::summary::{JobSummary, Summary};
use crate::tables::{self, Table, Tone};

/// The whole file.
pub(crate) fn markdown(jobs: &[ResultsFolder], summary: &Summary, plots: &[PlotFiles]) -> String {
    let mut out = String::new();
    for (job, summary) in jobs.iter().zip(&summary.jobs) {
        section(job, summary, &mut out);
    }
    if !plots.is_empty() {
        out += "## Plots\n\n";
    }
    for plot in plots {
        let (title, caption) = (text(&plot.title), text(&plot.caption));
        add(
            &mut out,
            format_args!(
                "### {title}\n\n![{title}](plots/{0}.png)\n\n{caption} [SVG](plots/{0}.svg) · [data](plots/{0}.csv)\n\n",
                plot.name
            ),
        );
    }
    out += "## Method\n\n";
    for paragraph in notes::METHOD {
        add(&mut out, format_args!("- {}\n", text(paragraph)));
    }
    out
}

fn section(job: &ResultsFolder, summary: &JobSummary, out: &mut String) {
    add(out, format_args!("# {}\n\n", text(&summary.question)));
    if summary.is_partial() {
        add(out, format_args!("**partial**: {} of {} runs\n\n", summary.runs_made, summary.runs_planned));
    }
    summary.answer.iter().for_each(|sentence| add(out, format_args!("{} ", text(sentence))));
    *out += "\n\n";
    for point in &summary.points {
        if !point.point.is_empty() {
            add(out, format_args!("## {}\n\n", text(&point.point)));
        }
        out.push_str(&table(&tables::delivery(point)));
        out.push_str(&table(&tables::cost(point)));
        notes::below_tcp(point).iter().for_each(|note| add(out, format_args!("{}\n\n", text(note))));
        if point.has_money() {
            let (month, note) = (table(&tables::money(point)), notes::money(point));
            add(out, format_args!("### {}\n\n{month}{}\n\n", notes::MONEY_TITLE, text(&note)));
        }
        if point.has_shared_log() {
            let (log, note) = (table(&tables::shared_log(point)), notes::SHARED_LOG_NOTE);
            add(out, format_args!("### {}\n\n{log}{note}\n\n", notes::SHARED_LOG_TITLE));
        }
        if point.has_external_servers() {
            let beside = table(&tables::external_servers(point));
            add(
                out,
                format_args!("### {}\n\n{beside}{}\n\n", notes::EXTERNAL_SERVERS_TITLE, notes::EXTERNAL_SERVERS_NOTE),
            );
        }
        if point.has_faults() {
            add(out, format_args!("### {}\n\n{}", notes::FAULTS_TITLE, table(&tables::faults(point))));
        }
    }
    if !summary.claims.is_empty() {
        add(out, format_args!("## Claims\n\n{}", table(&tables::claims(summary))));
    }
    if !summary.published.is_empty() {
        add(out, format_args!("## Published results\n\n{}", table(&tables::published(summary))));
    }
    if summary.points.iter().any(|point| !point.theory.is_empty()) {
        *out += "## Theory and measurement\n\n";
    }
    for point in summary.points.iter().filter(|point| !point.theory.is_empty()) {
        if !point.point.is_empty() {
            add(out, format_args!("{}\n\n", text(&point.point)));
        }
        out.push_str(&table(&tables::theory(&point.theory)));
    }
    add(out, format_args!("## Validity\n\n{}", table(&tables::validity(&summary.runs))));
    *out += "## What was run\n\n";
    for (name, value) in tables::about(job) {
        add(out, format_args!("- {name}: {}\n", text(&value)));
    }
    add(out, format_args!("- folder: {}\n\n", text(&summary.folder)));
}

fn table(grid: &Table) -> String {
    let mut out = String::new();
    let head: Vec<_> = grid.head.iter().map(|head| text(head)).collect();
    let align = |at: usize| match grid.rows.first().and_then(|row| row.get(at)).map(|field| field.tone) {
        Some(Tone::Number) => "--:",
        _ => "---",
    };
    let rule: Vec<_> = (0..grid.head.len()).map(align).collect();
    add(&mut out, format_args!("| {} |\n| {} |\n", head.join(" | "), rule.join(" | ")));
    for row in &grid.rows {
        let fields: Vec<_> = row.iter().map(|field| text(&field.text)).collect();
        add(&mut out, format_args!("| {} |\n", fields.join(" | ")));
    }
    out + "\n"
}

/// Escapes Markdown and HTML, and removes line ends.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for letter in raw.chars() {
        match letter {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// Appends formatted text.
pub(crate) fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_escaped() {
        assert_eq!(
            text("a|b\n<img src=x> [x](y) `c` **d**"),
            "a\\|b &lt;img src=x&gt; \\[x\\](y) \\`c\\` \\*\\*d\\*\\*"
        );
        assert_eq!(text("# no heading & no <!-- comment"), "\\# no heading &amp; no &lt;\\!-- comment");
    }
}
