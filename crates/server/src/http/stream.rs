//! A response that goes on: pre-written shared batches as chunks, heart-beats between them, an end at an age or a number of bytes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep_until};
use wire::{Down, Joined, Split};

use super::{Visit, answer};
use crate::hub::{Batch, Next, Reader};
use crate::meter::{Count, Label, Meter};
use crate::net::{Gauge, Hold};

/// The two line ends and the last chunk, which HTTP puts around what is streamed.
const CHUNK_LINE_ENDS: u64 = 4;
const LAST_CHUNK_BYTES: u64 = 5;

/// Begins a streamed response. `hello` is sent in front of the join, `heartbeat` when there was silence.
pub(crate) fn stream_response(
    visit: Visit,
    content_type: &'static str,
    hello: &'static [u8],
    heartbeat: &'static [u8],
) -> Response {
    let body = Body::new(StreamBody::new(visit, hello, heartbeat));
    let mut response = answer(StatusCode::OK, content_type, body);
    // Proxies that collect a response before they pass it on (nginx does) are asked not to.
    let no = axum::http::HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no);
    response
}

pub(crate) struct StreamBody {
    reader: Reader,
    hold: Hold,
    label: Label,
    hello: Option<(Bytes, Split)>,
    heartbeat: &'static [u8],
    heartbeat_every: Duration,
    timer: Pin<Box<Sleep>>,
    ends: Instant,
    bytes_left: u64,
    silent: bool,
    ended: bool,
}

impl StreamBody {
    fn new(visit: Visit, hello: &'static [u8], heartbeat: &'static [u8]) -> Self {
        let mut first = hello.to_vec();
        let joined = Down::Joined(Joined { after: visit.reader.cursor() });
        let mut split = visit.reader.form().encode(&joined, &mut first);
        split.framing += hello.len() as u64;
        let limits = &visit.app.limits;
        let ends = Instant::now() + limits.stream_age;
        let heartbeat_every = limits.heartbeat;
        Self {
            label: visit.gauge.label(),
            hold: visit.gauge.hold(),
            hello: Some((first.into(), split)),
            heartbeat,
            heartbeat_every,
            timer: Box::pin(sleep_until(ends.min(Instant::now() + heartbeat_every))),
            ends,
            bytes_left: limits.stream_bytes_max,
            silent: false,
            ended: false,
            reader: visit.reader,
        }
    }

    fn gauge(&self) -> &Gauge {
        self.hold.gauge()
    }

    fn meter(&self) -> &Meter {
        self.gauge().meter()
    }

    /// Counts a chunk and gives it out.
    fn chunk(&mut self, bytes: Bytes, messages: u64, frames: u64, mut split: Split) -> Option<Frame<Bytes>> {
        split.framing += chunk_framing(bytes.len());
        self.meter().add_batch(self.label, messages, frames + 1, split);
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        self.silent = false;
        Some(Frame::data(bytes))
    }

    fn batch(&mut self, batch: Batch) -> Option<Frame<Bytes>> {
        if batch.gap {
            self.gauge().count(Count::Gaps);
        }
        let frames = batch.frames();
        self.chunk(batch.bytes, batch.messages, frames, batch.split)
    }

    fn end(&mut self) {
        self.ended = true;
        let split = Split { framing: LAST_CHUNK_BYTES, ..Split::default() };
        self.meter().add_batch(self.label, 0, 1, split);
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let body = self.get_mut();
        if body.ended {
            return Poll::Ready(None);
        }
        if let Some((bytes, split)) = body.hello.take() {
            return Poll::Ready(body.chunk(bytes, 0, 1, split).map(Ok));
        }
        if body.bytes_left > 0 {
            match body.reader.poll_wait(cx) {
                Poll::Ready(Next::Batch(batch)) => return Poll::Ready(body.batch(batch).map(Ok)),
                Poll::Ready(Next::Closed) => {
                    body.end();
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
        }
        while body.bytes_left == 0 || body.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if body.bytes_left == 0 || now >= body.ends {
                body.end();
                return Poll::Ready(None);
            }
            body.timer.as_mut().reset(body.ends.min(now + body.heartbeat_every));
            if std::mem::replace(&mut body.silent, true) {
                let bytes = Bytes::from_static(body.heartbeat);
                let split = Split { framing: bytes.len() as u64, ..Split::default() };
                return Poll::Ready(body.chunk(bytes, 0, 1, split).map(Ok));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

fn chunk_framing(len: usize) -> u64 {
    u64::from(len.max(1).ilog(16)) + 1 + CHUNK_LINE_ENDS
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_chunk_s_size_line_grows_with_it() {
        for (len, framing) in [(1, 5), (15, 5), (16, 6), (255, 6), (256, 7), (4096, 8)] {
            assert_eq!(super::chunk_framing(len), framing, "{len}");
        }
    }
}
