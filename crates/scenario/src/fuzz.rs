//! A property of every scenario text, for a property test and for a target in `crates/fuzz`.

use crate::{Override, parse};

/// Reading a text twice gives the same plans or the same error. The limits refuse large schedules.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let limits = ["limits.posts_max=1000", "limits.connections_max=100"];
    let overrides: Vec<Override> = limits.iter().flat_map(|limit| limit.parse()).collect();
    match parse("any.toml", text, &overrides) {
        Ok(job) => assert_eq!(parse("any.toml", text, &overrides).ok(), Some(job)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const QUICK: &str = include_str!("../../../scenarios/quick.toml");

    proptest! {
        #[test]
        fn a_scenario_with_a_changed_byte_is_read_or_refused(at in any::<proptest::sample::Index>(), byte in 0_u8..128) {
            let mut bytes = QUICK.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            super::text(&bytes);
        }
    }
}
