//! What the benches share: the patient in a process of its own, a crowd of clients in this one, and the machine between them.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod bench_server;
pub(crate) mod clients;
pub(crate) mod machine;

/// One runtime on one thread, as on both sides.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
