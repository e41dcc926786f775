//! The transports on HTTP requests with the `reqwest` crate: what an application gets that uses an
//! ordinary HTTP client library.
//!
//! reqwest does not expose its connections and heads. Requests and bodies are counted here;
//! connections, heads and chunk sizes are not, but the server's counters have them.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONNECTION, CONTENT_TYPE, COOKIE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use results::FaultKind;
use tokio::time::{sleep, timeout};
use wire::{CURSOR_HEADER, StartAt, Transport, encode_post_json, parse_after};

use super::http::connection::{ERROR_BODY_BYTES_MAX, ERROR_BODY_WITHIN, status_fault};
use super::http::poller::{count_poll, incomplete_line, join, receive_ack, receive_lines};
use super::http::post_connection::RETRY_PAUSE;
use super::http::requester::append_body;
use super::polling::{self, PollingClient};
use super::sse::Events;
use crate::client::{PendingPost, SentByTask};
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::protocol::Remainder;
use crate::protocol::http_response::retry_after;
use crate::session::Session;

/// Longest wait for bytes beyond the time for which the transport may be idle.
const READ_MARGIN: Duration = Duration::from_secs(20);
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    let http = ReqwestClient::new(session)?;
    let tuning = session.run.tuning();
    if tuning.interval.is_some() {
        polling::run(session, http).await
    } else if let Some(hold) = tuning.hold {
        http.poll_held(hold).await
    } else {
        http.read_stream().await
    }
}

#[derive(Clone)]
struct ReqwestClient {
    session: Session,
    http: reqwest::Client,
    /// `/rooms/NAME/TRANSPORT`
    path: String,
}

impl ReqwestClient {
    fn new(session: &Session) -> Result<Self, Fault> {
        let tuning = session.run.tuning();
        let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none()).http1_only().tcp_nodelay(true);
        let builder = builder.read_timeout(tuning.idle_max() + READ_MARGIN);
        let http = builder.pool_max_idle_per_host(if tuning.keep_alive { 1 } else { 0 }).build()?;
        let room = session.run.plan.room_name(session.client.room);
        let path = format!("/rooms/{room}/{}", session.run.transport);
        Ok(Self { session: session.clone(), http, path })
    }

    async fn poll_held(&self, hold: Duration) -> Result<Infallible, SessionEnd> {
        // The first request must not be held, because its response says that the client has joined.
        self.poll("hold_ms=0").await?;
        self.attach_posts();
        let parameters = format!("hold_ms={}", hold.as_millis());
        loop {
            self.poll(&parameters).await?;
        }
    }

    /// Polls once and handles the messages of the response.
    async fn poll(&self, parameters: &str) -> Result<(), SessionEnd> {
        let (session, run) = (&self.session, &*self.session.run);
        let start = session.client.start_at();
        let mut response = self.get(start, parameters, &[200, 204]).await?;
        let cursor = response.headers().get(CURSOR_HEADER).map(|value| value.to_str().unwrap_or_default());
        let cursor = cursor.map(|value| parse_after(CURSOR_HEADER, value)).transpose();
        let cursor = cursor.map_err(|problem| Fault::new(FaultKind::BadBytes, problem.to_string()))?;
        let (mut remainder, mut has_messages) = (Remainder::default(), false);
        while let Some(chunk) = response.chunk().await.map_err(Fault::from)? {
            let before = run.delivered();
            remainder.feed(&chunk, |bytes| receive_lines(session, bytes))?;
            has_messages |= run.delivered() > before;
        }
        if remainder.len() > 0 {
            return Err(incomplete_line().into());
        }
        count_poll(session, has_messages, response.status().as_u16() == 204);
        join(session, start, cursor);
        session.send_scheduled();
        Ok(())
    }

    /// Reads a response without an end: lines, or events.
    async fn read_stream(&self) -> Result<Infallible, SessionEnd> {
        let (session, run) = (&self.session, &*self.session.run);
        let mut response = self.get(session.client.start_at(), "", &[200]).await?;
        let (mut lines, mut events) = (Remainder::default(), Events::new());
        while let Some(chunk) = response.chunk().await.map_err(Fault::from)? {
            let before = run.delivered();
            if run.transport == Transport::Sse {
                events.receive(session, &chunk)?;
            } else {
                lines.feed(&chunk, |bytes| receive_lines(session, bytes))?;
            }
            run.count_batch(before);
            if session.needs_sender() {
                self.attach_posts();
            }
            session.send_scheduled();
        }
        Err(SessionEnd::Closed)
    }

    async fn get(&self, start: StartAt, parameters: &str, statuses: &[u16]) -> Result<Response, Fault> {
        let mut path = format!("{}?{parameters}", self.path);
        if let StartAt::After(after) = start {
            path += &format!("&after={after}");
        }
        let mut request = self.http.get(self.url(&path));
        if self.session.run.transport == Transport::Sse {
            request = request.header(ACCEPT, "text/event-stream");
            if let StartAt::After(after) = start {
                request = request.header(LAST_EVENT_ID, after);
            }
        }
        if let Some(cookie) = self.padding(&path) {
            request = request.header(COOKIE, cookie);
        }
        self.send(request, statuses).await
    }

    /// Sends a request and waits for the head of its response. An unexpected status is a fault.
    async fn send(&self, mut request: RequestBuilder, statuses: &[u16]) -> Result<Response, Fault> {
        let run = &self.session.run;
        if let Some(token) = &run.target.token {
            request = request.bearer_auth(token);
        }
        if !run.tuning().keep_alive {
            request = request.header(CONNECTION, "close");
        }
        run.counters.borrow_mut().traffic.requests += 1;
        let response = request.send().await?;
        if statuses.contains(&response.status().as_u16()) {
            Ok(response)
        } else {
            Err(refused(response, statuses).await)
        }
    }

    /// Sends a post and waits for its acknowledgement.
    async fn send_post(&self, pending: &PendingPost) -> Result<(), Fault> {
        let (session, run) = (&self.session, &*self.session.run);
        let post = run.post(session.client.id, pending.ordinal);
        let mut body = Vec::with_capacity(post.text.len() + 64);
        encode_post_json(&post, &mut body);
        delivery::mark_sent(run, &session.client, pending);
        run.count_post(post.text.len(), body.len() - post.text.len(), 0);
        let request = self.http.post(self.url(&self.path)).header(CONTENT_TYPE, "application/json").body(body);
        let mut response = self.send(request, &[200]).await?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            append_body(&chunk, &mut answer)?;
        }
        receive_ack(session, &answer)
    }

    /// Sends the client's posts with a task of its own from now on. The task ends with the worker.
    fn attach_posts(&self) {
        self.session.attach_kept(|| {
            self.session.tasks.spawn(self.clone().send_posts());
            Rc::new(SentByTask)
        });
    }

    async fn send_posts(self) {
        let (run, client) = (&self.session.run, &self.session.client);
        loop {
            let Some(pending) = self.session.next_post() else {
                client.post_ready.notified().await;
                continue;
            };
            let sent = self.send_post(&pending).await;
            client.mark_delayed();
            if let Err(fault) = sent {
                let pause = RETRY_PAUSE.max(fault.pause());
                run.fault(fault);
                client.give_up_answers(run);
                sleep(pause).await;
                client.mark_delayed();
            }
            self.session.send_scheduled();
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.session.client.node(&self.session.run).http)
    }

    /// A cookie that pads the head of a request to the size in the settings, given the headers that
    /// reqwest sends by default.
    fn padding(&self, path: &str) -> Option<String> {
        let run = &self.session.run;
        let size = usize::try_from(run.tuning().request_bytes).unwrap_or(0);
        let token = run.target.token.as_ref().map_or(0, |token| format!("authorization: Bearer {token}\r\n").len());
        let close = if run.tuning().keep_alive { 0 } else { "connection: close\r\n".len() };
        let head = format!(
            "GET {path} HTTP/1.1\r\naccept: */*\r\ncookie: \r\nhost: {}\r\n\r\n",
            self.session.client.node(run).http
        );
        let padding = size.saturating_sub(head.len() + token + close);
        (padding > 0).then(|| "x".repeat(padding))
    }
}

impl PollingClient for ReqwestClient {
    async fn poll(&mut self) -> Result<(), SessionEnd> {
        Self::poll(self, "").await?;
        self.session.client.mark_delayed();
        Ok(())
    }

    async fn post(&mut self, pending: PendingPost) -> Result<(), SessionEnd> {
        self.send_post(&pending).await?;
        self.session.client.mark_delayed();
        Ok(())
    }
}

/// The fault for an unexpected status, with the beginning of the body.
async fn refused(mut response: Response, statuses: &[u16]) -> Fault {
    let retry_after = response.headers().get(RETRY_AFTER).map(|value| retry_after(value.to_str().unwrap_or_default()));
    let mut body = Vec::new();
    let reading = async {
        while body.len() < ERROR_BODY_BYTES_MAX
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
    };
    timeout(ERROR_BODY_WITHIN, reading).await.ok();
    status_fault(response.status().as_u16(), retry_after, statuses, &body)
}

impl From<reqwest::Error> for Fault {
    /// The kind comes from the system's error or from hyper's, whichever is in the chain of causes.
    fn from(error: reqwest::Error) -> Self {
        let mut kind = if error.is_timeout() { FaultKind::TimedOut } else { FaultKind::CutShort };
        let error = error.without_url();
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(code) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
                return io::Error::from_raw_os_error(code).into();
            }
            if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                kind = FaultKind::BadBytes;
            }
            detail = format!("{detail}: {inner}");
            cause = inner.source();
        }
        Self::new(kind, detail)
    }
}
