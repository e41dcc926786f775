//! Exact counters: what a message and a connection cost in things that can be counted, locked in a file and compared with it.
//!
//! Everything counted in lock-step must be equal. What the compiler has a hand in (allocations, instructions) may differ by one
//! percent, and is only compared with what the same compiler made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::Transport;

/// Version of the lock file.
pub const LOCK_SCHEMA: u32 = 1;
/// What allocations and instructions may differ by, as a share.
const NEAR: f64 = 0.01;

/// The lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// See [`LOCK_SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What was asked that the counts follow from.
    pub plan: BTreeMap<String, u64>,
    /// By transport.
    pub transports: BTreeMap<String, Counted>,
}

/// One transport's counts: totals over the window's messages, and over connecting.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Messages that reached a receiver.
    pub deliveries: u64,
    /// Clients that connected.
    pub clients: u64,
    /// Everything that is not zero, by name; `connecting.` and `window.` lead.
    pub exact: BTreeMap<String, u64>,
    /// Per delivered message, by name and then by compiler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub near: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Something that is not as locked.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Of which transport; empty for the plan.
    pub transport: String,
    /// Of what.
    pub name: String,
    /// The lock file's.
    pub locked: Option<f64>,
    /// What was counted now.
    pub found: Option<f64>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value}"));
        write!(f, "{} {}: {} locked, {} found", self.transport, self.name, shown(self.locked), shown(self.found))?;
        match (self.locked, self.found) {
            (Some(locked), Some(found)) if locked > 0.0 => write!(f, " ({:+.2} %)", (found / locked - 1.0) * 100.0),
            _ => Ok(()),
        }
    }
}

impl Lock {
    /// Whether both follow from the same question: otherwise there is nothing to compare.
    pub fn same_question(&self, other: &Self) -> bool {
        self.scenario == other.scenario && self.plan == other.plan
    }

    /// Everything in `found` that is not as locked here, and everything that is missing there.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let mut all = Vec::new();
        for name in
            self.transports.keys().chain(found.transports.keys().filter(|name| !self.transports.contains_key(*name)))
        {
            let none = Counted::default();
            let locked = self.transports.get(name).unwrap_or(&none);
            let now = found.transports.get(name).unwrap_or(&none);
            let mut note = |what: &str, locked: Option<f64>, found: Option<f64>| {
                all.push(Difference { transport: name.clone(), name: what.to_owned(), locked, found });
            };
            let names = locked.exact.keys().chain(now.exact.keys().filter(|name| !locked.exact.contains_key(*name)));
            for what in names {
                let of = |counted: &Counted| counted.exact.get(what).copied().unwrap_or(0);
                if of(locked) != of(now) {
                    note(what, Some(of(locked) as f64), Some(of(now) as f64));
                }
            }
            for (what, compiler, value) in now.near() {
                let Some(known) = locked.near.get(what).and_then(|by| by.get(compiler)) else { continue };
                if !is_near(*known, value) {
                    note(&format!("{what} per delivery ({compiler})"), Some(*known), Some(value));
                }
            }
        }
        all
    }

    /// What of `found` cannot be compared because the lock was never made with its compiler.
    pub fn unknown(&self, found: &Self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for (transport, counted) in &found.transports {
            let locked = self.transports.get(transport);
            for (what, compiler, _) in counted.near() {
                let known = locked.and_then(|locked| locked.near.get(what)).is_some_and(|by| by.contains_key(compiler));
                let named = format!("{what} ({compiler})");
                if !known && !all.contains(&named) {
                    all.push(named);
                }
            }
        }
        all
    }

    /// The lock after `found` is accepted: what is near what was locked stays as it was, and so do other compilers' values.
    #[must_use]
    pub fn blessed(&self, mut found: Self) -> Self {
        for (name, counted) in &mut found.transports {
            let Some(locked) = self.transports.get(name) else { continue };
            for (what, by) in &locked.near {
                let now = counted.near.entry(what.clone()).or_default();
                for (compiler, value) in by {
                    let kept = now.entry(compiler.clone()).or_insert(*value);
                    if is_near(*value, *kept) {
                        *kept = *value;
                    }
                }
            }
        }
        found
    }
}

fn is_near(locked: f64, found: f64) -> bool {
    (found - locked).abs() <= locked.abs() * NEAR
}

impl Counted {
    fn near(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.near
            .iter()
            .flat_map(|(what, by)| by.iter().map(move |(compiler, value)| (what.as_str(), compiler.as_str(), *value)))
    }

    fn each(&self, name: &str, of: u64) -> f64 {
        self.exact.get(name).copied().unwrap_or(0) as f64 / of.max(1) as f64
    }
}

/// The columns of the table: head, and the counter behind it as the server names it.
const PER_DELIVERY: [(&str, &str); 9] = [
    ("requests", "window.server.requests"),
    ("frames", "window.server.frames"),
    ("writes", "window.server.socket_writes"),
    ("B down", "window.server.down.total"),
    ("payload", "window.server.down.payload"),
    ("envelope", "window.server.down.envelope"),
    ("framing", "window.server.down.framing"),
    ("headers", "window.server.down.headers"),
    ("B up", "window.server.up.total"),
];

/// What a message and a connection cost, a row a transport.
pub fn table(lock: &Lock) -> String {
    let mut out = format!("{:<15}", "per delivery");
    PER_DELIVERY.iter().for_each(|(head, _)| out += &format!(" {head:>9}"));
    out += &format!(" {:>9} {:>9}   per connection: {:>7} {:>7}\n", "allocs", "instr.", "B down", "B up");
    let rows = Transport::ALL.into_iter().filter_map(|t| Some((t.name(), lock.transports.get(t.name())?)));
    for (name, counted) in rows {
        out += &format!("{name:<15}");
        for (_, counter) in PER_DELIVERY {
            out += &format!(" {:>9.3}", counted.each(counter, counted.deliveries));
        }
        for what in ["allocations", "instructions"] {
            let value = counted.near().find(|(near, ..)| *near == what).map(|(_, _, value)| value);
            out += &value.map_or_else(|| format!(" {:>9}", "–"), |value| format!(" {value:>9.1}"));
        }
        let connecting = |counter: &str| counted.each(&format!("connecting.server.{counter}"), counted.clients);
        out += &format!("{:>27.1} {:>7.1}\n", connecting("down.total"), connecting("up.total"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(frames: u64, allocations: f64) -> Lock {
        let counted = Counted {
            deliveries: 400,
            clients: 4,
            exact: BTreeMap::from([("window.server.frames".to_owned(), frames)]),
            near: BTreeMap::from([(
                "allocations".to_owned(),
                BTreeMap::from([("debug 1.90.0".to_owned(), allocations)]),
            )]),
        };
        let transports = BTreeMap::from([("sse".to_owned(), counted)]);
        Lock { schema: LOCK_SCHEMA, scenario: "counters".to_owned(), plan: BTreeMap::new(), transports }
    }

    #[test]
    fn counts_must_be_equal_both_ways_and_what_is_compiled_near() {
        let told =
            |found: &Lock| lock(400, 10.0).differences(found).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(&lock(400, 10.1)), Vec::<String>::new());
        assert_eq!(told(&lock(401, 10.0)), ["sse window.server.frames: 400 locked, 401 found (+0.25 %)"]);
        assert_eq!(told(&lock(399, 10.0)), ["sse window.server.frames: 400 locked, 399 found (-0.25 %)"]);
        let dearer = "sse allocations per delivery (debug 1.90.0): 10 locked, 10.2 found (+2.00 %)";
        assert_eq!(told(&lock(400, 10.2)), [dearer]);
        assert_eq!(told(&lock(400, 9.8)).len(), 1);
    }

    #[test]
    fn a_transport_that_went_or_came_is_a_difference() {
        let none = Lock { transports: BTreeMap::new(), ..lock(0, 0.0) };
        assert_eq!((lock(400, 10.0).differences(&none).len(), none.differences(&lock(400, 10.0)).len()), (1, 1));
        assert!(none.same_question(&lock(1, 1.0)));
    }

    #[test]
    fn other_compilers_are_not_compared_and_not_forgotten() {
        let mut other = lock(400, 99.0);
        other.transports.values_mut().for_each(|counted| {
            counted.near =
                BTreeMap::from([("allocations".to_owned(), BTreeMap::from([("release 1.90.0".to_owned(), 5.0)]))]);
        });
        let locked = lock(400, 10.0);
        assert!(locked.differences(&other).is_empty());
        assert_eq!(locked.unknown(&other), ["allocations (release 1.90.0)"]);
        let both = locked.blessed(other).transports["sse"].near["allocations"].clone();
        assert_eq!(both.into_values().collect::<Vec<_>>(), [10.0, 5.0]);
    }

    #[test]
    fn blessing_what_is_near_changes_nothing() {
        assert_eq!(lock(400, 10.0).blessed(lock(400, 10.05)), lock(400, 10.0));
        assert_eq!(lock(400, 10.0).blessed(lock(400, 12.0)), lock(400, 12.0));
    }
}
