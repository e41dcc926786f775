//! Comparison of predictions with runs.

use results::{Series, Subject, VerdictKind, invented};

use super::*;

fn measured(low: f64, high: f64) -> Estimate {
    Estimate { value: f64::midpoint(low, high), low: Some(low), high: Some(high), runs: 6, ..Estimate::default() }
}

#[test]
fn predictions_agree_if_intervals_overlap_and_queueing_explains_larger_values_only() {
    let predicted = PredictedRange::between(10.0, 11.0, 12.0).queued(3.0);
    let agreement = |low, high| predicted.agreement(&measured(low, high));
    assert_eq!(agreement(11.5, 14.0), PredictionCheck::Within);
    assert_eq!(agreement(12.5, 20.0), PredictionCheck::Queueing);
    assert_eq!(agreement(15.5, 20.0), PredictionCheck::Unexplained);
    assert_eq!(agreement(7.0, 9.5), PredictionCheck::Unexplained, "queueing never reduces a latency");
    assert_eq!(predicted.agreement(&Estimate { low: None, ..measured(11.0, 11.0) }), PredictionCheck::Open);
    let exact = PredictedRange::exactly(4.0);
    assert_eq!(exact.agreement(&measured(4.0, 4.0)), PredictionCheck::Within);
    assert_eq!(exact.agreement(&measured(4.01, 4.01)), PredictionCheck::Unexplained);
}

#[test]
fn the_path_latency_is_the_baseline_without_fan_out_and_queueing() {
    let job = invented::results_folder(&[100]);
    let inputs = Inputs::of(&job, "").unwrap();
    let tcp = RunSelection::of(&job, "", &Subject::BASELINE);
    let mean = tcp.estimate(MetricId::DeliveryMean).unwrap().value;
    let c = tcp.estimate(MetricId::ServerCpuPerMessage).unwrap().value / 1e3;
    // 100 clients in 10 rooms, 1,000 deliveries a second; each post has ten receivers.
    let busy = c;
    let expected = mean - 11.0 * c / 2.0 - busy * 10.0 * c / (2.0 * (1.0 - busy));
    assert!((inputs.path_ms.value - expected).abs() < 1e-9, "{} {expected}", inputs.path_ms.value);
    assert_eq!((inputs.members, inputs.random), (10.0, true));
}

#[test]
fn a_failed_prediction_is_unexplained() {
    let mut job = invented::results_folder(&[100]);
    for run in job.runs.iter_mut().filter(|run| run.record.transport == Transport::Polling) {
        run.record.latency.get_mut(&Series::DeliveryLatency).unwrap().mean_us = 5e6;
    }
    let predicted = predictions(&job, "");
    let mean = predicted
        .iter()
        .find(|prediction| prediction.transport == Transport::Polling && prediction.what.starts_with("mean"))
        .unwrap();
    assert_eq!(mean.agreement, PredictionCheck::Unexplained);
}

#[test]
fn nothing_is_predicted_without_a_baseline_or_for_overloaded_runs() {
    let mut job = invented::results_folder(&[100]);
    for run in job.runs.iter_mut().filter(|run| run.record.transport == Transport::Sse) {
        run.record.verdict.kind = VerdictKind::Overloaded;
    }
    assert!(predictions(&job, "").iter().all(|prediction| prediction.transport != Transport::Sse));
    job.runs.retain(|run| run.record.transport != Transport::Tcp);
    assert!(predictions(&job, "").is_empty());
}
