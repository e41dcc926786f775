//! One simulated client in one room: its state, its queue of posts, and how they are sent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use results::{FaultKind, Series};
use tokio::sync::Notify;
use wire::StartAt;

use crate::config::Node;
use crate::error::Fault;
use crate::learned::Learned;
use crate::measure::ledger::ClientLedger;
use crate::measure::probe::PROBE_ORDINAL;
use crate::net::connection::Connection;
use crate::run_context::RunContext;

/// A post that is due and not yet sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingPost {
    pub(crate) ordinal: u64,
    /// It waited for the transport, not for its schedule.
    pub(crate) delayed: bool,
    /// It is marked as sent already, because a connection is being opened for it.
    pub(crate) sent: bool,
}

impl PendingPost {
    pub(crate) const fn new(ordinal: u64) -> Self {
        Self { ordinal, delayed: false, sent: false }
    }
}

/// How the posts of a connected client are sent.
pub(crate) trait PostSender {
    /// Sends what the client's queue holds, as far as the connection allows now.
    fn flush(&self, run: &RunContext, client: &Client) -> Result<(), Fault>;

    /// Opens the connection for posts before there are any, if it is not the one that delivers.
    fn open(&self, _: &Client) {}

    /// Closes the connection for posts: the client goes to another server.
    fn leave(&self) {}

    /// Sends the message that ends the session, where closing the connection does not end it.
    /// Returns whether it was sent. Nothing waits for its answer, and no count includes it.
    fn say_goodbye(&self) -> bool {
        false
    }
}

/// Leaves the posts in the queue and wakes the client's task, which sends them.
pub(crate) struct SentByTask;

impl PostSender for SentByTask {
    fn flush(&self, _: &RunContext, client: &Client) -> Result<(), Fault> {
        client.post_ready.notify_one();
        Ok(())
    }
}

pub(crate) struct Client {
    pub(crate) id: u32,
    pub(crate) room: u32,
    /// Servers that it has left because they failed.
    left: Cell<u32>,
    pub(crate) ledger: RefCell<ClientLedger>,
    pub(crate) queue: RefCell<VecDeque<PendingPost>>,
    /// Indices of posts that were sent and not answered yet.
    pub(crate) unanswered: RefCell<Vec<usize>>,
    /// `None` while the client cannot post.
    pub(crate) sender: RefCell<Option<Rc<dyn PostSender>>>,
    /// A sender that is kept when the client reconnects.
    pub(crate) kept_sender: RefCell<Option<Rc<dyn PostSender>>>,
    /// Wakes the task that sends posts when the queue has some.
    pub(crate) post_ready: Notify,
    /// The open connection that carries the messages.
    pub(crate) connection: RefCell<Option<Rc<Connection>>>,
    pub(crate) joined: Cell<bool>,
    joined_once: Cell<bool>,
    /// It has received the probe.
    pub(crate) probed: Cell<bool>,
    /// When the current attempt to connect began, in microseconds since the start of the run.
    connecting_us: Cell<i64>,
    /// It lost a connection at least once.
    pub(crate) was_disconnected: Cell<bool>,
    /// When the connection was lost, until the next message arrives.
    pub(crate) disconnected_us: Cell<Option<i64>>,
    /// Idle detection closed the connection: its end is not counted as a second fault.
    pub(crate) closed_as_idle: Cell<bool>,
    /// Second of the run in which bytes were last read.
    pub(crate) last_read_s: Cell<u32>,
    /// What responses of a server with a protocol of its own have told it.
    pub(crate) learned: RefCell<Learned>,
}

impl Client {
    pub(crate) fn new(id: u32, room: u32) -> Self {
        Self {
            id,
            room,
            left: Cell::new(0),
            ledger: RefCell::default(),
            queue: RefCell::default(),
            unanswered: RefCell::default(),
            sender: RefCell::default(),
            kept_sender: RefCell::default(),
            post_ready: Notify::new(),
            connection: RefCell::default(),
            joined: Cell::new(false),
            joined_once: Cell::new(false),
            probed: Cell::new(false),
            connecting_us: Cell::new(0),
            was_disconnected: Cell::new(false),
            disconnected_us: Cell::new(None),
            closed_as_idle: Cell::new(false),
            last_read_s: Cell::new(0),
            learned: RefCell::default(),
        }
    }

    /// Its server. The clients of each room are dealt over all of them.
    pub(crate) fn node(&self, run: &RunContext) -> Node {
        let (nodes, dealt) = (&run.target.nodes, self.id / run.plan.rooms);
        nodes[(dealt + self.left.get()) as usize % nodes.len()]
    }

    /// Goes to the next server, if there is another one.
    pub(crate) fn leave_node(&self, run: &RunContext) {
        if run.target.nodes.len() > 1 {
            self.left.set(self.left.get() + 1);
            if let Some(sender) = &*self.kept_sender.borrow() {
                sender.leave();
            }
        }
    }

    /// The cursor to read from; `Live` before the first join.
    pub(crate) fn start_at(&self) -> StartAt {
        if self.joined_once.get() { StartAt::After(self.ledger.borrow().last()) } else { StartAt::Live }
    }

    /// Queues a post and sends it if the client can.
    pub(crate) fn post(&self, run: &RunContext, ordinal: u64) {
        self.queue.borrow_mut().push_back(PendingPost::new(ordinal));
        self.flush(run);
    }

    /// Posts the probe of the client's room.
    pub(crate) fn send_probe(&self, run: &RunContext) {
        self.post(run, PROBE_ORDINAL);
    }

    /// Ends the session with a message, where its transport needs one. Returns whether it was sent.
    pub(crate) fn say_goodbye(&self) -> bool {
        self.sender.borrow().as_ref().is_some_and(|sender| sender.say_goodbye())
    }

    /// Sends what the queue holds, as far as the sender allows.
    pub(crate) fn flush(&self, run: &RunContext) {
        match &*self.sender.borrow() {
            None => self.mark_delayed(),
            Some(sender) => {
                if let Err(fault) = sender.flush(run, self) {
                    // The reading side of the connection fails too, and the client reconnects.
                    run.fault(fault);
                }
            }
        }
    }

    /// A post was refused, or a connection with posts has ended: no answer will come.
    pub(crate) fn give_up_answers(&self, run: &RunContext) {
        self.unanswered.borrow_mut().drain(..).for_each(|index| run.posts.mark_unanswered(index));
    }

    /// Marks everything in the queue as delayed by the transport.
    pub(crate) fn mark_delayed(&self) {
        self.queue.borrow_mut().iter_mut().for_each(|post| post.delayed = true);
    }

    pub(crate) fn begin_connecting(&self, run: &RunContext) {
        self.connecting_us.set(run.clock.run_us());
    }

    /// The client is in its room, and receives everything after seq `after`.
    pub(crate) fn join(&self, run: &RunContext, after: u64) {
        if !self.joined_once.replace(true) {
            self.ledger.borrow_mut().start_after(after);
        }
        if !self.joined.replace(true) {
            run.population.joined.set(run.population.joined.get() + 1);
            let took = run.clock.run_us() - self.connecting_us.get();
            run.counters.borrow_mut().histograms.record(Series::ConnectTime, took);
        }
    }

    pub(crate) fn mark_disconnected(&self, run: &RunContext) {
        *self.sender.borrow_mut() = None;
        *self.connection.borrow_mut() = None;
        if self.kept_sender.borrow().is_none() {
            self.give_up_answers(run);
        }
        if self.joined.replace(false) {
            run.population.joined.set(run.population.joined.get() - 1);
            self.was_disconnected.set(true);
            self.disconnected_us.set(Some(run.clock.run_us()));
        }
    }

    /// The client has used all its reconnects.
    pub(crate) fn stop_retrying(&self, run: &RunContext) {
        run.population.stopped.set(run.population.stopped.get() + 1);
        let detail = format!("client {} used all {} reconnects", self.id, run.plan.limits.reconnects_max);
        run.fault(Fault::new(FaultKind::System, detail));
    }
}
