//! How a job divides its time into rounds.

use std::time::{Duration, Instant};

use results::Mode;

/// Share of the time for lock-step rounds, and if their servers have to be warmed up.
const LOCK_STEP_SHARE: f64 = 0.25;
const LOCK_STEP_SHARE_WARM: f64 = 0.4;
/// Time of a round under load that is wanted, and in lock-step.
const LOAD_ROUND: Duration = Duration::from_millis(8_500);
const LOCK_STEP_ROUND: Duration = Duration::from_secs(1);
/// Rounds for an interval; both modes need more for a good one.
const LOAD_ROUNDS_MIN: u32 = 4;
const LOCK_STEP_ROUNDS_MIN: u32 = 5;
const ROUNDS_MAX: u32 = 500;
/// Starting and connecting one subject, besides its clients.
const START: Duration = Duration::from_millis(50);
/// A round is at least this many times as long as its start.
const START_SHARE: f64 = 2.0;

/// The rounds of a job, and which is next.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    deadline: Instant,
    load: ModeRounds,
    lock_step: ModeRounds,
}

#[derive(Debug, Clone, Copy)]
struct ModeRounds {
    planned: u32,
    made: u32,
    /// Relative length of a round.
    weight: f64,
}

impl ModeRounds {
    fn left(self) -> u32 {
        self.planned.saturating_sub(self.made)
    }

    fn done_share(self) -> f64 {
        f64::from(self.made) / f64::from(self.planned.max(1))
    }
}

impl Timetable {
    /// Fits the rounds of so many subjects into the time until `deadline`; all of them together take
    /// this long to connect. `rounds_min` are the least numbers of rounds under load and in lock-step
    /// that the job needs.
    pub(crate) fn fit(
        deadline: Instant,
        load: (usize, Duration),
        lock_step: (usize, Duration),
        rounds_min: (u32, u32),
    ) -> Self {
        let time = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        let (subjects, connect) = load;
        let (stepped, connect_stepped) = lock_step;
        let share = if stepped == 0 { 0.0 } else { lock_step_share(connect_stepped) };
        let rounds = |time: f64, start: Duration, wanted: Duration, least: u32| {
            let start = start.as_secs_f64() * START_SHARE;
            let length = wanted.as_secs_f64().max(start);
            let most = (time / start).max(1.0);
            (time / length).clamp(f64::from(least).min(most), f64::from(ROUNDS_MAX)).floor()
        };
        let load_rounds = rounds(
            time * (1.0 - share),
            START * subjects as u32 + connect,
            LOAD_ROUND,
            rounds_min.0.max(LOAD_ROUNDS_MIN),
        );
        let lock_step_rounds = if stepped == 0 {
            0.0
        } else {
            let start = START * stepped as u32 + connect_stepped;
            rounds(time * share, start, LOCK_STEP_ROUND, rounds_min.1.max(LOCK_STEP_ROUNDS_MIN))
        };
        let of = |planned: f64, share: f64| ModeRounds {
            planned: planned as u32,
            made: 0,
            weight: share / planned.max(1.0),
        };
        Self { deadline, load: of(load_rounds, 1.0 - share), lock_step: of(lock_step_rounds, share) }
    }

    /// Time for one round under load with a block that counts, after the two of the warm-up, and for
    /// lock-step rounds, whose servers take so long to start.
    pub(crate) fn least_budget(subjects: usize, connect: Duration, block: Duration, lock_step: Duration) -> Duration {
        (START * subjects as u32 + connect + block * 3).div_f64(1.0 - lock_step_share(lock_step))
    }

    /// Planned rounds under load and in lock-step.
    pub(crate) const fn planned(&self) -> (u32, u32) {
        (self.load.planned, self.lock_step.planned)
    }

    /// The next round: its mode, its number and its deadline; `None` when all are made or the time
    /// is up.
    pub(crate) fn next(&mut self) -> Option<(Mode, u32, Instant)> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let weights =
            f64::from(self.load.left()) * self.load.weight + f64::from(self.lock_step.left()) * self.lock_step.weight;
        let in_lock_step = match (self.load.left(), self.lock_step.left()) {
            (0, 0) => return None,
            (0, _) => true,
            (_, 0) => false,
            _ => self.lock_step.done_share() < self.load.done_share(),
        };
        let (mode, rounds) =
            if in_lock_step { (Mode::LockStep, &mut self.lock_step) } else { (Mode::Load, &mut self.load) };
        let slot = left.mul_f64(rounds.weight / weights);
        rounds.made += 1;
        (!left.is_zero()).then(|| (mode, rounds.made, Instant::now() + slot))
    }
}

fn lock_step_share(start: Duration) -> f64 {
    if start.is_zero() { LOCK_STEP_SHARE } else { LOCK_STEP_SHARE_WARM }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seconds: u64, subjects: usize, lock_step: usize) -> (u32, u32) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let (load, lock_step) = ((subjects, Duration::from_millis(600)), (lock_step, Duration::ZERO));
        Timetable::fit(deadline, load, lock_step, (0, 0)).planned()
    }

    #[test]
    fn rounds_fit_the_time() {
        assert_eq!(rounds(84, 6, 6), (7, 20));
        assert_eq!(rounds(302, 6, 6), (26, 75));
        assert_eq!(rounds(2, 6, 0), (1, 0));
        assert_eq!(rounds(61, 6, 0), (7, 0));
    }

    #[test]
    fn both_modes_take_turns_and_the_last_round_ends_with_the_time() {
        let deadline = Instant::now() + Duration::from_secs(75);
        let mut timetable = Timetable::fit(deadline, (6, Duration::ZERO), (6, Duration::ZERO), (0, 0));
        let mut made = Vec::new();
        while let Some((mode, round, end)) = timetable.next() {
            assert!(end <= deadline + Duration::from_millis(10));
            made.push((mode, round));
        }
        assert_eq!(made[..4], [(Mode::Load, 1), (Mode::LockStep, 1), (Mode::LockStep, 2), (Mode::LockStep, 3)]);
        assert_eq!(made.len(), 24);
    }
}
