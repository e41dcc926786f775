//! The clients of a worker, and when their posts are due.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use scenario::Plan;

use crate::client::Client;
use crate::run_context::{RunContext, WorkerIndex};
use crate::schedule_cursor::{NextPost, ScheduleCursor};

pub(crate) struct Scheduler {
    plan: Arc<Plan>,
    pub(crate) clients: Vec<Rc<Client>>,
    worker: WorkerIndex,
    cursor: RefCell<ScheduleCursor>,
    /// When the next post is due, in microseconds since T0; `i64::MAX` if there is none.
    next_due_us: Cell<i64>,
    /// Later posts belong to later slices.
    end_us: Cell<i64>,
}

impl Scheduler {
    /// In lock-step nothing is sent by schedule.
    pub(crate) fn new(plan: &Arc<Plan>, worker: WorkerIndex, lock_step: bool) -> Self {
        let clients = || plan.clients_of_worker(worker.index, worker.count);
        let cursor = ScheduleCursor::new(plan, clients());
        let next_due_us = if lock_step { i64::MAX } else { due_us(&cursor) };
        Self {
            plan: Arc::clone(plan),
            clients: clients().map(|id| Rc::new(Client::new(id, plan.room_of(id)))).collect(),
            worker,
            cursor: RefCell::new(cursor),
            next_due_us: Cell::new(next_due_us),
            end_us: Cell::new(i64::MAX),
        }
    }

    /// Sends only posts that are due before this instant, until the next call.
    pub(crate) fn set_end_us(&self, end_us: i64) {
        self.end_us.set(end_us);
        self.set_next(&self.cursor.borrow());
    }

    fn set_next(&self, cursor: &ScheduleCursor) {
        let due = due_us(cursor);
        self.next_due_us.set(if due < self.end_us.get() { due } else { i64::MAX });
    }

    /// A client of this worker by its id.
    pub(crate) fn client(&self, id: u32) -> &Rc<Client> {
        &self.clients[(self.plan.place_of(id) / self.worker.count) as usize]
    }

    /// The clients of a room.
    pub(crate) fn members(&self, room: u32) -> impl Iterator<Item = &Rc<Client>> {
        self.clients.iter().filter(move |client| client.room == room)
    }

    /// Sends the posts that are due. It runs on the timer and after every read, so that a busy
    /// worker sends as punctually as an idle one.
    pub(crate) fn send_scheduled(&self, run: &RunContext) {
        if self.next_due_us.get() == i64::MAX {
            return;
        }
        let now = run.clock.now_us();
        if now < self.next_due_us.get() {
            return;
        }
        while let Some(post) = self.pop(run, now.min(self.end_us.get() - 1)) {
            self.client(post.client).post(run, post.ordinal);
        }
        self.set_next(&self.cursor.borrow());
    }

    /// Takes the next post of the plan, if it is due by `now_us`.
    pub(crate) fn pop(&self, run: &RunContext, now_us: i64) -> Option<NextPost> {
        self.cursor.borrow_mut().pop(&run.plan, now_us)
    }

    /// Time until the next post is due; `None` if there is none.
    pub(crate) fn until_next_post(&self, run: &RunContext) -> Option<Duration> {
        let next = self.next_due_us.get();
        (next != i64::MAX).then(|| Duration::from_micros(u64::try_from(next - run.clock.now_us()).unwrap_or(0)))
    }
}

fn due_us(cursor: &ScheduleCursor) -> i64 {
    cursor.due_us().map_or(i64::MAX, i64::from)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::testing::worker;

    #[tokio::test(start_paused = true)]
    async fn posts_are_sent_when_they_are_due_and_late_ones_at_once() {
        let worker = worker(3, 1, "[phases]\nwarm_up_s = 1.0\nwindow_s = 4.0\n");
        let (run, scheduler) = (&worker.run, &worker.scheduler);
        let begun = Instant::now();
        run.clock.set_t0(begun);
        let waiting = || scheduler.clients.iter().map(|client| client.queue.borrow().len()).sum::<usize>();
        let due_by =
            |us: u64| (0..run.plan.posts_total()).filter(|at| u64::from(run.plan.due_us(*at as usize)) <= us).count();
        while let Some(wait) = scheduler.until_next_post(run) {
            // Called too early it sends nothing; called 150 ms late it sends everything that was
            // due.
            advance(wait.saturating_sub(Duration::from_micros(1))).await;
            let before = waiting();
            scheduler.send_scheduled(run);
            assert_eq!(waiting(), before, "early");
            advance(Duration::from_millis(150)).await;
            scheduler.send_scheduled(run);
            assert_eq!(waiting(), due_by(begun.elapsed().as_micros() as u64));
        }
        for client in &scheduler.clients {
            let ordinals: Vec<_> = client.queue.borrow().iter().map(|post| post.ordinal).collect();
            assert_eq!(ordinals, (1..=run.plan.posts_of(client.id)).collect::<Vec<_>>());
        }
    }
}
