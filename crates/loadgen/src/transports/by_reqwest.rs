//! The HTTP transports through `reqwest`, one client a client: what a Rust service that uses it would see. It keeps its own connections
//! and headers to itself, so bytes other than bodies are not counted here; the server's counters have them.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use results::FaultKind;
use tokio::time::{Instant, sleep_until};
use wire::{Ack, CURSOR_HEADER, StartAt, Transport, WireError, encode_post_json, parse_after};

use super::exchange::status_fault;
use super::polling::{incomplete_line, receive_lines};
use super::sse::{Events, receive_events};
use crate::client::{Client, Way};
use crate::error::{Fault, SessionEnd};
use crate::protocol::Carry;
use crate::protocol::response::retry_after;
use crate::worker::Worker;

/// Beyond what the server may hold a request.
const ANSWER_MAX: Duration = Duration::from_secs(20);

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<io::Error>()
                && let Some(code) = io.raw_os_error()
            {
                return io::Error::from_raw_os_error(code).into();
            }
            cause = inner.source();
        }
        let kind = if error.is_timeout() { FaultKind::TimedOut } else { FaultKind::CutShort };
        Self::new(kind, error.to_string())
    }
}

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let tuning = worker.tuning();
    let builder = reqwest::Client::builder().no_proxy().tcp_nodelay(true).read_timeout(tuning.idle_max() + ANSWER_MAX);
    let http = builder.pool_max_idle_per_host(if tuning.keep_alive { 2 } else { 0 }).build()?;
    let caller = Rc::new(Caller { worker: Rc::clone(worker), client: Rc::clone(client), http });
    let reading = async {
        match worker.transport {
            Transport::Polling => caller.poll().await,
            Transport::LongPolling => caller.long_poll().await,
            Transport::HttpStreaming | Transport::Sse => caller.stream().await,
            Transport::Tcp
            | Transport::Websocket
            | Transport::SocketioPolling
            | Transport::SocketioWebsocket
            | Transport::Socketio
            | Transport::Stomp => unreachable!("these transports have one client"),
        }
    };
    tokio::select! {
        end = reading => end,
        end = caller.post_what_is_due() => end,
    }
}

/// A status other than those that answer the request is a fault, with the beginning of what came with it.
async fn expect(mut response: Response, wanted: &[u16]) -> Result<Response, Fault> {
    let status = response.status().as_u16();
    if wanted.contains(&status) {
        return Ok(response);
    }
    let pause = response.headers().get(RETRY_AFTER).map(|value| retry_after(value.to_str().unwrap_or_default()));
    let body = response.chunk().await.ok().flatten().unwrap_or_default();
    Err(status_fault(status, pause, wanted, &body))
}

struct Caller {
    worker: Rc<Worker>,
    client: Rc<Client>,
    http: reqwest::Client,
}

impl Caller {
    async fn poll(&self) -> Result<Infallible, SessionEnd> {
        let (worker, client) = (&self.worker, &self.client);
        let mut next = Instant::now() + worker.plan.poll_phase(client.id);
        let interval = worker.tuning().interval.unwrap_or_default();
        loop {
            self.ask("").await?;
            sleep_until(next).await;
            next += interval;
        }
    }

    async fn long_poll(&self) -> Result<Infallible, SessionEnd> {
        self.ask("hold_ms=0").await?;
        let held = format!("hold_ms={}", self.worker.tuning().hold.unwrap_or_default().as_millis());
        loop {
            self.ask(&held).await?;
        }
    }

    /// Asks once and takes what comes.
    async fn ask(&self, parameters: &str) -> Result<(), SessionEnd> {
        let (worker, client) = (&self.worker, &self.client);
        let start = client.start_at();
        let response = expect(self.get(start, parameters).await?, &[200, 204]).await?;
        let status = response.status().as_u16();
        let cursor = response.headers().get(CURSOR_HEADER).and_then(|value| value.to_str().ok());
        let cursor = cursor.map(|value| parse_after(CURSOR_HEADER, value)).transpose();
        let cursor = cursor.map_err(|problem| Fault::new(FaultKind::BadBytes, problem.to_string()))?;
        let body = response.bytes().await.map_err(Fault::from)?;
        let before = worker.delivered();
        if receive_lines(worker, client, &body)? < body.len() {
            return Err(incomplete_line().into());
        }
        worker.counters.borrow_mut().traffic.empty_answers += u64::from(status == 204);
        worker.count_batch(before);
        worker.join(client, cursor.unwrap_or_else(|| client.ledger.borrow().last()));
        self.open_way();
        worker.send_scheduled();
        Ok(())
    }

    async fn stream(&self) -> Result<Infallible, SessionEnd> {
        let (worker, client) = (&self.worker, &self.client);
        let mut response = expect(self.get(client.start_at(), "").await?, &[200]).await?;
        let (mut lines, mut events) = (Carry::default(), Events::new());
        while let Some(chunk) = response.chunk().await.map_err(Fault::from)? {
            let before = worker.delivered();
            client.last_read_s.set(worker.cached_second());
            if worker.transport == Transport::Sse {
                receive_events(worker, client, &mut events, &chunk)?;
            } else {
                lines.feed(&chunk, |bytes| receive_lines(worker, client, bytes))?;
            }
            worker.count_batch(before);
            if client.joined.get() {
                self.open_way();
            }
            worker.send_scheduled();
        }
        Err(SessionEnd::Closed)
    }

    async fn get(&self, start: StartAt, parameters: &str) -> Result<Response, Fault> {
        let mut url = self.url() + "?" + parameters;
        let cursor = Option::<u64>::from(start);
        if let Some(after) = cursor {
            url += &format!("&after={after}");
        }
        let mut request = self.authorize(self.http.get(url));
        if let Some(after) = cursor.filter(|_| self.worker.transport == Transport::Sse) {
            request = request.header("last-event-id", after);
        }
        self.worker.counters.borrow_mut().traffic.requests += 1;
        Ok(request.send().await?)
    }

    fn open_way(&self) {
        if matches!(*self.client.sender.borrow(), Way::None) {
            *self.client.sender.borrow_mut() = Way::Between;
            self.worker.flush(&self.client);
        }
    }

    async fn post_what_is_due(&self) -> Result<Infallible, SessionEnd> {
        let (worker, client) = (&self.worker, &self.client);
        loop {
            let due = client.queue.borrow_mut().pop_front();
            let Some(due) = due else {
                client.post_ready.notified().await;
                continue;
            };
            let post = worker.post(client, due.ordinal);
            let mut body = Vec::new();
            encode_post_json(&post, &mut body);
            worker.mark_sent(client, &due);
            worker.counters.borrow_mut().traffic.requests += 1;
            let request = self.http.post(self.url()).header("content-type", "application/json").body(body);
            let response = expect(self.authorize(request).send().await.map_err(Fault::from)?, &[200]).await?;
            let answer = response.bytes().await.map_err(Fault::from)?;
            let ack: Ack = serde_json::from_slice(&answer).map_err(WireError::from)?;
            worker.confirm(&mut worker.counters.borrow_mut(), client, ack.ordinal);
            client.mark_delayed();
        }
    }

    fn url(&self) -> String {
        let room = self.worker.plan.room_name(self.client.room);
        format!("http://{}/rooms/{room}/{}", self.worker.target.http, self.worker.transport)
    }

    fn authorize(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.worker.target.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}
