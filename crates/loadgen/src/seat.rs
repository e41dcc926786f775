//! One simulated client in one room: where it stands, and how its posts get out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;
use wire::StartAt;

use crate::ledger::SeatLedger;
use crate::link::Link;
use crate::transports::{PostLine, Uplink};

/// A post that is due and has not left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) ordinal: u64,
    /// Whether it had to wait for the transport, not for the pacer.
    pub(crate) blocked: bool,
    /// Its connection is being opened for it: it counts as gone.
    pub(crate) left: bool,
}

impl Due {
    pub(crate) const fn now(ordinal: u64) -> Self {
        Self { ordinal, blocked: false, left: false }
    }
}

/// How posts get out.
#[derive(Default)]
pub(crate) enum Way {
    /// Not now: the seat is not connected.
    #[default]
    None,
    /// On the connection that carries the messages.
    InBand(Rc<Link>),
    /// On a second connection.
    Second(Rc<PostLine>),
    /// On a second connection, as many as there are at once: Socket.IO's polling.
    Packets(Rc<Uplink>),
    /// On the connection that asks for messages, between two questions; its task is rung.
    Between,
}

pub(crate) struct Seat {
    pub(crate) id: u32,
    pub(crate) room: u32,
    pub(crate) ledger: RefCell<SeatLedger>,
    pub(crate) outbox: RefCell<VecDeque<Due>>,
    pub(crate) way: RefCell<Way>,
    /// The second connection, once it was needed.
    pub(crate) post_line: RefCell<Option<Rc<PostLine>>>,
    /// Rung when there is something to post and the way is not a connection at hand.
    pub(crate) bell: Notify,
    /// The connection that carries the messages, while there is one.
    pub(crate) link: RefCell<Option<Rc<Link>>>,
    pub(crate) joined_once: Cell<bool>,
    pub(crate) joined: Cell<bool>,
    pub(crate) probed: Cell<bool>,
    /// When the current attempt to connect began.
    pub(crate) connecting_us: Cell<i64>,
    /// A connection was lost.
    pub(crate) was_cut: Cell<bool>,
    /// When the connection was lost, until a message comes again.
    pub(crate) cut_us: Cell<Option<i64>>,
    /// The watchman broke the connection: its end is no second fault.
    pub(crate) aborted: Cell<bool>,
    /// Second of the run in which something was last heard; the watchman compares it.
    pub(crate) heard_s: Cell<u32>,
}

impl Seat {
    pub(crate) fn new(id: u32, room: u32) -> Self {
        Self {
            id,
            room,
            ledger: RefCell::default(),
            outbox: RefCell::default(),
            way: RefCell::default(),
            post_line: RefCell::default(),
            bell: Notify::new(),
            link: RefCell::default(),
            joined_once: Cell::new(false),
            joined: Cell::new(false),
            probed: Cell::new(false),
            connecting_us: Cell::new(0),
            was_cut: Cell::new(false),
            cut_us: Cell::new(None),
            aborted: Cell::new(false),
            heard_s: Cell::new(0),
        }
    }

    /// Where to begin, or to go on.
    pub(crate) fn start(&self) -> StartAt {
        if self.joined_once.get() { StartAt::After(self.ledger.borrow().last()) } else { StartAt::Live }
    }

    /// Everything in the outbox had to wait for the transport.
    pub(crate) fn mark_blocked(&self) {
        self.outbox.borrow_mut().iter_mut().for_each(|due| due.blocked = true);
    }
}
