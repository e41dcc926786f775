//! Predictions from the settings of a job and from raw TCP, compared with the measurements.
//!
//! A prediction is `within` if its interval, from the uncertainty of its inputs, overlaps the
//! measured one; `explained by queueing` if it does after adding the mean queueing time; otherwise
//! `unexplained`. There is no other tolerance.

mod formulas;
mod inputs;
mod polling;
mod push;

use results::{MetricId, ResultsFolder, Subject};
use serde::{Deserialize, Serialize};
use wire::{Delivery, Transport};

use crate::selection::RunSelection;
use crate::stats::{Estimate, over_runs};
use inputs::Inputs;

/// Result of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PredictionCheck {
    /// The intervals overlap.
    Within,
    /// They overlap after adding the mean queueing time.
    Queueing,
    /// They do not overlap.
    Unexplained,
    /// The measurement has no interval.
    Open,
}

impl PredictionCheck {
    /// Name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Queueing => "explained by queueing",
            Self::Unexplained => "unexplained",
            Self::Open => "no interval",
        }
    }
}

/// A prediction and its measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Transport.
    pub transport: Transport,
    /// Predicted quantity with its unit.
    pub what: String,
    /// Formula.
    pub formula: String,
    /// Predicted value with the interval of its inputs.
    pub predicted: Estimate,
    /// Mean queueing time that may be added.
    pub queue: f64,
    /// Measured value; its interval covers variation between runs and sampling within a run.
    pub measured: Estimate,
    /// Result.
    pub agreement: PredictionCheck,
}

/// A predicted range and the queueing time that may be added.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PredictedRange {
    low: f64,
    value: f64,
    high: f64,
    queue: f64,
}

impl PredictedRange {
    const fn exactly(value: f64) -> Self {
        Self { low: value, value, high: value, queue: 0.0 }
    }

    const fn between(low: f64, value: f64, high: f64) -> Self {
        Self { low, value, high, queue: 0.0 }
    }

    const fn plus(self, more: f64) -> Self {
        Self { low: self.low + more, value: self.value + more, high: self.high + more, ..self }
    }

    const fn queued(self, queue: f64) -> Self {
        Self { queue, ..self }
    }

    fn agreement(&self, measured: &Estimate) -> PredictionCheck {
        let (Some(low), Some(high)) = (measured.low, measured.high) else { return PredictionCheck::Open };
        // Exact predictions are compared up to rounding errors.
        let slack = 1e-9 * self.value.abs();
        if low > self.high + self.queue + slack || high < self.low - slack {
            PredictionCheck::Unexplained
        } else if low > self.high + slack {
            PredictionCheck::Queueing
        } else {
            PredictionCheck::Within
        }
    }
}

/// Predictions of all transports at a point.
pub(crate) fn predictions(job: &ResultsFolder, label: &str) -> Vec<Prediction> {
    let Some(inputs) = Inputs::of(job, label) else { return Vec::new() };
    let mut cells = Vec::new();
    for transport in Transport::ALL {
        let shown = RunSelection::of(job, label, &Subject::builtin(transport));
        // The formulas do not cover overload.
        if shown.kind != Some(results::VerdictKind::Valid) {
            continue;
        }
        let mut table = Predictions { shown: &shown, inputs: &inputs, cells: &mut cells };
        let info = transport.info();
        match info.delivery {
            Delivery::Polled => polling::polling(&mut table),
            // Some of these requests carry no messages: only the framing can be predicted.
            Delivery::HeldRequest if info.requests_are_mixed => push::framing(&mut table),
            Delivery::HeldRequest => polling::long_polling(&mut table),
            // The baseline is an input of the predictions.
            Delivery::Streamed if transport == Transport::BASELINE => {}
            Delivery::Streamed => push::push(&mut table),
        }
    }
    cells
}

/// Collects the predictions of a transport.
struct Predictions<'a> {
    shown: &'a RunSelection<'a>,
    inputs: &'a Inputs,
    cells: &'a mut Vec<Prediction>,
}

impl Predictions<'_> {
    /// Measured messages per second at one client.
    fn per_s(&self) -> Option<f64> {
        let per_s = self.values(|run| {
            let seconds = run.record.window_us() as f64 / 1e6;
            (seconds > 0.0).then(|| run.record.window().delivered as f64 / seconds / self.inputs.clients.max(1.0))
        });
        results::median(&per_s)
    }

    /// Compares a metric. Its interval covers the variation between runs and the sampling within a
    /// run, because all runs share one random schedule.
    fn add_metric(&mut self, what: &str, formula: &str, predicted: Option<PredictedRange>, metric: MetricId) {
        let Some(estimate) = self.shown.estimate(metric) else { return };
        let own = self
            .shown
            .within_runs(metric)
            .map_or(SamplingError::Nothing, |(low, high)| SamplingError::Between(low, high));
        self.add(what, formula, predicted, estimate.value, own, &self.values(|run| metric.value(&run.record)));
    }

    fn values(&self, of: impl Fn(&results::Run) -> Option<f64>) -> Vec<f64> {
        self.shown.runs.iter().filter_map(|run| of(run)).collect()
    }

    /// Compares any other value; `half` is half its sampling interval within a run.
    fn add_values(&mut self, what: &str, formula: &str, predicted: Option<PredictedRange>, values: &[f64], half: f64) {
        let Some(estimate) = over_runs(values) else { return };
        self.add(what, formula, predicted, estimate.value, SamplingError::Half(half), values);
    }

    fn add(
        &mut self,
        what: &str,
        formula: &str,
        predicted: Option<PredictedRange>,
        value: f64,
        own: SamplingError,
        values: &[f64],
    ) {
        let Some(predicted) = predicted.filter(|predicted| predicted.value.is_finite()) else { return };
        let runs = over_runs(values).and_then(|estimate| estimate.ends());
        let own = match own {
            SamplingError::Half(half) => Some((value - half, value + half)),
            SamplingError::Between(low, high) => Some((low, high)),
            SamplingError::Nothing => None,
        };
        let interval = match (runs, own) {
            (Some(runs), Some(own)) => Some((runs.0.min(own.0), runs.1.max(own.1))),
            (runs, own) => runs.or(own),
        };
        // None of these quantities can be negative.
        let interval = interval.map(|(low, high)| (low.max(0.0), high));
        let measured = Estimate { runs: values.len(), ..Estimate::alone(value).with_interval(interval) };
        self.cells.push(Prediction {
            transport: self.shown.subject.transport,
            what: what.to_owned(),
            formula: formula.to_owned(),
            predicted: Estimate::alone(predicted.value).with_interval(Some((predicted.low, predicted.high))),
            queue: predicted.queue,
            measured,
            agreement: predicted.agreement(&measured),
        });
    }
}

/// Sampling interval of a value within a run.
enum SamplingError {
    Half(f64),
    Between(f64, f64),
    Nothing,
}

#[cfg(test)]
mod tests;
