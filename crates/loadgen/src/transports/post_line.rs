//! The second connection of a client whose first one waits for messages: opened when there is something to post, as a browser would,
//! and kept until the server closes it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::exchange::{Connection, Heard, Request, Wanted, keep};
use super::polling::take_ack;
use crate::crowd::spawn;
use crate::fault::{End, Fault};
use crate::lean::request::Requests;
use crate::lean::response::Part;
use crate::link::Link;
use crate::seat::{Due, Seat, Way};
use crate::worker::Worker;
use results::FaultKind;

pub(crate) struct PostLine {
    requests: Requests,
    link: RefCell<Option<Rc<Link>>>,
    /// A post is on its way and not answered.
    busy: Cell<bool>,
    /// It has answered: from then on the server may have closed it whenever nothing is on its way.
    is_kept: Cell<bool>,
}

impl PostLine {
    /// Makes it the seat's way to post, if the seat ever posts. Its task ends with the worker.
    pub(super) fn attach(worker: &Rc<Worker>, seat: &Rc<Seat>) {
        if !worker.posts_at_all(seat) {
            return;
        }
        let mut kept = seat.post_line.borrow_mut();
        let line = kept.get_or_insert_with(|| {
            let line = Rc::new(Self {
                requests: worker.requests(seat, "", ""),
                link: RefCell::default(),
                busy: Cell::new(false),
                is_kept: Cell::new(false),
            });
            spawn(worker, run(Rc::clone(worker), Rc::clone(seat), Rc::clone(&line)));
            line
        });
        *seat.way.borrow_mut() = Way::Second(Rc::clone(line));
        drop(kept);
        worker.flush(seat);
    }

    /// Sends the next post, if the line is open and free; opens it if it is not open.
    pub(crate) fn flush(&self, worker: &Worker, seat: &Seat) -> Result<(), Fault> {
        let link = self.link.borrow();
        let Some(link) = link.as_ref() else {
            seat.bell.notify_one();
            return Ok(());
        };
        if self.busy.get() {
            seat.mark_blocked();
            return Ok(());
        }
        self.send_next(worker, seat, link)
    }

    fn send_next(&self, worker: &Worker, seat: &Seat, link: &Link) -> Result<(), Fault> {
        let Some(due) = seat.outbox.borrow_mut().pop_front() else { return Ok(()) };
        self.busy.set(true);
        let post = worker.post(seat, due.ordinal);
        let mut request = Vec::with_capacity(post.text.len() + 256);
        let body = self.requests.post(&post, &mut request);
        if !due.left {
            worker.leave(seat, &due);
        }
        match Request::post(&request, body, post.text.len()).send(worker, link) {
            // Nothing of it has left. The reading side meets the same end, and opens another line for it.
            Err(fault) if fault.kind == FaultKind::Reset && self.is_kept.get() => {
                self.busy.set(false);
                seat.outbox.borrow_mut().push_front(Due { left: true, ..due });
                Ok(())
            }
            sent => sent,
        }
    }
}

async fn run(worker: Rc<Worker>, seat: Rc<Seat>, line: Rc<PostLine>) {
    loop {
        while seat.outbox.borrow().is_empty() {
            seat.bell.notified().await;
        }
        let outcome = serve(&worker, &seat, &line).await;
        *line.link.borrow_mut() = None;
        line.busy.set(false);
        line.is_kept.set(false);
        if let Err(End::Fault(fault)) = outcome {
            let pause = RETRY_PAUSE.max(fault.pause());
            worker.fault(fault);
            seat.mark_blocked();
            tokio::time::sleep(pause).await;
        }
    }
}

/// After a post broke, the line rests before it is opened again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Opens the line and reads answers until it is closed between two posts.
async fn serve(worker: &Worker, seat: &Seat, line: &PostLine) -> Result<(), End> {
    let mut connection = Connection::new(worker.open_for_posts(seat).await?);
    *line.link.borrow_mut() = Some(Rc::clone(connection.link()));
    line.send_next(worker, seat, connection.link())?;
    let mut answer = Vec::new();
    loop {
        let part = |part: Part<'_>| match part {
            Part::Body(bytes) => Ok(keep(bytes, &mut answer)?),
            Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
        };
        match connection.read(worker, seat, Wanted::POST, || line.busy.get(), part).await? {
            Heard::Part => {}
            Heard::Whole(head) => {
                take_ack(worker, seat, &std::mem::take(&mut answer))?;
                line.busy.set(false);
                line.is_kept.set(true);
                if head.closes {
                    return Ok(());
                }
                line.send_next(worker, seat, connection.link())?;
            }
            Heard::Gone(fault) if line.busy.get() => return Err(fault.into()),
            Heard::Gone(_) => return Ok(()),
        }
        worker.pace();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::{blocked_by_opening, worker_to};

    #[tokio::test]
    async fn what_comes_while_the_line_is_opened_is_not_the_pacer_s_fault() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, wire::Transport::LongPolling);
        tokio::task::LocalSet::new()
            .run_until(async {
                PostLine::attach(&worker, worker.seat(0));
                assert_eq!(blocked_by_opening(&worker).await, 1);
            })
            .await;
    }
}
