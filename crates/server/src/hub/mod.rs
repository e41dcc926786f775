//! Rooms, their logs, and readers with cursors over them. Knows no transport and no socket.

mod log;
mod order;
mod reader;
mod room;
mod waiters;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use wire::{BatchFormat, ErrorBody, HubUsage, RoomName, StartAt};

pub(crate) use log::Batch;
pub(crate) use order::{Append, AppendAnswer, NotTaken, Order, Published, Taken};
pub(crate) use reader::Reader;
pub(crate) use room::{Copied, CursorAhead, Next, Room};

/// Bounds of a hub and its rooms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubLimits {
    pub(crate) rooms_max: usize,
    pub(crate) log_messages_max: usize,
    pub(crate) log_bytes_max: usize,
}

/// Why a room cannot be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoomError {
    BadName(ErrorBody),
    Full { rooms_max: usize },
    Closed,
}

/// All rooms of one server.
pub(crate) struct Hub {
    rooms: RwLock<HashMap<RoomName, Arc<Room>>>,
    limits: HubLimits,
    order: Order,
    closed: AtomicBool,
}

impl Hub {
    pub(crate) fn new(limits: HubLimits, order: Order) -> Self {
        Self { rooms: RwLock::default(), limits, order, closed: AtomicBool::new(false) }
    }

    /// Finds a room or creates it.
    pub(crate) fn room(&self, name: &str) -> Result<Arc<Room>, RoomError> {
        if let Some(room) = self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(room));
        }
        let name: RoomName = name.parse().map_err(RoomError::BadName)?;
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        // Checked under the lock, so that no room is created after `close`.
        if self.closed.load(Ordering::Relaxed) {
            return Err(RoomError::Closed);
        }
        if let Some(room) = rooms.get(&name) {
            return Ok(Arc::clone(room));
        }
        if rooms.len() >= self.limits.rooms_max {
            return Err(RoomError::Full { rooms_max: self.limits.rooms_max });
        }
        let room = Arc::new(Room::new(name.clone(), self.limits, self.order.clone()));
        rooms.insert(name, Arc::clone(&room));
        Ok(room)
    }

    /// A reader of a room. `earlier` is one whose client reads on: mostly in the same room.
    pub(crate) fn reader(
        &self,
        earlier: Option<Reader>,
        room: &str,
        format: BatchFormat,
        start: StartAt,
    ) -> Result<Result<Reader, CursorAhead>, RoomError> {
        let earlier = earlier.filter(|earlier| earlier.room().name() == room && earlier.format() == format);
        match earlier.and_then(|earlier| earlier.restarted(start)) {
            Some(restarted) => Ok(restarted),
            None => Ok(self.room(room)?.reader(format, start)),
        }
    }

    /// A room that is here.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Room>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All rooms.
    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets all rooms. Their readers end and may come back.
    pub(crate) fn forget_all(&self) {
        let forgotten = std::mem::take(&mut *self.rooms.write().unwrap_or_else(PoisonError::into_inner));
        forgotten.into_values().for_each(|room| room.close());
    }

    /// Removes unused rooms: empty ones at once, others after `idle` without reader and post.
    pub(crate) fn remove_expired(&self, idle: Duration) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|_, room| Arc::strong_count(room) > 1 || !room.is_expired(idle));
    }

    /// Closes all rooms. Their readers end, and no further room is created.
    pub(crate) fn close(&self) {
        let rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Relaxed);
        for room in rooms.values() {
            room.close();
        }
    }

    pub(crate) fn usage(&self) -> HubUsage {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let empty = HubUsage { rooms: rooms.len() as u64, ..HubUsage::default() };
        rooms.values().fold(empty, |sum, room| {
            let one = room.usage();
            HubUsage {
                readers: sum.readers + one.readers,
                log_messages: sum.log_messages + one.log_messages,
                log_bytes: sum.log_bytes + one.log_bytes,
                ..sum
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Framing, Post};

    fn hub(rooms_max: usize) -> Hub {
        Hub::new(HubLimits { rooms_max, log_messages_max: 10, log_bytes_max: 1 << 20 }, Order::Here)
    }

    #[test]
    fn a_full_hub_keeps_serving_the_rooms_it_has() {
        let hub = hub(1);
        let first = hub.room("a").unwrap();
        assert_eq!(hub.room("b").err(), Some(RoomError::Full { rooms_max: 1 }));
        assert!(matches!(hub.room("no room").err(), Some(RoomError::BadName(_))));
        assert!(Arc::ptr_eq(&first, &hub.room("a").unwrap()));
    }

    #[test]
    fn unused_rooms_are_removed_and_used_ones_kept() {
        let hub = hub(10);
        let read = hub.room("read").unwrap().reader(Framing::JsonLines.into(), StartAt::Live).unwrap();
        hub.room("empty").unwrap();
        hub.room("posted").unwrap().publish(&Post { author: 1, ordinal: 1, text: "x".into() }).unwrap();
        hub.remove_expired(Duration::from_secs(60));
        assert_eq!((hub.usage().rooms, hub.usage().log_messages, hub.usage().readers), (2, 1, 1));
        hub.remove_expired(Duration::ZERO);
        assert_eq!(hub.usage().rooms, 1);
        drop(read);
        hub.remove_expired(Duration::ZERO);
        assert_eq!(hub.usage(), HubUsage::default());
    }

    #[test]
    fn a_client_reads_on_in_the_room_that_follows_a_forgotten_one() {
        let hub = hub(10);
        let read = |earlier| hub.reader(earlier, "r", Framing::JsonLines.into(), StartAt::Live).unwrap().unwrap();
        let earlier = read(None);
        hub.forget_all();
        let room = hub.room("r").unwrap();
        assert!(Arc::ptr_eq(read(Some(earlier)).room(), &room));
    }

    #[test]
    fn a_closed_hub_creates_no_rooms() {
        let hub = hub(10);
        hub.close();
        assert_eq!(hub.room("late").err(), Some(RoomError::Closed));
    }
}
