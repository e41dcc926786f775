//! Exact counters per message and connection, compared with a lock file.
//!
//! Counts in lock-step must be equal. Allocations and instructions depend on the compiler: they may
//! differ by 1 % and are compared only with values of the same compiler.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::columns::{Column, table as aligned};
use crate::format::DASH;

/// Version of the lock file.
pub const LOCK_SCHEMA: u32 = 1;
/// Tolerance of allocations and instructions, as a share.
const NEAR: f64 = 0.01;

/// The lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// See [`LOCK_SCHEMA`].
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Settings on which the counts depend.
    pub plan: BTreeMap<String, u64>,
    /// Counts by transport.
    pub transports: BTreeMap<String, Counted>,
}

/// Counts of one transport: totals over the messages of the window, and over connecting.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Deliveries.
    pub deliveries: u64,
    /// Connected clients.
    pub clients: u64,
    /// All counts that are not zero, by name with the prefix `connecting.` or `window.`.
    pub exact: BTreeMap<String, u64>,
    /// Values per delivered message, by name and compiler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub near: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Comparison of one kind of count of one transport with the lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Transport.
    pub transport: String,
    /// Outcome.
    pub outcome: Outcome,
}

/// Outcome of a check.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Equal to the lock.
    Passed,
    /// Different from the lock.
    Failed(Vec<Difference>),
    /// Not comparable: the reason, and what to do.
    Skipped(String),
}

/// A number that differs from the lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Name of the count.
    pub name: String,
    /// Value in the lock file.
    pub locked: f64,
    /// Value now.
    pub found: f64,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, locked, found } = self;
        write!(f, "{name}: {locked} locked, {found} found")?;
        if *locked > 0.0 { write!(f, " ({:+.2} %)", (found / locked - 1.0) * 100.0) } else { Ok(()) }
    }
}

impl Lock {
    /// Whether both have the same settings; otherwise they cannot be compared.
    pub fn same_question(&self, other: &Self) -> bool {
        self.scenario == other.scenario && self.plan == other.plan
    }

    /// Compares `found` with this lock: exact counts of each transport, and those of `near`
    /// (`allocations`, `instructions`) that either has.
    pub fn checks(&self, found: &Self, near: &[&str]) -> Vec<Check> {
        let came = found.transports.keys().filter(|name| !self.transports.contains_key(*name));
        let mut all = Vec::new();
        for transport in self.transports.keys().chain(came) {
            let (locked, now) = (self.transports.get(transport), found.transports.get(transport));
            let none = Counted::default();
            let exact = exact_differences(locked.unwrap_or(&none), now.unwrap_or(&none));
            let mut check = |outcome| all.push(Check { transport: transport.clone(), outcome });
            check(if exact.is_empty() { Outcome::Passed } else { Outcome::Failed(exact) });
            if let (Some(locked), Some(now)) = (locked, now) {
                near.iter().filter_map(|what| near_outcome(what, locked, now)).for_each(check);
            }
        }
        all
    }

    /// The lock after `found` is accepted. Values within the tolerance and values of other
    /// compilers stay as they are.
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

fn exact_differences(locked: &Counted, now: &Counted) -> Vec<Difference> {
    let names = locked.exact.keys().chain(now.exact.keys().filter(|name| !locked.exact.contains_key(*name)));
    let of = |counted: &Counted, name: &String| counted.exact.get(name).copied().unwrap_or(0);
    let differing = names.filter(|name| of(locked, name) != of(now, name));
    let difference =
        |name: &String| Difference { name: name.clone(), locked: of(locked, name) as f64, found: of(now, name) as f64 };
    differing.map(difference).collect()
}

/// Compares one value per compiler; `None` if neither has it.
fn near_outcome(what: &str, locked: &Counted, now: &Counted) -> Option<Outcome> {
    let known = locked.near.get(what);
    let compilers = known.map(|by| by.keys().cloned().collect::<Vec<_>>().join(" or ")).unwrap_or_default();
    let skipped = |why: String| Some(Outcome::Skipped(format!("{what} were not compared: {why}")));
    let Some((compiler, found)) = now.near.get(what).and_then(BTreeMap::first_key_value) else {
        let why = match what {
            "instructions" => "they could not be counted; install valgrind".to_owned(),
            _ => format!(
                "this server does not count them; \
                 use one built with --features count-allocations by the lock's compiler ({compilers})"
            ),
        };
        return known.and_then(|_| skipped(why));
    };
    let Some(known) = known else { return skipped("the lock file has none; --bless adds them".to_owned()) };
    let Some(known) = known.get(compiler) else {
        return skipped(format!(
            "the lock file has those of {compilers}, this is {compiler}; \
             use such a build, or --bless to add this one's"
        ));
    };
    if is_near(*known, *found) {
        return Some(Outcome::Passed);
    }
    let name = format!("{what} per delivery ({compiler})");
    Some(Outcome::Failed(vec![Difference { name, locked: *known, found: *found }]))
}

fn is_near(locked: f64, found: f64) -> bool {
    (found - locked).abs() <= locked.abs() * NEAR
}

impl Counted {
    fn each(&self, name: &str, of: u64) -> f64 {
        self.exact.get(name).copied().unwrap_or(0) as f64 / of.max(1) as f64
    }
}

/// The columns of the table: head, the counter behind it as the server names it, and whether it is
/// shown without `--wide`.
const PER_DELIVERY: [(&str, &str, bool); 9] = [
    ("requests", "window.server.requests", true),
    ("frames", "window.server.frames", false),
    ("writes", "window.server.socket_writes", true),
    ("B down", "window.server.down.total", true),
    ("payload", "window.server.down.payload", false),
    ("envelope", "window.server.down.envelope", false),
    ("framing", "window.server.down.framing", false),
    ("headers", "window.server.down.headers", false),
    ("B up", "window.server.up.total", true),
];

/// The columns for a log that servers share: head, and the count behind it.
const LOG_PER_POST: [(&str, &str); 3] =
    [("scripts", "window.log.evalsha"), ("reads", "window.log.xread"), ("B in", "window.log.bytes_in")];

/// Counts per delivery and per connection, a row for each transport; `wide` shows every column.
pub fn table(lock: &Lock, wide: bool) -> String {
    let rows = Transport::ALL.into_iter().filter_map(|t| Some((t.name(), lock.transports.get(t.name())?)));
    let rows: Vec<(&str, &Counted)> = rows.collect();
    let column = |head: [&str; 2], narrow, field: &dyn Fn(&Counted) -> String| {
        Column::numbers(&head, narrow).with(rows.iter().map(|(_, counted)| field(counted)))
    };
    let has_log =
        rows.iter().any(|(_, counted)| LOG_PER_POST.iter().any(|(_, name)| counted.exact.contains_key(*name)));
    let mut columns = vec![Column::words(&["per", "delivery"]).with(rows.iter().map(|(name, _)| (*name).to_owned()))];
    for (head, counter, narrow) in PER_DELIVERY {
        columns
            .push(column(["", head], narrow, &|counted| format!("{:.3}", counted.each(counter, counted.deliveries))));
    }
    for (head, what) in [("allocs", "allocations"), ("instr.", "instructions")] {
        let value = |counted: &Counted| Some(*counted.near.get(what)?.first_key_value()?.1);
        let counted = rows.iter().any(|(_, counted)| value(counted).is_some());
        let field = |counted: &Counted| value(counted).map_or_else(|| DASH.to_owned(), |value| format!("{value:.1}"));
        columns.push(column(["", head], counted, &field));
    }
    for (head, counter) in [("B down", "connecting.server.down.total"), ("B up", "connecting.server.up.total")] {
        let field = |counted: &Counted| format!("{:.1}", counted.each(counter, counted.clients));
        columns.push(column(["connect", head], !has_log, &field));
    }
    let posts = lock.plan.get("posts").copied().unwrap_or(0);
    for (head, counter) in LOG_PER_POST.into_iter().filter(|_| has_log) {
        columns.push(column(["log/post", head], true, &|counted| format!("{:.1}", counted.each(counter, posts))));
    }
    aligned(columns, wide)
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

    fn outcomes(checks: &[Check]) -> Vec<String> {
        let one = |check: &Check| match &check.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed(differences) => differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Outcome::Skipped(why) => why.clone(),
        };
        checks.iter().map(one).collect()
    }

    #[test]
    fn exact_counts_must_be_equal_and_near_counts_close() {
        let compared = |found: &Lock| outcomes(&lock(400, 10.0).checks(found, &["allocations"]));
        assert_eq!(compared(&lock(400, 10.1)), ["passed", "passed"]);
        assert_eq!(compared(&lock(401, 10.0)), ["window.server.frames: 400 locked, 401 found (+0.25 %)", "passed"]);
        assert_eq!(compared(&lock(399, 10.0)), ["window.server.frames: 400 locked, 399 found (-0.25 %)", "passed"]);
        let more = "allocations per delivery (debug 1.90.0): 10 locked, 10.2 found (+2.00 %)";
        assert_eq!(compared(&lock(400, 10.2)), ["passed", more]);
        assert_ne!(compared(&lock(400, 9.8))[1], "passed");
    }

    #[test]
    fn the_table_has_the_log_where_there_is_one() {
        let mut lock = lock(400, 10.0);
        assert!(!table(&lock, true).contains("log/post"));
        lock.plan.insert("posts".to_owned(), 100);
        let counted = lock.transports.values_mut().next().unwrap();
        counted.exact.insert("window.log.xread".to_owned(), 300);
        let table = table(&lock, false);
        assert!(table.contains("log/post") && table.contains("reads") && table.contains("3.0"), "{table}");
    }

    #[test]
    fn a_missing_or_additional_transport_is_a_difference() {
        let none = Lock { transports: BTreeMap::new(), ..lock(0, 0.0) };
        for (locked, found) in [(&lock(400, 10.0), &none), (&none, &lock(400, 10.0))] {
            let checks = locked.checks(found, &["allocations"]);
            assert!(matches!(checks.as_slice(), [Check { outcome: Outcome::Failed(_), .. }]), "{checks:?}");
        }
        assert!(none.same_question(&lock(1, 1.0)));
    }

    #[test]
    fn counts_that_cannot_be_compared_are_skipped_with_advice() {
        let mut uncounted = lock(400, 99.0);
        uncounted.transports.values_mut().for_each(|counted| counted.near.clear());
        let skipped = |locked: &Lock, found: &Lock, why: &str| {
            assert_eq!(outcomes(&locked.checks(found, &["allocations"])), ["passed", why]);
        };
        let locked = lock(400, 10.0);
        let why = "allocations were not compared: this server does not count them; \
                   use one built with --features count-allocations by the lock's compiler (debug 1.90.0)";
        skipped(&locked, &uncounted, why);
        skipped(&uncounted, &locked, "allocations were not compared: the lock file has none; --bless adds them");
        let neither = uncounted.checks(&uncounted, &["allocations", "instructions"]);
        assert_eq!(outcomes(&neither), ["passed"], "the lock file has no other counts");
        let asked = locked.checks(&locked, &["instructions"]);
        assert_eq!(outcomes(&asked), ["passed"], "counts that were not requested are not checked");
    }

    #[test]
    fn counts_of_other_compilers_are_kept_and_not_compared() {
        let mut other = lock(400, 99.0);
        other.transports.values_mut().for_each(|counted| {
            counted.near =
                BTreeMap::from([("allocations".to_owned(), BTreeMap::from([("release 1.90.0".to_owned(), 5.0)]))]);
        });
        let locked = lock(400, 10.0);
        let why = "allocations were not compared: the lock file has those of debug 1.90.0, this is release 1.90.0; \
                   use such a build, or --bless to add this one's";
        assert_eq!(outcomes(&locked.checks(&other, &["allocations"])), ["passed", why]);
        let both = locked.blessed(other).transports["sse"].near["allocations"].clone();
        assert_eq!(both.into_values().collect::<Vec<_>>(), [10.0, 5.0]);
    }

    #[test]
    fn blessing_keeps_counts_that_are_close() {
        assert_eq!(lock(400, 10.0).blessed(lock(400, 10.05)), lock(400, 10.0));
        assert_eq!(lock(400, 10.0).blessed(lock(400, 12.0)), lock(400, 12.0));
    }
}
