//! The server of the page. It runs in turns.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::Stream;
use tokio::sync::Notify;

use super::event_log::EventLog;
use crate::run::random_room_prefix;
use crate::signals::runtime;

const HTML: &str = include_str!("page/watch.html");
const STYLE: &str = include_str!("page/watch.css");
const SCRIPT: &str = include_str!("page/watch.js");
/// Browsers that may watch at the same time.
const WATCHERS_MAX: usize = 16;
/// Length of a turn. As long as requests arrive in it, it is repeated up to this number of times.
const TURN: Duration = Duration::from_millis(3);
const TURNS_MAX: u32 = 10;
/// The name of the last event.
const END_EVENT: &str = "end";

pub(super) struct PageServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    turns: Sender<()>,
    done: Receiver<()>,
}

struct Shared {
    log: Mutex<EventLog>,
    news: Notify,
    report: OnceLock<String>,
    watchers: AtomicUsize,
    requests: AtomicU64,
    reports: AtomicUsize,
}

impl PageServer {
    pub(super) fn start(port: u16, log: EventLog) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            log: Mutex::new(log),
            news: Notify::new(),
            report: OnceLock::new(),
            watchers: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            reports: AtomicUsize::new(0),
        });
        let ((turns, wanted), (finished, done)) = (mpsc::channel(), mpsc::channel());
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            if let Err(error) = run(listener, &of_thread, &wanted, &finished) {
                tracing::warn!(%error, "the page of --watch has ended");
            }
        })?;
        Ok(Self { address, shared, turns, done })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn publish(&self, event: String) {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.shared.news.notify_waiters();
    }

    /// No event follows: every browser that watches fetches the report. Returns their number.
    pub(super) fn end(&self, report: String) -> usize {
        self.shared.report.get_or_init(|| report);
        self.shared.news.notify_waiters();
        self.shared.watchers.load(Relaxed)
    }

    /// How often the report was fetched.
    pub(super) fn reports(&self) -> usize {
        self.shared.reports.load(Relaxed)
    }

    /// Lets the server run for a few milliseconds.
    pub(super) fn turn(&self) {
        if self.turns.send(()).is_ok() {
            // An error: the thread has ended.
            self.done.recv().ok();
        }
    }
}

fn run(listener: TcpListener, shared: &Arc<Shared>, turns: &Receiver<()>, done: &Sender<()>) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let routes = Router::new()
        .route("/", get(|| async { page("text/html; charset=utf-8", HTML) }))
        .route("/watch.css", get(|| async { page("text/css; charset=utf-8", STYLE) }))
        .route("/watch.js", get(|| async { page("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/events", get(events))
        .route("/report", get(report))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shared), check))
        .with_state(Arc::clone(shared));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(async move { axum::serve(listener, routes).await });
        anyhow::Ok(())
    })?;
    while turns.recv().is_ok() {
        runtime.block_on(async {
            for _ in 0..TURNS_MAX {
                let before = shared.requests.load(Relaxed);
                tokio::time::sleep(TURN).await;
                if shared.requests.load(Relaxed) == before {
                    break;
                }
            }
        });
        if done.send(()).is_err() {
            break;
        }
    }
    Ok(())
}

/// Counts a request, and refuses one to a host name that a foreign web page may have.
async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    shared.requests.fetch_add(1, Relaxed);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost") {
        return (StatusCode::FORBIDDEN, format!("the page is at 127.0.0.1 or localhost, not at {host:?}\n"))
            .into_response();
    }
    next.run(request).await
}

fn page(content_type: &'static str, content: &'static str) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'";
    (headers(content_type, policy), content).into_response()
}

fn headers(content_type: &str, policy: impl Into<String>) -> [(HeaderName, String); 4] {
    [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy.into()),
    ]
}

async fn report(State(shared): State<Arc<Shared>>) -> Response {
    match shared.report.get() {
        Some(report) => {
            shared.reports.fetch_add(1, Relaxed);
            // The script of a report is inside of it.
            let nonce = random_room_prefix();
            let policy = format!(
                "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data:; \
                 frame-ancestors 'none'"
            );
            let report = report.replacen("<script>", &format!("<script nonce=\"{nonce}\">"), 1);
            (headers("text/html; charset=utf-8", policy), report).into_response()
        }
        None => (StatusCode::NOT_FOUND, "the job has not ended\n").into_response(),
    }
}

async fn events(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(watcher) = Watcher::enter(&shared) else {
        let why = format!("{WATCHERS_MAX} browsers are watching already; close one\n");
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    Sse::new(watcher.events(last.unwrap_or(0))).into_response()
}

/// A connected browser.
struct Watcher(Arc<Shared>);

impl Watcher {
    fn enter(shared: &Arc<Shared>) -> Option<Self> {
        let watcher = Self(Arc::clone(shared));
        (shared.watchers.fetch_add(1, Relaxed) < WATCHERS_MAX).then_some(watcher)
    }

    /// The events after an id, as they come. A browser that reads slowly gets them later.
    fn events(self, last: u64) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold((self, Some(last)), async |(watcher, last)| {
            let (last, shared) = (last?, Arc::clone(&watcher.0));
            loop {
                // Created before the check, so that no news is missed.
                let news = shared.news.notified();
                let next = shared.log.lock().unwrap_or_else(PoisonError::into_inner).after(last);
                if let Some((id, event)) = next {
                    return Some((Ok(Event::default().id(id.to_string()).data(event)), (watcher, Some(id))));
                }
                if shared.report.get().is_some() {
                    return Some((Ok(Event::default().event(END_EVENT).data("see /report")), (watcher, None)));
                }
                news.await;
            }
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Relaxed);
    }
}
