//! Random numbers from a seed, the same on every machine, so that reports and simulations are
//! reproducible.

/// A stream of pseudo-random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed and an index; streams are independent.
    pub fn new(seed: u64, index: u64) -> Self {
        let mut start = Self(seed);
        let mut stream = Self(start.next().wrapping_add(index));
        Self(stream.next())
    }

    /// 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "a stream of chance has no end and is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A standard normal number (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Shuffles a slice; every order is equally likely.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_of_seed_zero_is_the_published_one() {
        assert_eq!(Chance(0).next(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn normal_draws_have_the_mean_and_variance_they_should() {
        let (mut chance, n) = (Chance::new(3, 0), 100_000);
        let draws: Vec<f64> = (0..n).map(|_| chance.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Four standard errors: 1/√n and √(2/n).
        assert!(mean.abs() < 0.0127 && (variance - 1.0).abs() < 0.018, "{mean} {variance}");
    }

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut found = std::collections::BTreeMap::new();
        let mut chance = Chance::new(1, 0);
        for _ in 0..6_000 {
            let mut order = [0, 1, 2];
            chance.shuffle(&mut order);
            *found.entry(order).or_insert(0) += 1;
        }
        // Each 1,000 times; four standard errors are 115.
        assert!(found.len() == 6 && found.values().all(|times| (885..1_115).contains(times)), "{found:?}");
    }
}
