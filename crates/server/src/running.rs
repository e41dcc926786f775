//! A server that runs: its two listeners, its housekeeping, and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use wire::Transport;

use crate::app::{Admission, App};
use crate::config::Config;
use crate::meter::Label;
use crate::net::{Gauge, Socket};
use crate::router;
use crate::transports::tcp;

/// Connections the kernel keeps for us while we are busy: a crowd arrives at once.
const BACKLOG: u32 = 4096;
/// After a connection could not be accepted, for want of open files say, the listener rests this long instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// From the order to stop until whatever is left is cut off.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct StartError {
    address: SocketAddr,
    source: io::Error,
}

/// A running server. Dropping it leaves the server running; end it with [`Running::shutdown`].
pub struct Running {
    /// Where HTTP and WebSocket are served.
    pub http: SocketAddr,
    /// Where raw TCP is served.
    pub tcp: SocketAddr,
    app: Arc<App>,
}

/// Binds both ports and serves from then on, on the current runtime.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let (http_listener, http) = listen(config.listen)?;
    let (tcp_listener, tcp) = listen(config.tcp_listen)?;
    let app = Arc::new(App::new(config.limits, config.access, config.handicap));
    let routes = router::router(&app);
    let serve_http = move |app: Arc<App>, socket, admission| match admission {
        Admission::Serve => drop(app.tasks.clone().spawn(router::serve(app, routes.clone(), socket))),
        Admission::Refuse => drop(app.tasks.clone().spawn(router::refuse(app, socket))),
    };
    app.tasks.spawn(accept(Arc::clone(&app), http_listener, Label::OTHER, serve_http));
    let label = Label::of(Transport::Tcp);
    app.tasks.spawn(accept(Arc::clone(&app), tcp_listener, label, |app, socket, admission| match admission {
        Admission::Serve => drop(app.tasks.clone().spawn(tcp::serve(app, socket))),
        Admission::Refuse => drop(app.tasks.clone().spawn(tcp::refuse(app, socket))),
    }));
    app.tasks.spawn(sweep(Arc::clone(&app)));
    Ok(Running { http, tcp, app })
}

impl Running {
    /// Stops accepting, tells every client in its transport's own way, and waits until they are gone or have had their time.
    pub async fn shutdown(self) {
        self.app.closing.cancel();
        self.app.hub.close();
        self.app.tasks.close();
        if tokio::time::timeout(SHUTDOWN_MAX, self.app.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.app.tasks.len(), "some clients did not leave in time and are cut off");
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
    bind().map_err(|source| StartError { address, source })
}

async fn accept(
    app: Arc<App>,
    listener: TcpListener,
    label: Label,
    serve: impl Fn(Arc<App>, Socket, Admission) + Send + 'static,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some(admission) = app.admit(label) else { continue };
                match socket(&app, stream) {
                    Ok(socket) => serve(Arc::clone(&app), socket, admission),
                    Err(error) => tracing::debug!(%error, "a client left before it was served"),
                }
            }
            Err(error) => {
                if app.count_accept_error() {
                    tracing::warn!(%error, "connections cannot be accepted; see accept_errors in /control/usage");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn socket(app: &App, stream: TcpStream) -> io::Result<Socket> {
    let gauge = Gauge::new(Arc::clone(&app.meter), Arc::clone(&app.open));
    Socket::new(stream, gauge, Arc::clone(&app.patience))
}

async fn sweep(app: Arc<App>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => app.hub.sweep(app.limits.room_idle),
            () = app.closing.cancelled() => return,
        }
    }
}
