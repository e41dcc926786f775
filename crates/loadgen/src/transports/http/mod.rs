//! What the transports on HTTP requests share.

pub(super) mod connection;
pub(super) mod poller;
pub(super) mod post_connection;
pub(super) mod requester;
pub(super) mod stream;

#[cfg(test)]
mod tests;
