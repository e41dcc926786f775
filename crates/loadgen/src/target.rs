//! Where the server is.

use std::net::SocketAddr;

/// Addresses of a server, and the secret it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// Raw TCP.
    pub tcp: SocketAddr,
    /// Sent with every join, read and post, where there is one.
    pub token: Option<String>,
}
