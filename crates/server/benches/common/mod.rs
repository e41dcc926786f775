//! Parts of the benches: the server in a process of its own, the clients in this process, and the
//! machine.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod bench_server;
pub(crate) mod clients;
pub(crate) mod machine;

/// A runtime on one thread. Server and clients each have one.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
