//! Tails and quantiles of the normal distribution and of Student's t distribution.

/// Halvings of a bracket, enough for the precision of a number.
const HALVINGS: u32 = 60;

/// Probability that a standard normal number exceeds `z`, with a relative error of at most 1.2e-7
/// (Chebyshev fit of the complementary error function: Press et al., *Numerical Recipes*).
pub fn normal_tail(z: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let fit = COEFFICIENTS.iter().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let tail = 0.5 * t * (fit - x * x).exp();
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// The number that a standard normal number exceeds with this probability, below one half.
pub fn normal_quantile(tail: f64) -> f64 {
    exceeded_with(tail, normal_tail)
}

/// Probability that a number of Student's t distribution exceeds `t`, which is not negative.
pub fn t_tail(t: f64, freedom: f64) -> f64 {
    0.5 * incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The number that one of Student's t distribution exceeds with this probability, below one half.
pub fn t_quantile(tail: f64, freedom: f64) -> f64 {
    let scale = (ln_gamma(f64::midpoint(freedom, 1.0)) - ln_gamma(freedom / 2.0)).exp()
        / (freedom * std::f64::consts::PI).sqrt();
    let density = |t: f64| scale * (1.0 + t * t / freedom).powf(-f64::midpoint(freedom, 1.0));
    // The tail is convex and that of the normal distribution is smaller: Newton's method rises to
    // the solution and does not pass it.
    let mut t = normal_quantile(tail);
    for _ in 0..HALVINGS {
        let step = (t_tail(t, freedom) - tail) / density(t);
        t += step;
        if step.abs() <= 1e-12 * t {
            break;
        }
    }
    t
}

/// The smallest number that is exceeded with at most this probability.
fn exceeded_with(tail: f64, of: impl Fn(f64) -> f64) -> f64 {
    let mut high = 2.0;
    while of(high) > tail && high < 1e12 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if of(middle) > tail { low = middle } else { high = middle }
    }
    high
}

/// Regularised incomplete beta function, by its continued fraction on the side where that converges
/// quickly.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(x, a, b) / a
    } else {
        1.0 - front * continued_fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function (Lentz's method).
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TERMS_MAX: u32 = 500;
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=TERMS_MAX {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            step = c * d;
            fraction *= step;
        }
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Logarithm of the gamma function for a positive number (Stirling's series after a shift).
fn ln_gamma(x: f64) -> f64 {
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < 15.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let square = shifted * shifted;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / shifted;
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normal_quantiles_equal_published_tables() {
        for (tail, known) in [
            (0.5, 0.0),
            (0.1, 1.281_552),
            (0.025, 1.959_964),
            (0.005, 2.575_829),
            (0.0005, 3.290_527),
            (5e-5, 3.890_592),
        ] {
            assert!((normal_quantile(tail) - known).abs() < 2e-6, "{tail}: {}", normal_quantile(tail));
        }
        assert!((normal_tail(-1.0) - 0.841_344_7).abs() < 1e-6);
    }

    #[test]
    fn t_quantiles_equal_published_tables() {
        for (tail, freedom, known) in [
            (0.025, 1.0, 12.706_205),
            (0.025, 3.0, 3.182_446),
            (0.05, 3.0, 2.353_363),
            (0.025, 5.0, 2.570_582),
            (0.005, 9.0, 3.249_836),
            (0.0005, 9.0, 4.780_913),
            (0.0005, 11.0, 4.436_979),
            (0.025, 30.0, 2.042_272),
            (0.1, 120.0, 1.288_646),
        ] {
            let found = t_quantile(tail, freedom);
            assert!((found - known).abs() < 2e-6, "{tail} {freedom}: {found}");
        }
    }

    proptest! {
        #[test]
        fn one_and_two_degrees_of_freedom_have_closed_forms(t in 0.0_f64..50.0) {
            let one = 0.5 - t.atan() / std::f64::consts::PI;
            let two = 0.5 - t / (2.0 * (2.0 + t * t).sqrt());
            prop_assert!((t_tail(t, 1.0) - one).abs() < 1e-12 && (t_tail(t, 2.0) - two).abs() < 1e-12);
        }

        #[test]
        fn quantiles_are_the_inverse_of_tails(tail in 1e-6_f64..0.49, freedom in 1.0_f64..200.0) {
            prop_assert!((t_tail(t_quantile(tail, freedom), freedom) / tail - 1.0).abs() < 1e-9);
            prop_assert!((normal_tail(normal_quantile(tail)) / tail - 1.0).abs() < 1e-9);
        }
    }
}
