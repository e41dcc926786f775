//! A report: its files, the same bytes for the same folders.

use results::Evidence;

use crate::exhibits::plots;
use crate::facts::Facts;
use crate::{answer, markdown, page};

/// The same facts with the answer of each job.
fn answered(mut facts: Facts) -> Facts {
    facts.jobs.iter_mut().for_each(|job| job.answer = answer::sentences(job));
    facts
}

/// The answers in their sentences, and what became of each claim.
fn text(facts: &Facts) -> String {
    let mut out = String::new();
    for job in &facts.jobs {
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

/// Makes the report of one folder or several. Its links to raw data suppose that it stands in the folder, as `report/`.
pub fn build(jobs: &[Evidence]) -> Report {
    let (facts, plots) = (answered(Facts::of(jobs)), plots(jobs));
    let summary = serde_json::to_vec_pretty(&facts).expect("facts hold nothing that JSON does not know");
    let mut files = vec![
        ("report.html".to_owned(), page::html(jobs, &facts, &plots).into_bytes()),
        ("report.md".to_owned(), markdown::markdown(jobs, &facts, &plots).into_bytes()),
        ("summary.json".to_owned(), [summary.as_slice(), b"\n"].concat()),
    ];
    for plot in plots {
        files.push((format!("plots/{}.svg", plot.name), plot.svg.into_bytes()));
        files.push((format!("plots/{}.png", plot.name), plot.png));
        files.push((format!("plots/{}.csv", plot.name), plot.csv.into_bytes()));
    }
    let tables: Vec<_> = facts.jobs.iter().map(crate::terminal::of_facts).collect();
    Report { tables: tables.join("\n"), text: text(&facts), files }
}
