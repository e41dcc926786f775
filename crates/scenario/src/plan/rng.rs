//! Random numbers: the same seed gives the same numbers on every machine and in every version.
//!
//! `SplitMix64`, and exponential intervals by von Neumann's comparison method, which needs no
//! logarithm: the last bit of a logarithm depends on the platform.

/// The purpose of a stream of random numbers; each purpose has its own stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RngStream {
    Arrivals = 1,
    Texts = 2,
    TextOffset = 3,
    PollPhase = 4,
    Order = 6,
    Rounds = 7,
    Marker = 8,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64, purpose: RngStream, index: u64) -> Self {
        Self(hash(seed, purpose, index, 0))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `0..bound`, with a bias below 2⁻⁴⁰ for every bound used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        scale(self.next(), bound)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.next())
    }

    /// A number from the exponential distribution with mean 1. A descending run of uniform numbers
    /// that begins with `first` has an odd length with probability `exp(-first)`; every run of even
    /// length adds 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        let mut whole = 0.0;
        loop {
            let first = self.next();
            let (mut last, mut odd) = (first, true);
            loop {
                let next = self.next();
                if next >= last {
                    break;
                }
                (last, odd) = (next, !odd);
            }
            if odd {
                return whole + unit(first);
            }
            whole += 1.0;
        }
    }
}

/// A random number that depends on the seed and a pair of numbers only.
pub(crate) fn hash(seed: u64, purpose: RngStream, a: u64, b: u64) -> u64 {
    let start = mix(seed ^ (purpose as u64).wrapping_mul(GOLDEN));
    mix(mix(start.wrapping_add(a)).wrapping_add(b.wrapping_mul(GOLDEN)))
}

/// Maps 64 random bits to `0..bound`.
pub(crate) fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Maps 64 random bits to `[0, 1)`.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        // The first is the published test vector of SplitMix64 for seed 0; the others pin the
        // numbers of recorded plans.
        assert_eq!(Rng(0).next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(hash(1, RngStream::Arrivals, 2, 3), 17_898_349_565_589_462_318);
        assert_eq!(Rng::new(1, RngStream::Order, 0).exponential().to_bits(), 4_579_775_197_953_494_912);
    }

    #[test]
    fn exponential_draws_have_the_mean_variance_and_tail_they_should() {
        let mut stream = Rng::new(7, RngStream::Arrivals, 0);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| stream.exponential()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        let tail = draws.iter().filter(|&&x| x > 2.0).count() as f64 / f64::from(n);
        // Four standard errors: 1/√n, √8/√n, √(q(1−q)/n).
        assert!((mean - 1.0).abs() < 0.009, "{mean}");
        assert!((variance - 1.0).abs() < 0.026, "{variance}");
        assert!((tail - (-2.0_f64).exp()).abs() < 0.0031, "{tail}");
    }

    #[test]
    fn purposes_and_indices_are_different_streams() {
        let first = |purpose, index| Rng::new(1, purpose, index).next();
        assert_ne!(first(RngStream::Arrivals, 0), first(RngStream::Arrivals, 1));
        assert_ne!(first(RngStream::Arrivals, 0), first(RngStream::Texts, 0));
    }
}
