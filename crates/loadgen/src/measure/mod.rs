//! Measurements: histograms, ledgers and the table of posts. Nothing here does I/O or reads a
//! clock.

pub(crate) mod histograms;
pub(crate) mod ledger;
pub(crate) mod local_sequence;
pub(crate) mod marker;
pub(crate) mod post_table;
pub(crate) mod probe;
