//! Starting and stopping: the two listeners, accepting, removing expired rooms and people, shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use wire::Transport;

use crate::config::Config;
use crate::connection::{Connection, CountedStream};
use crate::counters::TransportSlot;
use crate::presence::SILENCE_MAX;
use crate::router;
use crate::shared::{self, LogError};
use crate::state::{Admission, ServerState};
use crate::transports::tcp;

/// Connections that the kernel queues until they are accepted. A generator opens thousands at once.
const BACKLOG: u32 = 4096;
/// Pause after a failed accept, for example without free file descriptors. Without it the loop
/// would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);
/// Time from the call of `shutdown` until the remaining connections are dropped.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It could not bind an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// The shared log is not there or cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A running server. Dropping this value does not stop it; [`RunningServer::shutdown`] does.
pub struct RunningServer {
    /// Address of HTTP and WebSocket.
    pub http: SocketAddr,
    /// Address of raw TCP.
    pub tcp: SocketAddr,
    /// Further addresses of HTTP and WebSocket.
    pub page: Vec<SocketAddr>,
    state: Arc<ServerState>,
}

/// Binds both ports and serves on the current runtime.
pub async fn start(config: Config) -> Result<RunningServer, StartError> {
    let (http_listener, http) = listen(config.listen)?;
    let (tcp_listener, tcp) = listen(config.tcp_listen)?;
    let any_port = SocketAddr::new(http.ip(), 0);
    let pages = (0..config.page_ports).map(|_| listen(any_port)).collect::<Result<Vec<_>, _>>()?;
    let page: Vec<_> = pages.iter().map(|(_, address)| *address).collect();
    let mut access = config.access;
    if !page.is_empty() {
        access.page_ports = [http].iter().chain(&page).map(SocketAddr::port).collect();
    }
    let (order, shared, tasks) = shared::open(&config.log, &config.limits).await?;
    let state = Arc::new(ServerState::new(config.limits, access, config.slowdown, (order, shared)));
    if let Some(tasks) = tasks {
        tasks.start(&state.hub, &state.tasks, &state.closing);
    }
    let routes = router::router(&state);
    let serve_http = move |state: Arc<ServerState>, socket, admission| match admission {
        Admission::Serve => drop(state.tasks.clone().spawn(router::serve(state, routes.clone(), socket))),
        Admission::Refuse => drop(state.tasks.clone().spawn(router::refuse(state, socket))),
    };
    for listener in pages.into_iter().map(|(listener, _)| listener).chain([http_listener]) {
        state.tasks.spawn(accept(Arc::clone(&state), listener, TransportSlot::OTHER, serve_http.clone()));
    }
    let slot = TransportSlot::of(Transport::Tcp);
    state.tasks.spawn(accept(Arc::clone(&state), tcp_listener, slot, |state, socket, admission| match admission {
        Admission::Serve => drop(state.tasks.clone().spawn(tcp::serve(state, socket))),
        Admission::Refuse => drop(state.tasks.clone().spawn(tcp::refuse(state, socket))),
    }));
    state.tasks.spawn(remove_expired(Arc::clone(&state)));
    Ok(RunningServer { http, tcp, page, state })
}

impl RunningServer {
    /// Stops accepting, ends every connection in the way of its transport, and waits until all have
    /// ended or their time is over.
    pub async fn shutdown(self) {
        self.state.close();
        self.state.tasks.close();
        if tokio::time::timeout(SHUTDOWN_MAX, self.state.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.state.tasks.len(), "some connections did not end in time and are dropped");
        }
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| StartError::Listen { address, source })
}

async fn accept(
    state: Arc<ServerState>,
    listener: TcpListener,
    slot: TransportSlot,
    serve: impl Fn(Arc<ServerState>, CountedStream, Admission) + Send + 'static,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = state.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some(admission) = state.admit(slot) else { continue };
                match counted(&state, stream) {
                    Ok(socket) => serve(Arc::clone(&state), socket, admission),
                    Err(error) => tracing::debug!(%error, "a client closed its connection before it was served"),
                }
            }
            Err(error) => {
                if state.count_accept_error() {
                    tracing::warn!(%error, "cannot accept a connection; further errors are counted in accept_errors of /stats");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn counted(state: &ServerState, stream: TcpStream) -> io::Result<CountedStream> {
    let connection = Connection::new(Arc::clone(&state.counters), Arc::clone(&state.open));
    CountedStream::new(stream, connection, Arc::clone(&state.timeouts))
}

async fn remove_expired(state: Arc<ServerState>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EXPIRY_INTERVAL) => {
                state.presence.remove_silent(SILENCE_MAX);
                state.hub.remove_expired(state.limits.room_idle);
            }
            () = state.closing.cancelled() => return,
        }
    }
}
