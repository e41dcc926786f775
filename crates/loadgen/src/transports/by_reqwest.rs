//! The HTTP transports through `reqwest`, one client a seat: what a Rust service that uses it would see. It keeps its own connections
//! and headers to itself, so bytes other than bodies are not counted here; the server's counters have them.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response};
use results::FaultKind;
use tokio::time::{Instant, sleep_until};
use wire::{Ack, CURSOR_HEADER, StartAt, Transport, WireError, encode_post_json, parse_after};

use super::exchange::unexpected;
use super::polling::{half_a_line, take_lines};
use super::sse::{Events, take_events};
use crate::fault::{End, Fault};
use crate::lean::Carry;
use crate::lean::response::retry_after;
use crate::seat::{Seat, Way};
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

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let tuning = worker.tuning();
    let builder = Client::builder().no_proxy().tcp_nodelay(true).read_timeout(tuning.idle_max() + ANSWER_MAX);
    let client = builder.pool_max_idle_per_host(if tuning.keep_alive { 2 } else { 0 }).build()?;
    let caller = Rc::new(Caller { worker: Rc::clone(worker), seat: Rc::clone(seat), client });
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
    Err(unexpected(status, pause, wanted, &body))
}

struct Caller {
    worker: Rc<Worker>,
    seat: Rc<Seat>,
    client: Client,
}

impl Caller {
    async fn poll(&self) -> Result<Infallible, End> {
        let (worker, seat) = (&self.worker, &self.seat);
        let mut next = Instant::now() + worker.plan.poll_phase(seat.id);
        let interval = worker.tuning().interval.unwrap_or_default();
        loop {
            self.ask("").await?;
            sleep_until(next).await;
            next += interval;
        }
    }

    async fn long_poll(&self) -> Result<Infallible, End> {
        self.ask("hold_ms=0").await?;
        let held = format!("hold_ms={}", self.worker.tuning().hold.unwrap_or_default().as_millis());
        loop {
            self.ask(&held).await?;
        }
    }

    /// Asks once and takes what comes.
    async fn ask(&self, parameters: &str) -> Result<(), End> {
        let (worker, seat) = (&self.worker, &self.seat);
        let start = seat.start();
        let response = expect(self.get(start, parameters).await?, &[200, 204]).await?;
        let status = response.status().as_u16();
        let cursor = response.headers().get(CURSOR_HEADER).and_then(|value| value.to_str().ok());
        let cursor = cursor.map(|value| parse_after(CURSOR_HEADER, value)).transpose();
        let cursor = cursor.map_err(|problem| Fault::new(FaultKind::BadBytes, problem.to_string()))?;
        let body = response.bytes().await.map_err(Fault::from)?;
        let before = worker.delivered();
        if take_lines(worker, seat, &body)? < body.len() {
            return Err(half_a_line().into());
        }
        worker.hot.borrow_mut().tally.empty_answers += u64::from(status == 204);
        worker.count_batch(before);
        worker.join(seat, cursor.unwrap_or_else(|| seat.ledger.borrow().last()));
        self.open_way();
        worker.pace();
        Ok(())
    }

    async fn stream(&self) -> Result<Infallible, End> {
        let (worker, seat) = (&self.worker, &self.seat);
        let mut response = expect(self.get(seat.start(), "").await?, &[200]).await?;
        let (mut lines, mut events) = (Carry::default(), Events::new());
        while let Some(chunk) = response.chunk().await.map_err(Fault::from)? {
            let before = worker.delivered();
            seat.heard_s.set(worker.second());
            if worker.transport == Transport::Sse {
                take_events(worker, seat, &mut events, &chunk)?;
            } else {
                lines.feed(&chunk, |bytes| take_lines(worker, seat, bytes))?;
            }
            worker.count_batch(before);
            if seat.joined.get() {
                self.open_way();
            }
            worker.pace();
        }
        Err(End::Cut)
    }

    async fn get(&self, start: StartAt, parameters: &str) -> Result<Response, Fault> {
        let mut url = self.url() + "?" + parameters;
        let cursor = Option::<u64>::from(start);
        if let Some(after) = cursor {
            url += &format!("&after={after}");
        }
        let mut request = self.authorize(self.client.get(url));
        if let Some(after) = cursor.filter(|_| self.worker.transport == Transport::Sse) {
            request = request.header("last-event-id", after);
        }
        self.worker.hot.borrow_mut().tally.requests += 1;
        Ok(request.send().await?)
    }

    fn open_way(&self) {
        if matches!(*self.seat.way.borrow(), Way::None) {
            *self.seat.way.borrow_mut() = Way::Between;
            self.worker.flush(&self.seat);
        }
    }

    async fn post_what_is_due(&self) -> Result<Infallible, End> {
        let (worker, seat) = (&self.worker, &self.seat);
        loop {
            let due = seat.outbox.borrow_mut().pop_front();
            let Some(due) = due else {
                seat.bell.notified().await;
                continue;
            };
            let post = worker.post(seat, due.ordinal);
            let mut body = Vec::new();
            encode_post_json(&post, &mut body);
            worker.leave(seat, &due);
            worker.hot.borrow_mut().tally.requests += 1;
            let request = self.client.post(self.url()).header("content-type", "application/json").body(body);
            let response = expect(self.authorize(request).send().await.map_err(Fault::from)?, &[200]).await?;
            let answer = response.bytes().await.map_err(Fault::from)?;
            let ack: Ack = serde_json::from_slice(&answer).map_err(WireError::from)?;
            worker.confirm(&mut worker.hot.borrow_mut(), seat, ack.ordinal);
            seat.mark_blocked();
        }
    }

    fn url(&self) -> String {
        let room = self.worker.plan.room_name(self.seat.room);
        format!("http://{}/rooms/{room}/{}", self.worker.target.http, self.worker.transport)
    }

    fn authorize(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.worker.target.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}
