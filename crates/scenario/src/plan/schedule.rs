//! The schedule of all posts: drawn once, one flat list with an offset for each author.

use std::fmt;
use std::time::Duration;

use super::rng::{Rng, RngStream};
use crate::file::Arrivals;

/// All scheduled instants, in microseconds from T0. An hour fits into 32 bits.
#[derive(PartialEq, Eq)]
pub(crate) struct Schedule {
    due_us: Vec<u32>,
    /// Offset of each author's first post in `due_us`, followed by the length of the list.
    first: Vec<u32>,
}

/// Parameters of a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Draw {
    pub(crate) arrivals: Arrivals,
    pub(crate) burst_size: u32,
    pub(crate) authors: u32,
    /// Posts per second of each author.
    pub(crate) per_s: f64,
    pub(crate) posting: Duration,
    pub(crate) seed: u64,
    pub(crate) posts_max: u64,
}

impl Schedule {
    /// Draws the schedule. More than `posts_max` posts are an error with their number, before
    /// memory is allocated for them.
    pub(crate) fn draw(draw: &Draw) -> Result<Self, u64> {
        let end_us = draw.posting.as_micros() as f64;
        let expected = f64::from(draw.authors) * draw.per_s * end_us / 1e6;
        if expected > draw.posts_max as f64 {
            return Err(expected.ceil() as u64);
        }
        let mut schedule = Self { due_us: Vec::with_capacity(expected as usize), first: vec![0] };
        for author in 0..draw.authors {
            if draw.per_s > 0.0 {
                schedule.add_author(draw, author, end_us);
            }
            let posts = schedule.due_us.len() as u64;
            if posts > draw.posts_max {
                return Err(posts);
            }
            schedule.first.push(u32::try_from(posts).expect("posts_max is far below 2^32"));
        }
        schedule.due_us.shrink_to_fit();
        Ok(schedule)
    }

    fn add_author(&mut self, draw: &Draw, author: u32, end_us: f64) {
        let gap_us = 1e6 / draw.per_s;
        let mut chance = Rng::new(draw.seed, RngStream::Arrivals, author.into());
        match draw.arrivals {
            Arrivals::Poisson => {
                let mut at_us = chance.exponential() * gap_us;
                while at_us < end_us {
                    self.due_us.push(at_us as u32);
                    at_us += chance.exponential() * gap_us;
                }
            }
            Arrivals::Uniform => self.add_even(chance.unit() * gap_us, gap_us, end_us, 1),
            Arrivals::Staggered => {
                let share = f64::from(author) / f64::from(draw.authors);
                self.add_even(share * gap_us, gap_us, end_us, 1);
            }
            Arrivals::Burst => {
                let pause_us = gap_us * f64::from(draw.burst_size);
                self.add_even(chance.unit() * pause_us, pause_us, end_us, draw.burst_size);
            }
        }
    }

    /// Instants are products, not sums, so that rounding errors do not accumulate.
    fn add_even(&mut self, start_us: f64, gap_us: f64, end_us: f64, at_once: u32) {
        let times = (0_u32..).map(|k| start_us + f64::from(k) * gap_us).take_while(|&at_us| at_us < end_us);
        for at_us in times {
            self.due_us.extend((0..at_once).map(|_| at_us as u32));
        }
    }

    /// All scheduled instants of an author, in order.
    pub(crate) fn of(&self, author: u32) -> &[u32] {
        let author = author as usize;
        match (self.first.get(author), self.first.get(author + 1)) {
            (Some(&from), Some(&to)) => &self.due_us[from as usize..to as usize],
            _ => &[],
        }
    }

    /// Index of an author's post in the whole list.
    pub(crate) fn index(&self, author: u32, ordinal: u64) -> Option<usize> {
        let author = author as usize;
        let (from, to) = (*self.first.get(author)?, *self.first.get(author + 1)?);
        let index = u64::from(from).checked_add(ordinal.checked_sub(1)?)?;
        (index < u64::from(to)).then_some(index as usize)
    }

    /// Scheduled instant of the post at an index.
    pub(crate) fn due_us(&self, index: usize) -> u32 {
        self.due_us[index]
    }

    /// Number of all posts.
    pub(crate) fn posts(&self) -> u64 {
        self.due_us.len() as u64
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("authors", &(self.first.len() - 1)).field("posts", &self.posts()).finish()
    }
}
