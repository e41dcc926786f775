//! One simulated client in one room: where it stands, and how its posts get out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;
use wire::StartAt;

use crate::ledger::ClientLedger;
use crate::link::Connection;
use crate::transports::{PacketSender, PostConnection};

/// A post that is due and has not left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingPost {
    pub(crate) ordinal: u64,
    /// Whether it had to wait for the transport, not for the pacer.
    pub(crate) delayed: bool,
    /// Its connection is being opened for it: it counts as gone.
    pub(crate) sent: bool,
}

impl PendingPost {
    pub(crate) const fn now(ordinal: u64) -> Self {
        Self { ordinal, delayed: false, sent: false }
    }
}

/// How posts get out.
#[derive(Default)]
pub(crate) enum Way {
    /// Not now: the client is not connected.
    #[default]
    None,
    /// On the connection that carries the messages.
    InBand(Rc<Connection>),
    /// On a second connection.
    Second(Rc<PostConnection>),
    /// On a second connection, as many as there are at once: Socket.IO's polling.
    Packets(Rc<PacketSender>),
    /// On the connection that asks for messages, between two questions; its task is rung.
    Between,
}

pub(crate) struct Client {
    pub(crate) id: u32,
    pub(crate) room: u32,
    pub(crate) ledger: RefCell<ClientLedger>,
    pub(crate) queue: RefCell<VecDeque<PendingPost>>,
    pub(crate) sender: RefCell<Way>,
    /// The second connection, once it was needed.
    pub(crate) kept_sender: RefCell<Option<Rc<PostConnection>>>,
    /// Rung when there is something to post and the way is not a connection at hand.
    pub(crate) post_ready: Notify,
    /// The connection that carries the messages, while there is one.
    pub(crate) connection: RefCell<Option<Rc<Connection>>>,
    pub(crate) joined_once: Cell<bool>,
    pub(crate) joined: Cell<bool>,
    pub(crate) probed: Cell<bool>,
    /// When the current attempt to connect began.
    pub(crate) connecting_us: Cell<i64>,
    /// A connection was lost.
    pub(crate) was_disconnected: Cell<bool>,
    /// When the connection was lost, until a message comes again.
    pub(crate) disconnected_us: Cell<Option<i64>>,
    /// The watchman broke the connection: its end is no second fault.
    pub(crate) aborted: Cell<bool>,
    /// Second of the run in which something was last heard; the watchman compares it.
    pub(crate) last_read_s: Cell<u32>,
}

impl Client {
    pub(crate) fn new(id: u32, room: u32) -> Self {
        Self {
            id,
            room,
            ledger: RefCell::default(),
            queue: RefCell::default(),
            sender: RefCell::default(),
            kept_sender: RefCell::default(),
            post_ready: Notify::new(),
            connection: RefCell::default(),
            joined_once: Cell::new(false),
            joined: Cell::new(false),
            probed: Cell::new(false),
            connecting_us: Cell::new(0),
            was_disconnected: Cell::new(false),
            disconnected_us: Cell::new(None),
            aborted: Cell::new(false),
            last_read_s: Cell::new(0),
        }
    }

    /// Where to begin, or to go on.
    pub(crate) fn start_at(&self) -> StartAt {
        if self.joined_once.get() { StartAt::After(self.ledger.borrow().last()) } else { StartAt::Live }
    }

    /// Everything in the outbox had to wait for the transport.
    pub(crate) fn mark_delayed(&self) {
        self.queue.borrow_mut().iter_mut().for_each(|due| due.delayed = true);
    }
}
