//! TCP connections, and what the kernel reports about them.

pub(crate) mod connection;
pub(crate) mod tcp_info;
