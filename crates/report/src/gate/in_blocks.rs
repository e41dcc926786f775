//! The values of a subject by block, from a results folder.

use results::{MetricId, Mode, ResultsFolder, RunRecord, Subject, VerdictKind};

use crate::stats::InBlock;

/// The values of a metric in the slices of a subject that count; empty for a metric that a slice
/// does not have.
pub(crate) fn in_blocks(folder: &ResultsFolder, point: &str, subject: &Subject, metric: MetricId) -> Vec<InBlock> {
    let runs = runs_with_metrics(folder, point, subject, metric.mode());
    let slices = runs.into_iter().flat_map(|run| run.kept().map(move |slice| (run.round, slice)));
    let values = slices.filter_map(|(round, slice)| {
        let value = metric.in_slice(slice).filter(|value| value.is_finite())?;
        Some(InBlock { round, block: slice.block, value })
    });
    values.collect()
}

/// The runs of a subject whose metrics are used: valid runs, or overloaded runs if there are no
/// valid ones.
pub(crate) fn runs_with_metrics<'a>(
    folder: &'a ResultsFolder,
    point: &str,
    subject: &Subject,
    mode: Mode,
) -> Vec<&'a RunRecord> {
    let records = folder.runs.iter().map(|run| &run.record);
    let of_subject = |run: &&RunRecord| run.point == point && run.mode == mode && run.subject() == *subject;
    let (valid, overloaded): (Vec<_>, Vec<_>) = records
        .filter(of_subject)
        .filter(|run| run.verdict.kind.has_metrics())
        .partition(|run| run.verdict.kind == VerdictKind::Valid);
    if valid.is_empty() { overloaded } else { valid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slices_that_count_have_values() {
        let mut folder = results::invented::sliced(2, 5, 3);
        let cpu = |folder: &ResultsFolder, metric| in_blocks(folder, "", &Subject::BASELINE, metric);
        assert_eq!(cpu(&folder, MetricId::ServerCpuPerMessage).len(), 2 * 5);
        assert_eq!(cpu(&folder, MetricId::BackToBackCpuPerMessage).len(), 3 * 5);
        assert_eq!(cpu(&folder, MetricId::ServerBytesPerConnection), []);
        let run = folder.runs.iter_mut().find(|run| run.record.subject() == Subject::BASELINE).unwrap();
        run.record.slices[1].dropped = Some("stolen CPU time".to_owned());
        let values = cpu(&folder, MetricId::ServerCpuPerMessage);
        assert!(values.len() == 9 && values.iter().all(|one| (one.round, one.block) != (1, 2) && one.value > 0.0));
        let run = folder.runs.iter_mut().find(|run| run.record.subject() == Subject::BASELINE).unwrap();
        run.record.verdict.kind = VerdictKind::Overloaded;
        assert_eq!(cpu(&folder, MetricId::ServerCpuPerMessage).len(), 5, "valid runs are preferred");
    }
}
