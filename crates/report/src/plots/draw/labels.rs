//! Moves overlapping labels apart.

/// Positions of labels of equal height, near the wanted ones, at least `height` apart and within
/// the range if possible.
pub(in crate::plots) fn spread(wanted: &[f64], height: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // Blocks of touching labels: position of the first, and their number.
    let mut blocks: Vec<(Vec<usize>, f64)> = Vec::new();
    for label in order {
        let mut block = (vec![label], wanted[label]);
        while let Some(above) = blocks.pop_if(|above| above.1 + above.0.len() as f64 * height > block.1) {
            let members: Vec<usize> = above.0.into_iter().chain(block.0).collect();
            let offsets = members.iter().enumerate().map(|(at, label)| wanted[*label] - at as f64 * height);
            let start = offsets.sum::<f64>() / members.len() as f64;
            block = (members, start);
        }
        let most = high - (block.0.len() - 1) as f64 * height;
        block.1 = block.1.min(most).max(low);
        blocks.push(block);
        // A block moved into the range may overlap the one before it.
        while blocks.len() > 1 {
            let last = blocks.len() - 1;
            if blocks[last - 1].1 + blocks[last - 1].0.len() as f64 * height <= blocks[last].1 + 1e-9 {
                break;
            }
            let Some(below) = blocks.pop() else { break };
            let above = &mut blocks[last - 1];
            above.0.extend(below.0);
            above.1 = (high - (above.0.len() - 1) as f64 * height).min(above.1).max(low);
        }
    }
    let mut places = vec![0.0; wanted.len()];
    for (members, start) in blocks {
        members.into_iter().enumerate().for_each(|(at, label)| places[label] = start + at as f64 * height);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_keep_their_position_if_they_do_not_overlap() {
        assert_eq!(spread(&[50.0, 10.0], 20.0, (0.0, 100.0)), [50.0, 10.0]);
        assert_eq!(spread(&[50.0, 50.0], 20.0, (0.0, 100.0)), [40.0, 60.0]);
    }

    proptest! {
        #[test]
        fn labels_never_overlap_and_stay_within(wanted in proptest::collection::vec(0.0_f64..300.0, 0..12)) {
            let places = spread(&wanted, 20.0, (0.0, 300.0));
            let mut sorted = places.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 20.0 - 1e-6), "{sorted:?}");
            prop_assert!(sorted.iter().all(|place| (-1e-6..=300.0 + 1e-6).contains(place)), "{sorted:?}");
        }
    }
}
