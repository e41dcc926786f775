//! A test report: a suite a transport, a case a gated metric.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{explained, interval, percent};
use crate::gate::{Comparison, ComparisonRow, GateVerdict};

/// A regression is a failure, what could not be decided is skipped.
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
        // A report without a case would read as one without a failure.
        let mut suite = TestSuite::new(&comparison.scenario);
        suite.add_test_case(TestCase::new("gate", skipped(comparison.notes.join("; "))));
        report.add_test_suite(suite);
    }
    // It only fails on what XML cannot hold, and our words are plain.
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
