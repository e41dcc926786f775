//! The exit code of a job that was not interrupted, with a sentence for everything that a user has
//! to know or do.

use std::path::Path;

use results::{Manifest, PlannedSubject, RunEnd, RunRecord, VerdictKind};

use crate::exit::NO_METRICS;

/// Exit code and sentences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) sentences: Vec<String>,
}

/// Compares the runs with the plan: every subject needs a run with metrics, and none that crashed
/// or was wrong. `folder` is the results folder.
pub(crate) fn outcome(manifest: &Manifest, records: &[RunRecord], folder: &Path) -> Outcome {
    let (mut failed, mut sentences, mut without) = (false, Vec::new(), Vec::new());
    for planned in &manifest.subjects {
        let runs: Vec<_> = records.iter().filter(|record| is_of(record, planned)).collect();
        let crash = crash(planned, &runs, folder);
        failed |= crash.is_some();
        sentences.extend(crash);
        if !runs.iter().any(|run| run.verdict.kind.has_metrics()) {
            without.push(format!("{} ({})", name(planned), why(runs.last())));
        }
    }
    if records.iter().any(|record| record.verdict.kind == VerdictKind::Wrong) {
        failed = true;
        sentences.push(
            "a server lost, doubled, reordered or altered messages, or sent malformed data; see the runs with the verdict wrong"
                .to_owned(),
        );
    }
    if !without.is_empty() {
        sentences.push(format!("no metrics for {}", without.join(", ")));
    }
    sentences.extend(spoiled(records));
    let code = match (failed, without.is_empty()) {
        (true, _) => 1,
        (false, false) => NO_METRICS,
        (false, true) => 0,
    };
    Outcome { code, sentences }
}

/// Advice when runs are invalid.
fn spoiled(records: &[RunRecord]) -> Option<String> {
    let count = records.iter().filter(|run| run.verdict.kind == VerdictKind::Invalid).count();
    (count > 0).then(|| {
        format!(
            "{count} of {} runs are invalid and count in no result: end other programs on this machine and run again \
             (`pushbench doctor` checks it), give a longer --budget, or lower the load",
            records.len()
        )
    })
}

fn is_of(record: &RunRecord, planned: &PlannedSubject) -> bool {
    (record.transport.name(), &record.target, &record.point)
        == (planned.transport.as_str(), &planned.target, &planned.point)
}

/// How the server of a subject crashed, in the last run in which it did.
fn crash(planned: &PlannedSubject, runs: &[&RunRecord], folder: &Path) -> Option<String> {
    let crashes = runs.iter().filter_map(|run| match &run.ended {
        RunEnd::Crashed(crash) => Some((run.run, crash)),
        RunEnd::Complete | RunEnd::Interrupted | RunEnd::Failed(_) => None,
    });
    let crashes: Vec<_> = crashes.collect();
    let (run, crash) = crashes.last()?;
    let file = folder.join(format!("runs/{run:04}.json"));
    Some(format!(
        "{} crashed in {} of {} runs: {crash}\nsee {}",
        name(planned),
        crashes.len(),
        runs.len(),
        file.display()
    ))
}

fn why(last: Option<&&RunRecord>) -> String {
    match last.map(|run| &run.verdict) {
        None => "not run".to_owned(),
        // Other sentences tell why.
        Some(verdict) if verdict.kind != VerdictKind::Invalid => verdict.kind.to_string(),
        Some(verdict) => format!("{}: {}", verdict.kind, verdict.reasons.join("; ")),
    }
}

fn name(planned: &PlannedSubject) -> String {
    let target = if planned.target == wire::BUILTIN_SERVER { String::new() } else { format!(" @ {}", planned.target) };
    let label = if planned.point.is_empty() { String::new() } else { format!(" at {}", planned.point) };
    format!("{}{target}{label}", planned.transport)
}

#[cfg(test)]
mod tests {
    use results::{Crash, ResultsFolder, RunVerdict, invented};

    use super::*;

    fn of(job: &ResultsFolder) -> (u8, Vec<String>) {
        let records: Vec<_> = job.runs.iter().map(|run| run.record.clone()).collect();
        let Outcome { code, sentences } = outcome(&job.manifest, &records, Path::new("there"));
        (code, sentences)
    }

    /// A job with changed runs over SSE at the second point.
    fn changed(change: impl Fn(&mut RunRecord)) -> ResultsFolder {
        let mut job = invented::results_folder(&[10, 100]);
        let records = job.runs.iter_mut().map(|run| &mut run.record);
        records.filter(|run| run.transport.name() == "sse" && run.point == "clients=100").for_each(change);
        job
    }

    fn verdict(kind: VerdictKind, reason: &str) -> RunVerdict {
        RunVerdict { kind, reasons: vec![reason.to_owned()] }
    }

    fn advice(invalid: u32, runs: u32) -> String {
        format!(
            "{invalid} of {runs} runs are invalid and count in no result: end other programs on this machine and run again \
             (`pushbench doctor` checks it), give a longer --budget, or lower the load"
        )
    }

    #[test]
    fn a_job_with_metrics_for_every_subject_succeeds() {
        assert_eq!(of(&invented::results_folder(&[10, 100])), (0, vec![]));
        let one_of_three = changed(|run| {
            if run.round < 3 {
                run.verdict = verdict(VerdictKind::Invalid, "late");
            }
        });
        assert_eq!(of(&one_of_three), (0, vec![advice(2, 60)]));
        let overloaded = changed(|run| run.verdict = verdict(VerdictKind::Overloaded, "behind"));
        assert_eq!(of(&overloaded), (0, vec![]));
    }

    #[test]
    fn subjects_without_metrics_are_named_with_their_last_reason() {
        let invalid = changed(|run| run.verdict = verdict(VerdictKind::Invalid, &format!("late in {}", run.round)));
        let none = "no metrics for sse at clients=100 (invalid: late in 3)".to_owned();
        assert_eq!(of(&invalid), (6, vec![none, advice(3, 60)]));
        let mut not_run = invented::results_folder(&[10]);
        not_run.runs.retain(|run| run.record.transport.name() != "tcp");
        assert_eq!(of(&not_run), (6, vec!["no metrics for tcp (not run)".to_owned()]));
    }

    #[test]
    fn a_crash_is_a_failure_whatever_the_other_runs_measured() {
        let crashed = |rounds| {
            changed(move |run| {
                if run.round <= rounds {
                    let how = format!("exited in {}", run.round);
                    run.verdict = verdict(VerdictKind::Crashed, &how);
                    run.ended = RunEnd::Crashed(Crash { how, last_output: vec!["boom".to_owned()] });
                }
            })
        };
        let expected = |rounds: u32, run: u32| {
            format!(
                "sse at clients=100 crashed in {rounds} of 3 runs: exited in {rounds}; its output ended with:\n  | boom\n\
                 see there/runs/{run:04}.json"
            )
        };
        assert_eq!(of(&crashed(1)), (1, vec![expected(1, 15)]));
        let none = "no metrics for sse at clients=100 (crashed)".to_owned();
        assert_eq!(of(&crashed(3)), (1, vec![expected(3, 55), none]));
    }

    #[test]
    fn one_wrong_run_is_a_failure() {
        let (code, sentences) = of(&changed(|run| {
            if run.round == 2 {
                run.verdict = verdict(VerdictKind::Wrong, "1 lost");
            }
        }));
        assert_eq!((code, sentences.len()), (1, 1), "{sentences:?}");
    }
}
