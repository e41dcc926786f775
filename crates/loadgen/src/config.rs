//! What to run, and where the servers are.

use std::net::SocketAddr;
use std::sync::Arc;

use scenario::{HttpClient, Plan, TargetProtocol};
use serde::{Deserialize, Serialize};
use wire::Transport;

/// Addresses of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// Raw TCP.
    pub tcp: SocketAddr,
}

/// Addresses of a server, its access token and its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The server, or all servers of one chat. A client goes to the next one when its own fails.
    pub nodes: Vec<Node>,
    /// Sent with every join, read and post, if the server asks for one.
    pub token: Option<String>,
    /// Protocol of a server that does not speak ours.
    pub protocol: Option<Box<TargetProtocol>>,
}

impl Target {
    /// A server without a token that speaks the protocol of this project.
    pub fn of(node: Node) -> Self {
        Self { nodes: vec![node], token: None, protocol: None }
    }

    /// The first server.
    pub fn first(&self) -> Node {
        self.nodes[0]
    }

    /// Whether the server sends a message to its author too.
    pub fn author_receives(&self) -> bool {
        self.protocol.as_ref().is_none_or(|protocol| protocol.author_receives)
    }
}

/// One run: a plan over one transport against one server.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// Which client connects and posts when.
    pub plan: Arc<Plan>,
    /// The transport of all clients.
    pub transport: Transport,
    /// The server under test.
    pub target: Target,
    /// One worker thread for each core, pinned to it. Empty: one worker, not pinned.
    pub cores: Vec<usize>,
    /// In a slice the workers ask for input without a pause. They need cores for themselves.
    pub never_sleeps: bool,
}

impl RunConfig {
    /// The HTTP client of this run. Transports that post on the connection that carries the
    /// messages, and Socket.IO, have only the built-in one.
    pub(crate) fn http_client(&self) -> HttpClient {
        if self.transport.has_room_url() && !self.transport.posts_in_band() {
            self.plan.http_client
        } else {
            HttpClient::BuiltIn
        }
    }

    /// Number of planned posts.
    pub(crate) fn planned_posts(&self) -> usize {
        usize::try_from(self.plan.posts_total()).expect("the plan bounds its posts")
    }
}
