//! Theory beside measurement: what follows from the job's settings and the floor, and whether the runs agree.
//!
//! A cell is `within` when what was predicted, with the interval of its inputs, meets what was measured with its interval; `explained
//! by queueing` when it does once the mean wait behind other messages is added; else `unexplained`. No cell has a tolerance of its own.

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

/// What a prediction comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PredictionCheck {
    /// Prediction and measurement meet.
    Within,
    /// They meet when the wait behind other messages is added.
    Queueing,
    /// They do not.
    Unexplained,
    /// The measurement has no interval.
    Open,
}

impl PredictionCheck {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Queueing => "explained by queueing",
            Self::Unexplained => "unexplained",
            Self::Open => "no interval",
        }
    }
}

/// One prediction beside its measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Of whom.
    pub transport: Transport,
    /// What is predicted, with its unit.
    pub what: String,
    /// From what.
    pub formula: String,
    /// The prediction; its interval is that of its inputs.
    pub predicted: Estimate,
    /// What waiting behind other messages adds at most to what is measured.
    pub queue: f64,
    /// The measurement; its interval is that of the runs together with that of the messages in a run.
    pub measured: Estimate,
    /// Whether they agree.
    pub agreement: PredictionCheck,
}

/// A prediction and, where other messages are waited for, what that adds.
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
        // What is exact is compared as exactly as divisions are.
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

/// The cells of all transports at a point.
pub(crate) fn predictions(job: &ResultsFolder, label: &str) -> Vec<Prediction> {
    let Some(inputs) = Inputs::of(job, label) else { return Vec::new() };
    let mut cells = Vec::new();
    for transport in Transport::ALL {
        let shown = RunSelection::of(job, label, &Subject::builtin(transport));
        // A backlog is beyond these formulas.
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

/// Where a transport's cells go.
struct Predictions<'a> {
    shown: &'a RunSelection<'a>,
    inputs: &'a Inputs,
    cells: &'a mut Vec<Prediction>,
}

impl Predictions<'_> {
    /// Messages a second that came to one subscriber, whatever the plan was.
    fn per_s(&self) -> Option<f64> {
        let per_s = self.values(|run| {
            let seconds = run.record.window_us() as f64 / 1e6;
            (seconds > 0.0).then(|| run.record.window().delivered as f64 / seconds / self.inputs.seats.max(1.0))
        });
        results::median(&per_s)
    }

    /// A figure of the runs: its interval is that of the runs, widened to what a run's own messages say, because every run replays
    /// one plan and shares what chance gave it.
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

    /// Anything else, `half` being half the interval that the sample in one run has.
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
        // Nothing that is looked at here can be below zero.
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

/// What a run says by itself of the uncertainty of its figure.
enum SamplingError {
    Half(f64),
    Between(f64, f64),
    Nothing,
}

#[cfg(test)]
mod tests;
