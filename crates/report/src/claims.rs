//! Claims: confirmed if all intervals satisfy them, refuted if one interval contradicts them.

use results::{MetricId, ResultsFolder, Subject};
use scenario::{Claim, Condition, LoadedScenario, Operand, Operator, Published, ScenarioFile};
use serde::{Deserialize, Serialize};
use wire::BUILTIN_SERVER;

use crate::ratios::{one_block_a_round, ratio};
use crate::selection::{RunSelection, point_names};
use crate::stats::{Estimate, InBlock, InRound, Ratio, block_ratio, excess, over_runs};

/// Result of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// All intervals satisfy it.
    Confirmed,
    /// A whole interval contradicts it.
    Refuted,
    /// An interval contains the bound, or is missing.
    NotDecidable,
}

impl Finding {
    /// Name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::NotDecidable => "not decidable",
        }
    }
}

/// A claim with its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimResult {
    /// The claim.
    pub say: String,
    /// Result of all conditions together.
    pub finding: Finding,
    /// The conditions.
    pub conditions: Vec<ConditionResult>,
}

/// A condition with its measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConditionResult {
    /// The condition as text.
    pub asks: String,
    /// Result of the condition.
    pub finding: Finding,
    /// Value of the left side.
    pub left: Option<Estimate>,
    /// Value of the right side; empty if that is a number.
    pub right: Option<Estimate>,
    /// Left / right, from slices of the same block or runs of the same round.
    pub ratio: Option<Ratio>,
}

/// A published result and the measured one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedResult {
    /// Authors and year.
    pub who: String,
    /// Description.
    pub what: String,
    /// Published value.
    pub theirs: f64,
    /// Unit of both.
    pub unit: String,
    /// Metrics behind the measured value.
    pub from: String,
    /// Measured value.
    pub ours: Option<Estimate>,
}

/// The scenario of a job, parsed again; `None` if this version cannot read it.
pub(crate) fn scenario_of(job: &ResultsFolder) -> Option<ScenarioFile> {
    let asked = &job.manifest.scenario;
    let set: Vec<_> = asked.set.iter().filter_map(|set| set.parse().ok()).collect();
    LoadedScenario::parse(&asked.file, &asked.text, &set).ok().map(|loaded| loaded.first().clone())
}

/// All claims of a job's scenario.
pub(crate) fn claims(job: &ResultsFolder, scenario: &ScenarioFile) -> Vec<ClaimResult> {
    scenario.claim.iter().map(|claim| check_claim(job, claim)).collect()
}

/// All published results of a job's scenario.
pub(crate) fn published(job: &ResultsFolder, scenario: &ScenarioFile) -> Vec<PublishedResult> {
    scenario.published.iter().map(|row| check_published(job, row)).collect()
}

fn check_claim(job: &ResultsFolder, claim: &Claim) -> ClaimResult {
    let conditions: Vec<_> = claim.condition.iter().map(|condition| check(job, condition)).collect();
    let has = |finding| conditions.iter().any(|condition| condition.finding == finding);
    let finding = match (has(Finding::Refuted), has(Finding::NotDecidable)) {
        (true, _) => Finding::Refuted,
        (false, true) => Finding::NotDecidable,
        (false, false) => Finding::Confirmed,
    };
    ClaimResult { say: claim.statement.clone(), finding, conditions }
}

/// Subject of an operand.
fn subject(term: &Operand) -> Subject {
    Subject::new(term.transport, term.target.as_deref().unwrap_or(BUILTIN_SERVER))
}

/// Runs of an operand; `None` if it names no point or several.
fn runs<'a>(job: &'a ResultsFolder, term: &Operand) -> Option<RunSelection<'a>> {
    let labels = point_names(job);
    let mut at = labels.into_iter().filter(|label| term.is_at(label));
    let (label, None) = (at.next()?, at.next()) else { return None };
    Some(RunSelection::of(job, label, &subject(term)))
}

fn check(job: &ResultsFolder, condition: &Condition) -> ConditionResult {
    let left = Measured::of(job, &condition.left);
    let right = condition.right.as_ref().map(|term| Measured::of(job, term));
    let compared = right.as_ref().and_then(|right| left.ratio(right));
    let finding = match &right {
        Some(right) => compare(&left, right, compared.as_ref(), condition),
        None => decide(left.interval(), condition.value.unwrap_or(0.0), condition.op),
    };
    ConditionResult {
        asks: condition_text(job, condition),
        finding,
        left: left.middle(),
        right: right.and_then(|right| right.middle()),
        ratio: compared,
    }
}

/// By the ratio; values that can be zero are compared by their difference.
fn compare(left: &Measured<'_>, right: &Measured<'_>, ratio: Option<&Ratio>, condition: &Condition) -> Finding {
    let factor = condition.factor.unwrap_or(1.0);
    if left.is_positive() && right.is_positive() {
        return decide(ratio.and_then(|ratio| ratio.interval), factor, condition.op);
    }
    let over = excess(&left.values, factor, &right.values);
    decide(over.and_then(|over| over.interval()), 0.0, condition.op)
}

/// Runs and values of an operand.
struct Measured<'a> {
    metric: MetricId,
    runs: Option<RunSelection<'a>>,
    values: Vec<InRound>,
}

impl<'a> Measured<'a> {
    fn of(job: &'a ResultsFolder, term: &Operand) -> Self {
        let runs = runs(job, term);
        let values = runs.as_ref().map(|runs| runs.in_rounds(term.metric)).unwrap_or_default();
        Self { metric: term.metric, runs, values }
    }

    /// The median over the rounds.
    fn middle(&self) -> Option<Estimate> {
        Some(over_runs(&self.plain())?.with_interval(None))
    }

    fn plain(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    fn is_positive(&self) -> bool {
        self.values.iter().all(|(_, value)| *value > 0.0)
    }

    fn ratio(&self, right: &Self) -> Option<Ratio> {
        ratio((self.runs.as_ref()?, self.metric), (right.runs.as_ref()?, right.metric))
    }

    /// The 95 % interval of the value over the rounds: that of its ratio to 1. A value that can be
    /// zero has that of its median.
    fn interval(&self) -> Option<(f64, f64)> {
        if !self.is_positive() {
            return over_runs(&self.plain())?.interval();
        }
        let own = one_block_a_round(&self.values);
        let one: Vec<_> = own.iter().map(|own| InBlock { value: 1.0, ..*own }).collect();
        block_ratio(&own, &one)?.interval
    }
}

/// Compares an interval with a bound, up to rounding errors.
fn decide(interval: Option<(f64, f64)>, bound: f64, is: Operator) -> Finding {
    let Some((low, high)) = interval else { return Finding::NotDecidable };
    let slack = 1e-9 * bound.abs();
    let (holds, fails) = match is {
        Operator::AtLeast => (low >= bound - slack, high < bound - slack),
        Operator::AtMost => (high <= bound + slack, low > bound + slack),
    };
    match (holds, fails) {
        (true, _) => Finding::Confirmed,
        (false, true) => Finding::Refuted,
        (false, false) => Finding::NotDecidable,
    }
}

fn condition_text(job: &ResultsFolder, condition: &Condition) -> String {
    let bound = match (&condition.right, condition.factor, condition.value) {
        (Some(right), None, _) => operand_text(job, right),
        (Some(right), Some(times), _) => format!("{times} × {}", operand_text(job, right)),
        (None, _, value) => value.map_or_else(String::new, |value| value.to_string()),
    };
    format!("{} is {} {bound}", operand_text(job, &condition.left), condition.op.name())
}

fn operand_text(job: &ResultsFolder, term: &Operand) -> String {
    let at = term.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
    let mark = if runs(job, term).is_some_and(|runs| runs.is_overloaded()) { " (overloaded)" } else { "" };
    format!("{} of {}{mark}{at}", term.metric.name(), subject(term))
}

fn check_published(job: &ResultsFolder, row: &Published) -> PublishedResult {
    let left = Measured::of(job, &row.left);
    let ours = match &row.right {
        Some(right) => left.ratio(&Measured::of(job, right)).map(|ratio| {
            let runs = ratio.rounds;
            Estimate { runs, ..Estimate::alone(ratio.value).with_interval(ratio.interval) }
        }),
        None => left.middle(),
    };
    let times = row.factor.unwrap_or(1.0);
    let scaled = row.factor.map_or_else(String::new, |times| format!("{times} × "));
    let divided = row.right.as_ref().map_or_else(String::new, |right| format!(" / {}", operand_text(job, right)));
    PublishedResult {
        who: row.who.clone(),
        what: row.what.clone(),
        theirs: row.value,
        unit: row.unit.clone(),
        from: format!("{scaled}{}{divided}", operand_text(job, &row.left)),
        ours: ours.map(|ours| ours.times(times)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::invented;

    const SCENARIO: &str = "name = 'x'\nquestion = '?'\nclients = 100\nrooms = 10\n[posts]\nper_client_per_s = 1\n";

    fn findings(claims: &str, change: impl Fn(&mut ResultsFolder)) -> Vec<Finding> {
        let mut job = invented::results_folder(&[100, 1000]);
        invented::repeat(&mut job);
        job.manifest.scenario.text = format!("{SCENARIO}{claims}");
        change(&mut job);
        let scenario = scenario_of(&job).unwrap();
        super::claims(&job, &scenario).into_iter().map(|claim| claim.finding).collect()
    }

    fn claim(conditions: &[&str]) -> String {
        let conditions: String =
            conditions.iter().map(|condition| format!("[[claim.condition]]\n{condition}\n")).collect();
        format!("[[claim]]\nstatement = 'It is so'\n{conditions}")
    }

    const POLLING: &str = "left = {metric = 'delivery_p50_ms', transport = 'polling', at = 'clients=100'}";
    const WEBSOCKET: &str = "right = {metric = 'delivery_p50_ms', transport = 'websocket', at = 'clients=100'}";

    #[test]
    fn a_claim_is_decided_only_if_the_whole_interval_is_on_one_side() {
        let asks = |op: &str, factor: f64| claim(&[&format!("{POLLING}\nop = '{op}'\nfactor = {factor}\n{WEBSOCKET}")]);
        assert_eq!(findings(&asks(">=", 100.0), |_| {}), [Finding::Confirmed]);
        assert_eq!(findings(&asks("<=", 100.0), |_| {}), [Finding::Refuted]);
        let middle = |job: &mut ResultsFolder| {
            let websocket =
                job.runs.iter().find(|run| run.record.transport.name() == "websocket").unwrap().record.clone();
            for (at, run) in job.runs.iter_mut().filter(|run| run.record.transport.name() == "polling").enumerate() {
                let p50 = websocket.slices[0].delivery_p50_us.unwrap();
                run.record.slices[0].delivery_p50_us = Some(p50 + 40 * at as u64);
            }
        };
        assert_eq!(findings(&asks(">=", 1.5), middle), [Finding::NotDecidable]);
    }

    #[test]
    fn a_job_of_short_slices_decides_small_differences() {
        let back_to_back = |op: &str, factor: f64| {
            let term =
                |transport: &str| format!("{{metric = 'back_to_back_cpu_us_per_message', transport = '{transport}'}}");
            let asks = format!("left = {}\nop = '{op}'\nfactor = {factor}\nright = {}", term("sse"), term("tcp"));
            let mut job = invented::sliced(4, 20, 10);
            job.manifest.scenario.text = format!("{SCENARIO}{}", claim(&[&asks]));
            super::claims(&job, &scenario_of(&job).unwrap()).remove(0)
        };
        let found = back_to_back(">=", 2.2);
        assert_eq!((found.finding, back_to_back(">=", 2.25).finding), (Finding::Confirmed, Finding::Refuted));
        let condition = &found.conditions[0];
        assert!(condition.ratio.unwrap().interval.is_some() && condition.left.unwrap().interval().is_none());
    }

    #[test]
    fn one_failed_condition_refutes_a_claim() {
        let (holds, fails) = ("op = '>='\nvalue = 1.0", "op = '<='\nvalue = 1.0");
        let both = |second: &str| claim(&[&format!("{POLLING}\n{holds}"), &format!("{POLLING}\n{second}")]);
        assert_eq!(findings(&both(holds), |_| {}), [Finding::Confirmed]);
        assert_eq!(findings(&both(fails), |_| {}), [Finding::Refuted]);
    }

    #[test]
    fn claims_about_missing_runs_are_not_decidable() {
        let asks = claim(&[&format!("{POLLING}\nop = '>='\nvalue = 1.0")]);
        assert_eq!(findings(&asks, |job| job.runs.clear()), [Finding::NotDecidable]);
        assert_eq!(findings(&asks, |job| job.runs.retain(|run| run.record.round < 4)), [Finding::NotDecidable]);
        let invalid = |job: &mut ResultsFolder| {
            job.runs.iter_mut().for_each(|run| run.record.verdict.kind = results::VerdictKind::Invalid);
        };
        assert_eq!(findings(&asks, invalid), [Finding::NotDecidable]);
        let unnamed = asks.replace(", at = 'clients=100'", "");
        assert_eq!(
            findings(&unnamed, |_| {}),
            [Finding::NotDecidable],
            "there are two points, and the condition names none"
        );
    }

    #[test]
    fn a_published_value_is_listed_with_the_measured_one() {
        let mut job = invented::results_folder(&[100]);
        invented::repeat(&mut job);
        let row = "[[published]]\nwho = 'A'\nwhat = 'B'\nvalue = 6.6\nunit = 'Mbit/s'\nfactor = 2.0\n\
                   left = {metric = 'framing_bytes_per_message', transport = 'websocket'}";
        job.manifest.scenario.text = format!("{SCENARIO}{row}");
        let rows = super::published(&job, &scenario_of(&job).unwrap());
        let ours = rows[0].ours.unwrap();
        assert_eq!((rows[0].theirs, ours.value, ours.interval(), ours.runs), (6.6, 8.0, None, 6));
    }
}
