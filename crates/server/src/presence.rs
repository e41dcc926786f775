//! Who is in a room, as pages report it. Notices of joining and leaving are messages of the room, so
//! they reach pages over every transport.
//!
//! A server without such reports does nothing here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wire::{NOTICE_AUTHOR, Notice, People, Person, Post, PresenceReport};

use crate::hub::Room;

/// Maximum number of people in a room.
pub(crate) const PEOPLE_MAX: usize = 100;
/// People who have not been reported for this long have left. Browsers run the timers of hidden
/// pages once a minute.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(90);

/// The room has [`PEOPLE_MAX`] people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RoomFull;

/// The people of all rooms.
pub(crate) struct Presence {
    server: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rooms: HashMap<String, RoomPeople>,
    notices: u64,
}

/// The people of one room. It keeps its room from expiring.
struct RoomPeople {
    room: Arc<Room>,
    people: Vec<(Person, Instant)>,
}

impl Presence {
    pub(crate) fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { server: format!("{}-{}", std::process::id(), started.as_micros()), inner: Mutex::default() }
    }

    /// Takes a report, and returns everybody in the room.
    pub(crate) fn report(&self, room: Arc<Room>, report: PresenceReport) -> Result<People, RoomFull> {
        let mut inner = self.lock();
        match report.name {
            Some(name) => inner.enter(&room, Person { author: report.author, name })?,
            None => inner.remove(|of, (person, _)| of.name() == room.name() && person.author == report.author),
        }
        let here = inner.rooms.get(room.name());
        let people = here.map(|here| here.people.iter().map(|(person, _)| person.clone()).collect());
        Ok(People { server: self.server.clone(), people: people.unwrap_or_default() })
    }

    /// Removes people who have not been reported for `silence`.
    pub(crate) fn remove_silent(&self, silence: Duration) {
        self.lock().remove(|_, (_, reported)| reported.elapsed() >= silence);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, room: &Arc<Room>, person: Person) -> Result<(), RoomFull> {
        let empty = || RoomPeople { room: Arc::clone(room), people: Vec::new() };
        let here = self.rooms.entry(room.name().to_owned()).or_insert_with(empty);
        // The room that people are in now, if the earlier one was forgotten.
        here.room = Arc::clone(room);
        let is_full = here.people.len() >= PEOPLE_MAX;
        match here.people.iter_mut().find(|(known, _)| known.author == person.author) {
            Some((known, reported)) if known.name == person.name => {
                *reported = Instant::now();
                return Ok(());
            }
            Some(known) => *known = (person.clone(), Instant::now()),
            None if is_full => return Err(RoomFull),
            None => here.people.push((person.clone(), Instant::now())),
        }
        self.notices += 1;
        publish(room, self.notices, &Notice::Joined(person));
        Ok(())
    }

    fn remove(&mut self, leaves: impl Fn(&Arc<Room>, &(Person, Instant)) -> bool) {
        let notices = &mut self.notices;
        self.rooms.retain(|_, RoomPeople { room, people }| {
            for (person, _) in people.extract_if(.., |present| leaves(room, present)) {
                *notices += 1;
                publish(room, *notices, &Notice::Left(person));
            }
            !people.is_empty()
        });
    }
}

fn publish(room: &Room, ordinal: u64, notice: &Notice) {
    let text = serde_json::to_string(notice).expect("a notice has string keys").into();
    // A closed room needs no notice.
    room.publish(&Post { author: NOTICE_AUTHOR, ordinal, text }).ok();
}

#[cfg(test)]
mod tests {
    use wire::{Framing, PersonName, StartAt};

    use super::*;
    use crate::hub::{Hub, HubLimits, Order};

    fn room(name: &str) -> Arc<Room> {
        let limits = HubLimits { rooms_max: 10, log_messages_max: 1_000, log_bytes_max: 1 << 20 };
        Hub::new(limits, Order::Here).room(name).unwrap()
    }

    fn report(presence: &Presence, room: &Arc<Room>, author: u32, name: Option<&str>) -> Vec<String> {
        let name = name.map(|name| PersonName::try_from(name.to_owned()).unwrap());
        let people = presence.report(Arc::clone(room), PresenceReport { author, name }).unwrap().people;
        people.into_iter().map(|person| person.name.into()).collect()
    }

    fn log(room: &Arc<Room>) -> String {
        let batch = room.reader(Framing::JsonLines.into(), StartAt::After(0)).unwrap().since();
        batch.map_or_else(String::new, |batch| String::from_utf8(batch.bytes.to_vec()).unwrap())
    }

    #[test]
    fn people_come_rename_themselves_and_leave_with_a_notice_each() {
        let (presence, room) = (Presence::new(), room("r"));
        assert_eq!(report(&presence, &room, 1, Some("Anna")), ["Anna"]);
        assert_eq!(report(&presence, &room, 2, Some("Bea")), ["Anna", "Bea"]);
        assert_eq!(report(&presence, &room, 1, Some("Anna")), ["Anna", "Bea"]);
        assert_eq!(report(&presence, &room, 1, Some("Ann")), ["Ann", "Bea"]);
        assert_eq!(report(&presence, &room, 2, None), ["Ann"]);
        assert_eq!(report(&presence, &room, 2, None), ["Ann"]);
        let notices: Vec<_> =
            log(&room).lines().map(|line| line.split(r#""text":""#).nth(1).unwrap().to_owned()).collect();
        let expected = [("joined", 1, "Anna"), ("joined", 2, "Bea"), ("joined", 1, "Ann"), ("left", 2, "Bea")];
        let text = |(what, author, name)| format!(r#"{{\"{what}\":{{\"author\":{author},\"name\":\"{name}\"}}}}"}}"#);
        assert_eq!(notices, expected.map(text));
    }

    #[test]
    fn the_silent_leave_and_their_rooms_are_forgotten() {
        let (presence, room) = (Presence::new(), room("r"));
        report(&presence, &room, 1, Some("Anna"));
        presence.remove_silent(Duration::from_secs(60));
        assert_eq!(Arc::strong_count(&room), 2);
        presence.remove_silent(Duration::ZERO);
        assert_eq!(Arc::strong_count(&room), 1);
        assert!(log(&room).contains("left"));
    }

    #[test]
    fn a_room_has_a_limited_number_of_people() {
        let (presence, room) = (Presence::new(), room("r"));
        for author in 0..PEOPLE_MAX as u32 {
            report(&presence, &room, author, Some("n"));
        }
        let name = Some(PersonName::try_from("late".to_owned()).unwrap());
        let late = presence.report(Arc::clone(&room), PresenceReport { author: 1000, name });
        assert_eq!(late.err(), Some(RoomFull));
        report(&presence, &room, 7, None);
        report(&presence, &room, 1000, Some("late"));
    }
}
