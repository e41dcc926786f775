//! Does the instrument tell the truth? Servers that freeze, get slower, lose or alter messages, refuse or die, and generators without
//! CPU or files: each has a known answer, and it must stand in what `pushbench run` and `pushbench load` wrote.
//!
//! Everything is real processes. The tests that measure take turns: they would be each other's noise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod bench;
mod bytes;
mod ends;
mod frozen;
mod http_clients;
mod joining;
mod machine;
mod memory;
mod nonsense;
mod peers;
mod polling;
mod processes;
mod proxy;
mod reconnect;
mod repeater;
mod restart;
mod turns;
mod workers;
mod wrong;
