//! A schedule in slices: the plan of a round with short windows, and of a lock-step round.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::Transport;

use super::rng::{RngStream, hash};
use super::schedule::{Draw, Schedule};
use super::{Drawn, Plan};
use crate::file::Arrivals;

/// Lead-in of a slice for transports that do not poll by interval.
const LEAD_IN: Duration = Duration::from_millis(10);
/// A window is this long, or as long as [`POSTS_MIN`] posts take.
const WINDOW: Duration = Duration::from_millis(25);
const WINDOW_MAX: Duration = Duration::from_secs(2);
const POSTS_MIN: f64 = 5.0;
/// Where the server ends connections by their bytes, a window is as long as so many of them last …
const CONNECTIONS_MIN: f64 = 4.0;
/// … if a message takes this many bytes besides its payload.
const ENVELOPE_BYTES: f64 = 60.0;
/// Most connections a second while the clients of a round with slices connect.
const CONNECTS_PER_S: f64 = 5_000.0;
const SETTLE_S: f64 = 0.02;
/// Readers of the room of a lock-step round.
const LOCK_STEP_READERS: u32 = 100;

/// The slices of a schedule, one after the other: a lead-in and a window each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slicing {
    /// Number of slices.
    pub count: u32,
    /// Time of posting before the window of each slice; its posts are not measured.
    pub lead_in: Duration,
    /// Length of the window.
    pub window: Duration,
}

impl Slicing {
    /// Length of one slice.
    pub fn slice(&self) -> Duration {
        self.lead_in + self.window
    }

    /// Length of all slices.
    pub fn total(&self) -> Duration {
        self.slice() * self.count
    }

    /// The slice in which an instant of the schedule lies, if it lies in a window.
    pub fn window_of(&self, due_us: u32) -> Option<u32> {
        let slice = self.slice().as_micros() as u64;
        let (at, within) = (u64::from(due_us) / slice.max(1), u64::from(due_us) % slice.max(1));
        (within >= self.lead_in.as_micros() as u64).then_some(at as u32)
    }

    /// The slice in which an instant of the schedule lies.
    pub fn slice_of(&self, due_us: u32) -> u32 {
        (u64::from(due_us) / (self.slice().as_micros() as u64).max(1)) as u32
    }
}

impl Plan {
    /// Lead-in and window of a short slice over a transport: polling leads in for an interval, and
    /// its window is a whole number of them; the window of connections that end contains several.
    pub fn short_slice(&self, transport: Transport) -> Slicing {
        let posts_per_s = f64::from(self.authors) * self.posts_per_author_per_s;
        // Without posts there is nothing to wait for but polls.
        let least = if posts_per_s > 0.0 { POSTS_MIN / posts_per_s } else { 0.0 };
        let tuning = self.tuning.of(transport);
        let bytes_per_s = posts_per_s / f64::from(self.rooms) * (self.payload_bytes as f64 + ENVELOPE_BYTES);
        let connection_s = tuning.stream_bytes.or(tuning.websocket_bytes).map(|bytes| bytes as f64 / bytes_per_s);
        let ends = connection_s.map(|s| s * CONNECTIONS_MIN).filter(|s| *s <= WINDOW_MAX.as_secs_f64());
        let least = Duration::try_from_secs_f64(least.max(ends.unwrap_or(0.0))).unwrap_or(WINDOW_MAX);
        // Instants of the schedule are whole microseconds, and so are slices.
        let window = Duration::from_micros(least.clamp(WINDOW, WINDOW_MAX).as_micros() as u64);
        match tuning.interval.filter(|interval| !interval.is_zero()) {
            None => Slicing { count: 1, lead_in: LEAD_IN, window },
            Some(interval) => {
                let intervals = window.as_secs_f64() / interval.as_secs_f64();
                Slicing { count: 1, lead_in: interval, window: interval * (intervals.ceil().max(1.0) as u32) }
            }
        }
    }

    /// The same load in slices. Each round draws its own schedule.
    #[must_use]
    pub fn sliced(&self, slicing: Slicing, round: u32) -> Self {
        let seed = hash(self.seed, RngStream::Rounds, round.into(), 0);
        let mut plan = self.redrawn(slicing, Draw { seed, posting: slicing.total(), ..self.draw });
        let ramp_up_s = f64::from(self.clients) / CONNECTS_PER_S;
        plan.phases.ramp_up_s = plan.phases.ramp_up_s.min(ramp_up_s);
        plan.phases.settle_s = plan.phases.settle_s.min(SETTLE_S);
        plan
    }

    /// The plan of a lock-step round: one room, one author, this number of posts.
    #[must_use]
    pub fn lock_step(&self, posts: u32, round: u32) -> Self {
        let plan = Self { clients: LOCK_STEP_READERS, rooms: 1, authors: 1, ..self.clone() };
        // Only the order of the posts matters: nothing follows their instants.
        let slicing = Slicing { count: 1, lead_in: Duration::ZERO, window: Duration::from_millis(posts.into()) };
        let draw = Draw {
            arrivals: Arrivals::Uniform,
            authors: 1,
            per_s: 1e3,
            posting: slicing.total(),
            seed: hash(self.seed, RngStream::Rounds, round.into(), 1),
            ..self.draw
        };
        let mut plan = plan.redrawn(slicing, draw);
        (plan.phases.ramp_up_s, plan.phases.settle_s) = (0.0, 0.0);
        plan
    }

    /// A plan of two clients in one room, or of one in each of two rooms where every client has a room
    /// of its own. Both post.
    #[must_use]
    pub fn pair(&self) -> Self {
        let rooms = if self.rooms == self.clients { 2 } else { 1 };
        let plan = Self { clients: 2, rooms, authors: 2, ..self.clone() };
        let window = Duration::from_millis(10);
        let draw = Draw { arrivals: Arrivals::Uniform, authors: 2, per_s: 1e3, posting: window, ..self.draw };
        plan.redrawn(Slicing { count: 1, lead_in: Duration::ZERO, window }, draw)
    }

    fn redrawn(&self, slicing: Slicing, draw: Draw) -> Self {
        let draw = Draw { posts_max: u64::from(u32::MAX / 2), ..draw };
        let schedule = Schedule::draw(&draw).expect("the number of slices is limited by the posts that are allowed");
        let drawn = Drawn { schedule, texts: Arc::clone(&self.drawn.texts), posts_by_room: Vec::new() };
        Self { slicing, draw, drawn: Arc::new(drawn), ..self.clone() }.counted()
    }

    /// The plan with its posts counted.
    pub(super) fn counted(mut self) -> Self {
        let mut by_room = vec![0; self.rooms as usize];
        for author in 0..self.authors {
            by_room[self.room_of(author) as usize] += self.posts_of(author);
        }
        let drawn = Arc::get_mut(&mut self.drawn).expect("it was made just now");
        drawn.posts_by_room = by_room;
        self
    }

    /// Posts and deliveries that are scheduled in each slice: all of it, and its window alone.
    pub fn scheduled_by_slice(&self) -> Vec<SliceLoad> {
        let mut loads = vec![SliceLoad::default(); self.slicing.count as usize];
        for author in 0..self.authors {
            let receivers = u64::from(self.receivers(self.room_of(author)));
            for due_us in self.drawn.schedule.of(author) {
                let Some(load) = loads.get_mut(self.slicing.slice_of(*due_us) as usize) else { continue };
                load.posts += 1;
                load.deliveries += receivers;
                if self.slicing.window_of(*due_us).is_some() {
                    load.posts_in_window += 1;
                    load.deliveries_in_window += receivers;
                }
            }
        }
        loads
    }

    /// Number of posts in all windows.
    pub fn posts_in_window(&self) -> u64 {
        self.scheduled_by_slice().iter().map(|load| load.posts_in_window).sum()
    }

    /// Number of deliveries of these posts: each post times its receivers.
    pub fn deliveries_in_window(&self) -> u64 {
        self.scheduled_by_slice().iter().map(|load| load.deliveries_in_window).sum()
    }

    /// A number that is the same for equal schedules, texts and clients.
    pub fn fingerprint(&self) -> u64 {
        let slicing = &self.slicing;
        let head = [
            u64::from(self.clients),
            u64::from(self.rooms),
            u64::from(self.authors),
            self.payload_bytes as u64,
            self.seed,
            u64::from(slicing.count),
            u64::from(self.author_receives),
            slicing.lead_in.as_micros() as u64,
            slicing.window.as_micros() as u64,
        ];
        let dues = (0..self.authors).flat_map(|author| self.drawn.schedule.of(author)).map(|due| u64::from(*due));
        head.into_iter()
            .chain(dues)
            .fold(0xcbf2_9ce4_8422_2325, |sum, word| (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5))
    }
}

/// What is scheduled in one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SliceLoad {
    /// Posts in lead-in and window.
    pub posts: u64,
    /// Deliveries of these posts.
    pub deliveries: u64,
    /// Posts in the window.
    pub posts_in_window: u64,
    /// Deliveries of these posts.
    pub deliveries_in_window: u64,
}
