//! Axes: positions of values, and ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Upper bound of drawn values, so that margins stay finite.
const LARGEST: f64 = 1e300;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::plots) enum Scale {
    /// Linear.
    Linear { low: f64, high: f64 },
    /// Logarithmic.
    Log { low: f64, high: f64 },
    /// Shares by their number of nines, up to this many.
    Nines(f64),
    /// Categories.
    Names(Vec<String>),
    /// Rows from top to bottom, without ticks: row 0 is from 0 to 1.
    Rows(usize),
}

/// Ticks of shares.
const NINES: [(f64, &str); 8] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.999_99, "99.999 %"),
    (0.999_999, "99.9999 %"),
];

impl Scale {
    /// Linear from zero to slightly above the maximum.
    pub(in crate::plots) fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let most = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max).min(LARGEST);
        Self::Linear { low: 0.0, high: if most > 0.0 { most * 1.06 } else { 1.0 } }
    }

    /// Logarithmic around the positive values, with ends at 1, 2 or 5 of a decade.
    pub(in crate::plots) fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let positive: Vec<f64> = values.into_iter().filter(|value| value.is_finite() && *value > 0.0).collect();
        let low = positive.iter().copied().fold(f64::INFINITY, f64::min);
        let high = positive.iter().copied().fold(0.0, f64::max).min(LARGEST);
        if positive.is_empty() {
            return Self::Log { low: 1.0, high: 10.0 };
        }
        let (low, high) = (round_down(low / 1.02), round_up(high * 1.02));
        Self::Log { low, high }
    }

    /// Logarithmic if the values span a decade and none is zero, else linear.
    pub(in crate::plots) fn fitting(values: &[f64]) -> Self {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max).min(LARGEST);
        if least > 0.0 && most >= 10.0 * least {
            return Self::Log { low: least / 1.15, high: most * 1.15 };
        }
        let margin = if most > least { (most - least) * 0.04 } else { 0.5 };
        let low = if least >= 0.0 { (least - margin).max(0.0) } else { least - margin };
        Self::Linear { low, high: most + margin }
    }

    /// Position of a value, from 0 to 1.
    pub(in crate::plots) fn place(&self, value: f64) -> f64 {
        match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value.max(f64::MIN_POSITIVE) / low).ln() / (high / low).ln(),
            Self::Nines(most) => nines(value) / most,
            Self::Names(names) => (value + 0.5) / names.len().max(1) as f64,
            Self::Rows(rows) => 1.0 - value / (*rows).max(1) as f64,
        }
    }

    /// Ticks, at most about `most`.
    pub(in crate::plots) fn ticks(&self, most: usize) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => linear(*low, *high, most),
            Self::Log { low, high } => logarithmic(*low, *high, most),
            Self::Nines(most) => {
                NINES.map(|(share, _)| share).into_iter().filter(|at| nines(*at) <= most + 1e-9).collect()
            }
            Self::Names(names) => (0..names.len()).map(|at| at as f64).collect(),
            Self::Rows(_) => Vec::new(),
        }
    }

    /// Label of a tick.
    pub(super) fn label(&self, at: f64) -> String {
        match self {
            Self::Nines(_) => {
                NINES.iter().find(|(share, _)| *share == at).map_or_else(String::new, |(_, name)| (*name).to_owned())
            }
            Self::Names(names) => names.get(at as usize).cloned().unwrap_or_default(),
            _ => tick(at),
        }
    }

    /// Whether the axis has a value.
    pub(in crate::plots) fn contains(&self, value: f64) -> bool {
        (0.0..=1.0).contains(&self.place(value))
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    /// A value beyond an end is drawn at the end.
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (self.place(*value).clamp(0.0, 1.0) * f64::from(to - from)).round() as i32
    }

    /// Every grid line has a label, so there are no light ones.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks(hint.max_num_points()) }
    }

    fn range(&self) -> Range<f64> {
        match self {
            Self::Linear { low, high } | Self::Log { low, high } => *low..*high,
            Self::Nines(most) => 0.0..1.0 - 10_f64.powf(-most),
            Self::Names(names) => -0.5..names.len() as f64 - 0.5,
            Self::Rows(rows) => *rows as f64..0.0,
        }
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// Number of nines of a share: 1 for 90 %, 2 for 99 %.
pub(in crate::plots) fn nines(share: f64) -> f64 {
    -(1.0 - share).max(1e-12).log10()
}

fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|digit| digit * decade).find(|round| *round <= value).unwrap_or(decade)
}

fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * decade).find(|round| *round >= value).unwrap_or(decade * 10.0)
}

fn linear(low: f64, high: f64, most: usize) -> Vec<f64> {
    let rough = (high - low) / most.max(1) as f64;
    let step = round_up(rough * 0.999_999);
    if !step.is_finite() || step <= 0.0 {
        return Vec::new();
    }
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

fn logarithmic(low: f64, high: f64, most: usize) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let within = |value: &f64| *value >= low * 0.999 && *value <= high * 1.001;
    let of = |digits: &[f64], every: i32| -> Vec<f64> {
        let decades = (first..=last).filter(|decade| decade.rem_euclid(every) == 0);
        decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade))).filter(within).collect()
    };
    let many = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0];
    let far = (last - first) / i32::try_from(most.max(2)).unwrap_or(2) + 1;
    let choices =
        [of(&many, 1), of(&[1.0, 2.0, 5.0], 1), of(&[1.0, 3.0], 1), of(&[1.0], 1), of(&[1.0], 2), of(&[1.0], far)];
    let fits = |ticks: &&Vec<f64>| ticks.len() <= most.max(2);
    choices.iter().find(fits).or(choices.last()).cloned().unwrap_or_default()
}

/// A number with three significant digits.
pub(in crate::plots) fn tick(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e5 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 9) as usize };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let names = |scale: Scale, most| scale.ticks(most).into_iter().map(|at| scale.label(at)).collect::<Vec<_>>();
        assert_eq!(names(Scale::Linear { low: 0.0, high: 1.06 }, 5), ["0", "0.5", "1"]);
        assert_eq!(names(Scale::Log { low: 0.1, high: 1000.0 }, 6), ["0.1", "1", "10", "100", "1000"]);
        assert_eq!(names(Scale::Log { low: 0.1, high: 1.0 }, 6), ["0.1", "0.2", "0.5", "1"]);
        assert_eq!(names(Scale::Log { low: 2.0, high: 5.0 }, 6), ["2", "3", "4", "5"]);
        assert_eq!(names(Scale::Nines(3.0), 9), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
        assert_eq!([0.000_2, 20_000.0, 1.5e6].map(tick), ["0.0002", "20000", "1.5 M"]);
    }

    #[test]
    fn no_value_is_too_large_to_be_drawn() {
        let values = [1.0, f64::MAX];
        for scale in [Scale::from_zero(values), Scale::log(values), Scale::fitting(&values)] {
            assert!(scale.ticks(6).len() <= 8 && scale.ticks(6).iter().all(|at| at.is_finite()), "{scale:?}");
        }
    }

    proptest! {
        #[test]
        fn a_scale_contains_its_values(values in proptest::collection::vec(1e-3_f64..1e9, 1..20)) {
            for scale in [Scale::from_zero(values.clone()), Scale::log(values.clone()), Scale::fitting(&values)] {
                for value in &values {
                    let place = scale.place(*value);
                    prop_assert!((0.0..=1.0).contains(&place), "{scale:?} {value} {place}");
                }
                prop_assert!(scale.ticks(6).len() <= 8, "{:?}", scale.ticks(6));
            }
        }
    }
}
