//! Change points of a series: the split whose two sides differ most by ranks, if shuffled series
//! differ less; then recursively on both sides.

use super::Chance;

/// Minimum length of a side of a split.
const SIDE_MIN: usize = 4;
const SHUFFLES: usize = 999;
/// Share of shuffled series that may differ as much.
const AS_MUCH_MAX: usize = 4;

/// Indices of the first values after each change, in ascending order.
pub fn change_points(values: &[f64]) -> Vec<usize> {
    let mut found = Vec::new();
    search(values, 0, &mut Chance::new(1, values.len() as u64), &mut found);
    found.sort_unstable();
    found
}

fn search(values: &[f64], first: usize, chance: &mut Chance, found: &mut Vec<usize>) {
    let mut ranks = ranks(values);
    let Some((split, strength)) = strongest(&ranks) else { return };
    let mut as_much = 0;
    for _ in 0..SHUFFLES {
        chance.shuffle(&mut ranks);
        as_much += usize::from(strongest(&ranks).is_some_and(|(_, other)| other >= strength));
        if as_much > AS_MUCH_MAX {
            return;
        }
    }
    found.push(first + split);
    search(&values[..split], first, chance, found);
    search(&values[split..], first + split, chance, found);
}

/// The split whose left rank sum is furthest from its expected value, in standard deviations.
fn strongest(ranks: &[f64]) -> Option<(usize, f64)> {
    let n = ranks.len() as f64;
    let mut left = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for (at, rank) in ranks.iter().enumerate() {
        let m = at as f64;
        if at >= SIDE_MIN && ranks.len() - at >= SIDE_MIN {
            let strength = (left - m * (n + 1.0) / 2.0).abs() / (m * (n - m) * (n + 1.0) / 12.0).sqrt();
            if best.is_none_or(|(_, most)| strength > most) {
                best = Some((at, strength));
            }
        }
        left += rank;
    }
    best
}

/// Ranks from 1; equal values get their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = first as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|at| ranks[*at] = rank);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(levels: &[(usize, f64)]) -> Vec<f64> {
        let mut chance = Chance::new(9, 0);
        let flat = levels.iter().flat_map(|(n, level)| std::iter::repeat_n(*level, *n));
        flat.map(|level| level * (0.03 * chance.normal()).exp()).collect()
    }

    #[test]
    fn steps_are_found_where_they_are_and_nothing_elsewhere() {
        assert_eq!(change_points(&series(&[(30, 10.0)])), [] as [usize; 0]);
        assert_eq!(change_points(&series(&[(15, 10.0), (15, 12.0)])), [15]);
        assert_eq!(change_points(&series(&[(12, 10.0), (12, 13.0), (12, 9.0)])), [12, 24]);
        assert_eq!(change_points(&[5.0; 40]), [] as [usize; 0]);
        assert_eq!(change_points(&[]), [] as [usize; 0]);
    }

    #[test]
    fn one_outlier_is_no_change() {
        let mut values = series(&[(30, 10.0)]);
        values[17] = 100.0;
        assert!(change_points(&values).is_empty());
    }
}
