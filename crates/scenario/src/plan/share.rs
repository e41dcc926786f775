//! How several load generators share the clients of a plan: each has whole rooms, so that the author
//! and the receivers of a message are in one process and read one clock.

use serde::{Deserialize, Serialize};

use super::Plan;

/// The part of one load generator: every room whose number divided by `of` leaves `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Number of the load generator, from 0.
    pub index: u32,
    /// Number of load generators; at most that of the rooms.
    pub of: u32,
}

impl Share {
    /// All rooms.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// How many of the rooms `0..rooms` it contains.
    const fn of_rooms(self, rooms: u32) -> u32 {
        rooms.saturating_sub(self.index).div_ceil(self.of)
    }
}

impl Plan {
    /// Number of clients of this load generator.
    pub fn own_clients(&self) -> u32 {
        // The last clients are in the first rooms.
        self.clients / self.rooms * self.share.of_rooms(self.rooms) + self.share.of_rooms(self.clients % self.rooms)
    }

    /// The clients of one of the workers of this load generator, in ascending order; every client
    /// belongs to one worker. If `workers` divides the number of its rooms, no room is split between
    /// workers.
    pub fn clients_of_worker(&self, worker: u32, workers: u32) -> impl Iterator<Item = u32> + use<> {
        let (Share { index, of }, rooms, own_rooms) = (self.share, self.rooms, self.share.of_rooms(self.rooms));
        let client = move |place: u32| place / own_rooms * rooms + place % own_rooms * of + index;
        (worker..self.own_clients()).step_by(workers as usize).map(client)
    }

    /// Number of a client among those of its load generator, from 0, in ascending order.
    pub fn place_of(&self, client: u32) -> u32 {
        client / self.rooms * self.share.of_rooms(self.rooms) + client % self.rooms / self.share.of
    }
}
