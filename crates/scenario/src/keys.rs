//! A scenario as a flat map from dotted path to value: where it is checked, filled with defaults, overridden and swept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use toml::{Table, Value};

use crate::error::{Place, ScenarioError};
use crate::fields::{self, FIELDS, Field, Given};
use crate::kind::Kind;
use crate::tables;
use crate::words::Scenario;

/// Path → value. What is swept stands under `sweep.` and its own path.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Keys(pub(crate) BTreeMap<String, Value>);

impl Keys {
    /// The keys of a table of the file.
    pub(crate) fn from_table(table: &Table) -> Self {
        let mut keys = Self::default();
        keys.take(table, "");
        keys
    }

    /// The keys of a scenario.
    pub(crate) fn from_scenario(scenario: &Scenario) -> Result<Self, ScenarioError> {
        let table = Table::try_from(scenario);
        // TOML's integers end at i64, so this is the one value of the type that cannot be written.
        let table = table.map_err(|_| {
            let allowed = fields::field("seed").map(|field| field.kind.allowed());
            ScenarioError::bad_value("seed", scenario.seed, allowed.unwrap_or_default())
        })?;
        Ok(Self::from_table(&table))
    }

    fn take(&mut self, table: &Table, above: &str) {
        for (key, value) in table {
            let path = join(above, key);
            match value.as_table() {
                Some(inside) if descends(&path) => self.take(inside, &path),
                Some(_) | None => _ = self.0.insert(path, value.clone()),
            }
        }
    }

    /// Checks every key and adds the defaults.
    pub(crate) fn checked(self) -> Result<Self, ScenarioError> {
        let mut checked = BTreeMap::new();
        for (path, value) in self.0 {
            let value = match path.strip_prefix("sweep.") {
                Some(swept) => check_swept(&path, swept, &value)?,
                None => tables::check(&path, known(&path, &path, Some(&value))?, &value)?,
            };
            checked.insert(path, value);
        }
        for field in FIELDS {
            let swept = checked.contains_key(&format!("sweep.{}", field.path));
            if !checked.contains_key(field.path) {
                let value = match (field.default(), swept) {
                    // The first point stands in for a key that is only swept.
                    (_, true) => checked[&format!("sweep.{}", field.path)].get(0).cloned(),
                    (default, false) => default,
                };
                match value {
                    Some(value) => _ = checked.insert(field.path.into(), value),
                    None if is_needed(field, &checked) => return Err(missing(field)),
                    None => {}
                }
            }
        }
        Ok(Self(checked))
    }

    /// Every key that sets something, for other programs.
    pub(crate) fn settings(&self) -> BTreeMap<String, serde_json::Value> {
        let sets = |path: &str| fields::field(path).is_some_and(|field| !matches!(field.kind, Kind::Tables(_)));
        let keys = self.0.iter().filter(|(path, _)| sets(path));
        keys.map(|(path, value)| (path.clone(), json!(value))).collect()
    }

    /// The scenario these keys are.
    pub(crate) fn scenario(&self) -> Scenario {
        let mut root = Table::new();
        for (path, value) in &self.0 {
            let (above, key) = match path.strip_prefix("sweep.") {
                Some(swept) => (Some("sweep"), swept),
                None => path.rsplit_once('.').map_or((None, path.as_str()), |(above, key)| (Some(above), key)),
            };
            let mut table = &mut root;
            for section in above.into_iter().flat_map(|above| above.split('.')) {
                let inside = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                table = inside.as_table_mut().expect("no field is a prefix of another");
            }
            table.insert(key.into(), value.clone());
        }
        root.try_into().expect("checked keys are a scenario: a test holds the list of fields and the struct together")
    }
}

/// The path of a key in a table. Only below `sweep` may a key bring dots of its own: elsewhere it would be another key in disguise.
pub(crate) fn join(above: &str, key: &str) -> String {
    let key = if key.contains('.') && above != "sweep" { format!("{key:?}") } else { key.to_owned() };
    if above.is_empty() { key } else { format!("{above}.{key}") }
}

/// Whether a table at this path holds keys of its own.
pub(crate) fn descends(path: &str) -> bool {
    path == "sweep" || path.starts_with("sweep.") || fields::is_section(path)
}

/// The field at a path; `key` is how the file calls it.
pub(crate) fn known(key: &str, path: &str, value: Option<&Value>) -> Result<&'static Field, ScenarioError> {
    if let Some(field) = fields::field(path) {
        return Ok(field);
    }
    let place = Place::Program;
    if path == "sweep" || fields::is_section(path) {
        let found = value.map_or_else(|| "a table".into(), ToString::to_string);
        let allowed = match path {
            "sweep" => "a table of keys, each with the list of its values".into(),
            section => format!("a table of {}", fields::children(section).join(", ")),
        };
        return Err(ScenarioError::bad_value(key, found, allowed));
    }
    let mut section = path;
    while let Some((above, _)) = section.rsplit_once('.') {
        section = above;
        if fields::is_section(section) {
            break;
        }
    }
    let section = if fields::is_section(section) { section } else { "" };
    let there = fields::children(section).join(", ");
    let known = match (nearest(path), section) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, "") => format!("there are {there}, sweep"),
        (None, section) => format!("[{section}] knows {there}"),
    };
    Err(ScenarioError::UnknownKey { place, key: key.into(), known })
}

fn check_swept(key: &str, path: &str, values: &Value) -> Result<Value, ScenarioError> {
    if fields::is_section(path) {
        let why = format!("{path} is a table: name one of its keys ({})", fields::children(path).join(", "));
        return Err(ScenarioError::conflict(key, values, why));
    }
    let field = known(key, path, None)?;
    if !field.sweepable() {
        return Err(ScenarioError::conflict(
            key,
            values,
            format!("{path} belongs to the whole job and cannot be swept"),
        ));
    }
    let list =
        || ScenarioError::bad_value(key, values, format!("a list of one or more, each {}", field.kind.allowed()));
    let items = values.as_array().filter(|items| !items.is_empty()).ok_or_else(list)?;
    let items: Vec<_> = items.iter().map(|item| tables::check(key, field, item)).collect::<Result<_, _>>()?;
    match items.iter().enumerate().find(|(at, item)| items[..*at].contains(item)) {
        Some((_, twice)) => Err(ScenarioError::conflict(key, values, format!("{twice} stands there twice"))),
        None => Ok(Value::Array(items)),
    }
}

/// Required fields are; so are the others of an optional table of which one is there.
fn is_needed(field: &Field, present: &BTreeMap<String, Value>) -> bool {
    let section = field.section();
    matches!(field.given, Given::Required)
        || FIELDS
            .iter()
            .any(|other| other.section() == section && !section.is_empty() && present.contains_key(other.path))
}

fn missing(field: &Field) -> ScenarioError {
    ScenarioError::Missing { place: Place::Program, key: field.path.into(), allowed: field.kind.allowed() }
}

/// The path that was probably meant, of a key or a table: the same name in another table, or a slip of at most two letters.
fn nearest(path: &str) -> Option<&'static str> {
    let key = last(path).trim_matches('"');
    let paths: BTreeSet<_> = FIELDS.iter().flat_map(|field| [field.path, field.section()]).collect();
    let mut same = paths.iter().filter(|path| last(path) == key);
    if let (Some(path), None) = (same.next(), same.next()) {
        return Some(path);
    }
    let slips = paths.into_iter().map(|near| (slips(path, near).min(slips(key, near)), near));
    slips.min().filter(|&(slips, near)| slips <= 2 && slips < near.len() / 2).map(|(_, near)| near)
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Edit distance.
fn slips(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let here = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in which every key is written.
    fn everything() -> Keys {
        let mut keys = Keys::default();
        for field in FIELDS {
            let needed = match field.path {
                "name" => Value::from("x"),
                "question" | "prices.currency" => Value::from("?"),
                "cores.server" | "cores.generator" => Value::Array(vec![Value::from(i64::from(field.path.len() > 12))]),
                path if path.starts_with("prices") => Value::from(0.5),
                "posts.per_client_per_s" => Value::from(1.0),
                "claim" => "[{say = '?', condition = [{left = {figure = 'empty_share', transport = 'tcp'}, is = 'at most', value = 1.0}]}]"
                    .parse()
                    .unwrap(),
                "published" => "[{who = '?', what = '?', value = 1.0, unit = '?', left = {figure = 'empty_share', transport = 'tcp'}}]"
                    .parse()
                    .unwrap(),
                _ => Value::from(10),
            };
            keys.0.insert(field.path.into(), field.default().unwrap_or(needed));
        }
        keys.0.insert("sweep.posts.payload_bytes".into(), Value::Array(vec![Value::from(1)]));
        keys
    }

    #[test]
    fn the_list_of_fields_and_the_struct_hold_the_same_keys() {
        let keys = everything().checked().unwrap();
        assert_eq!(Keys::from_scenario(&keys.scenario()).unwrap(), keys);
    }

    #[test]
    fn slips_are_counted() {
        assert_eq!((slips("abc", "abc"), slips("", "abc"), slips("abc", "axc"), slips("rooms", "room")), (0, 3, 1, 1));
        assert_eq!(nearest("client_s"), Some("clients"));
        assert_eq!(nearest("interval_ms"), Some("tuning.polling.interval_ms"));
        assert_eq!(nearest("posts.payload_byte"), Some("posts.payload_bytes"));
        assert_eq!((nearest("heartbeat_s"), nearest("colour")), (None, None));
    }
}
