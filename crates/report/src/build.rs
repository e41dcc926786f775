//! Builds the files of a report; the same folders give the same bytes.

use results::ResultsFolder;

use crate::columns::wrapped;
use crate::plots::plots;
use crate::summary::Summary;
use crate::{conclusions, markdown, page};

/// The text of `summary.json`.
pub fn summary_json(summary: &Summary) -> String {
    let json = serde_json::to_string_pretty(summary).expect("a summary holds nothing that JSON does not know");
    json + "\n"
}

/// The summary of results folders, with the conclusions of each job.
pub fn summary(jobs: &[ResultsFolder]) -> Summary {
    let mut summary = Summary::of(jobs);
    summary.jobs.iter_mut().for_each(|job| job.answer = conclusions::sentences(job));
    summary
}

/// The conclusions and the result of each claim, a line each.
fn text(summary: &Summary) -> String {
    let mut out = String::new();
    for job in &summary.jobs {
        let answer = job.answer.iter().cloned();
        let claims = job.claims.iter().map(|claim| format!("{}: {}", claim.finding.name(), claim.say));
        for line in answer.chain(claims) {
            let line: String = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            out += &wrapped(&line, 2);
            out.push('\n');
        }
    }
    out
}

/// All files of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The numbers behind everything else.
    pub summary: Summary,
    /// Conclusions and claims for a terminal.
    pub text: String,
    /// Path below the report's folder → bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Builds the report of one or several folders. Links to raw data assume that it is saved as
/// `report/` in the folder.
pub fn build(jobs: &[ResultsFolder]) -> Report {
    let (summary, plots) = (summary(jobs), plots(jobs));
    let mut files = vec![
        ("report.html".to_owned(), page::html(jobs, &summary, &plots).into_bytes()),
        ("report.md".to_owned(), markdown::markdown(jobs, &summary, &plots).into_bytes()),
        ("summary.json".to_owned(), summary_json(&summary).into_bytes()),
    ];
    for plot in plots {
        files.push((format!("plots/{}.svg", plot.name), plot.svg.into_bytes()));
        files.push((format!("plots/{}.png", plot.name), plot.png));
        files.push((format!("plots/{}.csv", plot.name), plot.csv.into_bytes()));
    }
    Report { text: text(&summary), summary, files }
}
