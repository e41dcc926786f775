//! Where the server is.

use std::net::SocketAddr;

use scenario::Protocol;

/// Addresses of a server, the secret it wants, and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// Raw TCP.
    pub tcp: SocketAddr,
    /// Sent with every join, read and post, where there is one.
    pub token: Option<String>,
    /// What it speaks.
    pub protocol: Protocol,
}
