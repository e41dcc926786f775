//! The probe: the one message that every room gets before T0. It is not in the plan.

pub(crate) const PROBE_AUTHOR: u32 = u32::MAX;
/// Plans count from 1.
pub(crate) const PROBE_ORDINAL: u64 = 0;
pub(crate) const PROBE_TEXT: &str = "probe";
/// Its seq in every room of a server that numbers nothing.
pub(crate) const PROBE_SEQ: u64 = 1;
