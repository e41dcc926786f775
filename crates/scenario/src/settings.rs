//! The parts of a plan: the words of the scenario in the types the rest of the program works with.

use std::time::Duration;

use crate::words::{
    ArrivalsWord, BeatWords, LimitsWords, PhasesWords, PostsWords, PricesWords, StreamingWords, TuningWords,
};

/// How long each phase of a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    /// All connections are opened, evenly paced.
    pub ramp_up: Duration,
    /// Nothing happens, after every seat has seen the probe.
    pub settle: Duration,
    /// Posts flow, nothing counts yet. Its start is T0.
    pub warm_up: Duration,
    /// What is measured.
    pub window: Duration,
    /// The drain ends when nothing came for this long …
    pub drain_quiet: Duration,
    /// … and at the latest after this.
    pub drain_max: Duration,
}

impl Phases {
    pub(crate) fn from_words(words: &PhasesWords) -> Self {
        Self {
            ramp_up: seconds(words.ramp_up_s),
            settle: seconds(words.settle_s),
            warm_up: seconds(words.warm_up_s),
            window: seconds(words.window_s),
            drain_quiet: seconds(words.drain_quiet_s),
            drain_max: seconds(words.drain_max_s),
        }
    }

    /// How long posts flow: warm-up and window.
    pub fn posting(&self) -> Duration {
        self.warm_up + self.window
    }
}

/// When an author's posts are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Exponential gaps.
    Poisson,
    /// Equal gaps, every author with a seeded start of its own.
    Uniform,
    /// Equal gaps, the starts evenly spread over one gap in seat order.
    Staggered,
    /// `size` posts at one instant, then a pause.
    Burst {
        /// Posts a burst.
        size: u32,
    },
}

impl Arrivals {
    pub(crate) fn from_words(words: &PostsWords) -> Self {
        match words.arrivals {
            ArrivalsWord::Poisson => Self::Poisson,
            ArrivalsWord::Uniform => Self::Uniform,
            ArrivalsWord::Staggered => Self::Staggered,
            ArrivalsWord::Burst => Self::Burst { size: words.burst_size },
        }
    }
}

/// What each transport is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// `polling`
    pub polling: Polling,
    /// `long-polling`
    pub long_polling: LongPolling,
    /// `http-streaming`
    pub http_streaming: Streaming,
    /// `sse`
    pub sse: Streaming,
    /// `websocket`
    pub websocket: Websocket,
    /// `socketio-polling`, `socketio-websocket`, `socketio`
    pub socketio: Beat,
    /// `stomp`
    pub stomp: Beat,
}

impl Tuning {
    pub(crate) fn from_words(words: &TuningWords) -> Self {
        Self {
            polling: Polling {
                interval: Duration::from_millis(words.polling.interval_ms),
                jitter: words.polling.jitter,
                request_bytes: words.polling.request_bytes,
                keep_alive: words.polling.keep_alive,
            },
            long_polling: LongPolling {
                hold: Duration::from_millis(words.long_polling.hold_ms),
                keep_alive: words.long_polling.keep_alive,
            },
            http_streaming: Streaming::from_words(&words.http_streaming),
            sse: Streaming::from_words(&words.sse),
            websocket: Websocket {
                age: seconds(words.websocket.age_s),
                heartbeat: seconds(words.websocket.heartbeat_s),
            },
            socketio: Beat::from_words(&words.socketio),
            stomp: Beat::from_words(&words.stomp),
        }
    }
}

/// How a poller asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polling {
    /// Mean time from one poll to the next.
    pub interval: Duration,
    /// Width of the range the time is drawn from, as a share of the interval and centred on it.
    pub jitter: f64,
    /// Size the head of a poll is padded to; 0 pads nothing.
    pub request_bytes: u64,
    /// One connection for all polls, or one for each.
    pub keep_alive: bool,
}

impl Polling {
    /// Longest time from one poll to the next.
    pub fn gap_max(&self) -> Duration {
        self.interval.mul_f64(1.0 + self.jitter / 2.0)
    }
}

/// How a long poller asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongPolling {
    /// How long the server may hold a request.
    pub hold: Duration,
    /// One connection for all requests, or one for each.
    pub keep_alive: bool,
}

/// When a streamed response ends, and how it shows that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streaming {
    /// Age at which the server ends it.
    pub age: Duration,
    /// Bytes after which the server ends it.
    pub bytes_max: u64,
    /// Silence after which the server sends a sign of life.
    pub heartbeat: Duration,
}

impl Streaming {
    fn from_words(words: &StreamingWords) -> Self {
        Self { age: seconds(words.age_s), bytes_max: words.bytes_max, heartbeat: seconds(words.heartbeat_s) }
    }
}

/// When a WebSocket ends, and how it shows that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Websocket {
    /// Age at which the server closes it.
    pub age: Duration,
    /// Silence after which the server pings.
    pub heartbeat: Duration,
}

/// How a connection of both ways shows that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Time between two signs of life.
    pub heartbeat: Duration,
}

impl Beat {
    fn from_words(words: &BeatWords) -> Self {
        Self { heartbeat: seconds(words.heartbeat_s) }
    }
}

/// What a run may use before it is refused or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sockets the generator may hold at once.
    pub connections_max: u64,
    /// Posts all plans of the job may have together.
    pub posts_max: u64,
    /// Times one seat may try again after a fault in one run.
    pub retries_max: u32,
    /// Invalid runs the job may repeat.
    pub invalid_reruns: u32,
}

impl Limits {
    pub(crate) fn from_words(words: &LimitsWords) -> Self {
        Self {
            connections_max: words.connections_max,
            posts_max: words.posts_max,
            retries_max: words.retries_max,
            invalid_reruns: words.invalid_reruns,
        }
    }
}

/// Which cores server and generator are pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cores {
    /// Whoever runs the plan looks at the machine and chooses.
    Auto,
    /// As written.
    Fixed {
        /// Cores of the server.
        server: Vec<usize>,
        /// Cores of the generator, a worker thread each.
        generator: Vec<usize>,
    },
}

/// What a month of it would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// One vCPU for an hour.
    pub vcpu_hour: f64,
    /// A GB of memory for an hour.
    pub gb_hour: f64,
    /// A GB sent out.
    pub gb_out: f64,
    /// What the prices are in.
    pub currency: String,
}

impl Prices {
    pub(crate) fn from_words(words: &PricesWords) -> Self {
        Self {
            vcpu_hour: words.vcpu_hour,
            gb_hour: words.gb_hour,
            gb_out: words.gb_out,
            currency: words.currency.clone(),
        }
    }
}

/// Seconds as written, in whole microseconds: the resolution of the plan. The list of fields keeps them between 0 and a day.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64)
}
