//! JUnit report: one suite per transport, one case per gated metric.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{explained, interval, percent};
use crate::gate::{Comparison, ComparisonRow, GateVerdict};

/// Regressions are failures, inconclusive metrics are skipped.
pub fn junit(comparison: &Comparison) -> String {
    let mut report = Report::new("pushbench gate");
    for rows in comparison.rows.chunk_by(|a, b| a.transport == b.transport) {
        let mut suite = TestSuite::new(format!("{}.{}", comparison.scenario, rows[0].transport));
        rows.iter().filter_map(case).for_each(|case| {
            suite.add_test_case(case);
        });
        report.add_test_suite(suite);
    }
    if comparison.rows.is_empty() {
        // A report without a case would look like success.
        let mut suite = TestSuite::new(&comparison.scenario);
        suite.add_test_case(TestCase::new("gate", skipped(comparison.notes.join("; "))));
        report.add_test_suite(suite);
    }
    // Fails only for characters that XML does not allow; none occur here.
    report.to_string().unwrap_or_default()
}

fn skipped(why: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn case(row: &ComparisonRow) -> Option<TestCase> {
    let message = format!("{} {}: {}", percent(row.ratio), interval(row), explained(row));
    let status = match row.verdict? {
        GateVerdict::Regression => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message);
            status
        }
        GateVerdict::Inconclusive(_) => skipped(message),
        GateVerdict::Improved | GateVerdict::Same => TestCaseStatus::success(),
    };
    Some(TestCase::new(row.metric.name(), status))
}
