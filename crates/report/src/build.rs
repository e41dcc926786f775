//! Builds the files of a report; the same folders give the same bytes.

use results::ResultsFolder;

use crate::plots::plots;
use crate::summary::Summary;
use crate::{conclusions, markdown, page};

/// The summary of folders, with the answer of each job.
fn answered(mut summary: Summary) -> Summary {
    summary.jobs.iter_mut().for_each(|job| job.answer = conclusions::sentences(job));
    summary
}

/// Answers and results of claims, as text.
fn text(summary: &Summary) -> String {
    let mut out = String::new();
    for job in &summary.jobs {
        let answer = job.answer.iter().cloned();
        let claims = job.claims.iter().map(|claim| format!("{}: {}", claim.finding.name(), claim.say));
        for line in answer.chain(claims) {
            out.extend(line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
            out.push('\n');
        }
    }
    out
}

/// All files of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tables of each job.
    pub tables: String,
    /// Answers and claims, for the end of a terminal.
    pub text: String,
    /// Path below the report's folder → bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Builds the report of one or several folders. Links to raw data assume that it is saved as
/// `report/` in the folder.
pub fn build(jobs: &[ResultsFolder]) -> Report {
    let (summary, plots) = (answered(Summary::of(jobs)), plots(jobs));
    let json = serde_json::to_vec_pretty(&summary).expect("a summary holds nothing that JSON does not know");
    let mut files = vec![
        ("report.html".to_owned(), page::html(jobs, &summary, &plots).into_bytes()),
        ("report.md".to_owned(), markdown::markdown(jobs, &summary, &plots).into_bytes()),
        ("summary.json".to_owned(), [json.as_slice(), b"\n"].concat()),
    ];
    for plot in plots {
        files.push((format!("plots/{}.svg", plot.name), plot.svg.into_bytes()));
        files.push((format!("plots/{}.png", plot.name), plot.png));
        files.push((format!("plots/{}.csv", plot.name), plot.csv.into_bytes()));
    }
    let tables: Vec<_> = summary.jobs.iter().map(crate::terminal::of_job).collect();
    Report { tables: tables.join("\n"), text: text(&summary), files }
}
