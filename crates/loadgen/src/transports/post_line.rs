//! The second connection of a client whose first one waits for messages: opened when there is something to post, as a browser would,
//! and kept until the server closes it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::exchange::Refusal;
use super::polling::{count_post, take_ack};
use crate::crowd::spawn;
use crate::fault::{End, Fault};
use crate::lean::request::Requests;
use crate::lean::response::{Head, Part, ResponseReader};
use crate::link::Link;
use crate::seat::{Seat, Way};
use crate::worker::Worker;

pub(crate) struct PostLine {
    requests: Requests,
    link: RefCell<Option<Rc<Link>>>,
    /// A post is on its way and not answered.
    busy: Cell<bool>,
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
        count_post(worker, post.text.len(), body, request.len());
        worker.hot.borrow_mut().tally.requests += 1;
        if !due.left {
            worker.leave(seat, &due);
        }
        worker.send(link, &request)
    }
}

async fn run(worker: Rc<Worker>, seat: Rc<Seat>, line: Rc<PostLine>) {
    loop {
        while seat.outbox.borrow().is_empty() {
            seat.bell.notified().await;
        }
        let outcome = serve(&worker, &seat, &line).await;
        *line.link.borrow_mut() = None;
        if line.busy.replace(false) || !matches!(outcome, Ok(()) | Err(End::Cut)) {
            worker.fault(match outcome {
                Err(End::Fault(fault)) => fault,
                Ok(()) | Err(End::Cut) => Fault::cut_short("a post"),
            });
            seat.mark_blocked();
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// After a post broke, the line rests before it is opened again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Opens the line and reads answers until it is closed.
async fn serve(worker: &Worker, seat: &Seat, line: &PostLine) -> Result<(), End> {
    let mut reading = worker.open_for_posts(seat).await?;
    *line.link.borrow_mut() = Some(Rc::clone(reading.link()));
    line.send_next(worker, seat, reading.link())?;
    let (mut reader, mut body, mut head) = (ResponseReader::new(), Vec::new(), None::<Head>);
    let mut refusal = None::<Refusal>;
    loop {
        let n = worker.fill(seat, &mut reading).await?;
        if n == 0 {
            return Ok(());
        }
        let mut answered = false;
        {
            let scratch = worker.scratch.borrow();
            reader.feed(&scratch[..n], |part| {
                match (&mut refusal, part) {
                    (Some(refusal), part) => refusal.take(&part),
                    (None, Part::Head(found)) => {
                        refusal = Refusal::of(&found, &[200]);
                        head = Some(found);
                    }
                    (None, Part::Body(bytes)) => body.extend_from_slice(bytes),
                    (None, Part::Framing(_)) => {}
                    (None, Part::End) => answered = true,
                }
                Ok::<_, Fault>(())
            })?;
        }
        if let Some(refusal) = refusal.take() {
            return Err(refusal.finish(worker, seat, &mut reading, &mut reader).await.into());
        }
        if let Some(head) = head.take_if(|_| answered) {
            take_ack(worker, seat, &head, &std::mem::take(&mut body))?;
            line.busy.set(false);
            if head.closes {
                return Err(End::Cut);
            }
            line.send_next(worker, seat, reading.link())?;
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
