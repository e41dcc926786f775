//! Tables that come in lists, and tables in them: each checked against a list of fields of its own, as the whole file is.

use std::fmt::Write;

use results::MetricId;
use serde_json::{Map, json};
use toml::{Table, Value};
use wire::Transport;

use crate::claims::Bound;
use crate::error::{Place, ScenarioError};
use crate::fields::{Field, Given};
use crate::kind::Kind;
use crate::words::Scenario;

const TABLES_MAX: usize = 100;

const fn field(path: &'static str, kind: Kind, given: Given, doc: &'static str) -> Field {
    Field { path, kind, given, doc }
}

const NUMBER: Kind = Kind::Real { min: -1e12, max: 1e12 };
const FACTOR: Kind = Kind::Real { min: 1e-9, max: 1e9 };

#[rustfmt::skip]
pub(crate) const CLAIM: &[Field] = &[
    field("say", Kind::Text { chars_max: 300 }, Given::Required, "The claim, as a sentence"),
    field("condition", Kind::Tables(CONDITION), Given::Required, "What has to hold: confirmed when the intervals of all conditions satisfy it, refuted when one's does not, else not decidable"),
];

#[rustfmt::skip]
const CONDITION: &[Field] = &[
    field("left", Kind::Table(TERM), Given::Required, "The figure that is held against another, or against a number"),
    field("is", Kind::OneOf(bounds), Given::Required, "Which way"),
    field("times", FACTOR, Given::Optional, "So many times `right`; without it, once"),
    field("right", Kind::Table(TERM), Given::Optional, "The other figure; runs of the same round are compared with each other"),
    field("value", NUMBER, Given::Optional, "The number, in the figure's unit, in place of `right`"),
];

#[rustfmt::skip]
pub(crate) const PUBLISHED: &[Field] = &[
    field("who", Kind::Text { chars_max: 100 }, Given::Required, "Who published it, and when"),
    field("what", Kind::Text { chars_max: 200 }, Given::Required, "What they measured or worked out"),
    field("value", NUMBER, Given::Required, "Their figure"),
    field("unit", Kind::Text { chars_max: 20 }, Given::Required, "Its unit"),
    field("left", Kind::Table(TERM), Given::Required, "Our figure"),
    field("right", Kind::Table(TERM), Given::Optional, "What it is divided by"),
    field("times", FACTOR, Given::Optional, "What it is multiplied by, to come to their unit"),
];

#[rustfmt::skip]
const TERM: &[Field] = &[
    field("figure", Kind::OneOf(figures), Given::Required, "A figure of a run"),
    field("transport", Kind::OneOf(transports), Given::Required, "Of this transport"),
    field("target", Kind::Name, Given::Optional, "Of this target; without it, of our server"),
    field("at", Kind::Text { chars_max: 200 }, Given::Optional, "At this point of the sweep, as in `clients=100`; needed where there is one"),
];

fn bounds() -> Vec<&'static str> {
    Bound::ALL.iter().map(|bound| bound.name()).collect()
}

fn figures() -> Vec<&'static str> {
    MetricId::ALL.iter().map(|figure| figure.name()).collect()
}

fn transports() -> Vec<&'static str> {
    Transport::ALL.iter().map(|transport| transport.name()).collect()
}

/// Checks a list of tables; numbers come out in the type of their field.
fn check_list(key: &str, fields: &[Field], value: &Value) -> Result<Value, ScenarioError> {
    let items = value.as_array().filter(|items| (1..=TABLES_MAX).contains(&items.len()));
    let items = items.ok_or_else(|| ScenarioError::bad_value(key, value, Kind::Tables(&[]).allowed()))?;
    let numbered = items.iter().enumerate();
    let checked = numbered.map(|(at, item)| check_one(&format!("{key}[{}]", at + 1), fields, item));
    Ok(Value::Array(checked.collect::<Result<_, _>>()?))
}

/// Checks one table.
fn check_one(key: &str, fields: &[Field], value: &Value) -> Result<Value, ScenarioError> {
    let names = || fields.iter().map(|field| field.path).collect::<Vec<_>>().join(", ");
    let table = value.as_table();
    let table = table.ok_or_else(|| ScenarioError::bad_value(key, value, format!("a table of {}", names())))?;
    if let Some(unknown) = table.keys().find(|name| fields.iter().all(|field| field.path != **name)) {
        let (key, known) = (format!("{key}.{unknown}"), format!("{} knows {}", unnumbered(key), names()));
        return Err(ScenarioError::UnknownKey { place: Place::Program, key, known });
    }
    let mut checked = Table::new();
    for field in fields {
        let key = format!("{key}.{}", field.path);
        match (table.get(field.path), field.default()) {
            (Some(value), _) => _ = checked.insert(field.path.into(), check(&key, field, value)?),
            (None, Some(default)) => _ = checked.insert(field.path.into(), default),
            (None, None) if matches!(field.given, Given::Optional) => {}
            (None, None) => {
                let (place, allowed) = (Place::Program, field.kind.allowed());
                return Err(ScenarioError::Missing { place, key, allowed });
            }
        }
    }
    Ok(Value::Table(checked))
}

/// Checks a value against its field, whatever its kind.
pub(crate) fn check(key: &str, field: &Field, value: &Value) -> Result<Value, ScenarioError> {
    match field.kind {
        Kind::Tables(fields) => check_list(key, fields, value),
        Kind::Table(fields) => check_one(key, fields, value),
        kind => kind.accept(value).ok_or_else(|| ScenarioError::bad_value(key, value, kind.allowed())),
    }
}

/// `claim[2].left` → `claim[].left`, as the README calls it.
fn unnumbered(key: &str) -> String {
    key.split_inclusive('[').map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect()
}

/// What no list of fields can say: a condition has one right side.
pub(crate) fn check_claims(scenario: &Scenario) -> Result<(), ScenarioError> {
    for (number, claim) in scenario.claim.iter().enumerate() {
        for (place, condition) in claim.condition.iter().enumerate() {
            let key = |name: &str| format!("claim[{}].condition[{}]{name}", number + 1, place + 1);
            match (&condition.right, condition.value, condition.times) {
                (Some(_), None, _) | (None, Some(_), None) => {}
                (None, None, _) => {
                    let found = "without a right side";
                    return Err(ScenarioError::conflict(
                        &key(""),
                        found,
                        "left is held against something: write right or value",
                    ));
                }
                (Some(_), Some(value), _) => {
                    return Err(ScenarioError::conflict(&key(".value"), value, "there is right too: leave one out"));
                }
                (None, Some(_), Some(times)) => {
                    return Err(ScenarioError::conflict(
                        &key(".times"),
                        times,
                        "it is for right: write the product as value",
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Every claim speaks of runs that will be made. Not asked of a scenario changed on the command line: there the claim is not decidable.
pub(crate) fn check_terms(scenario: &Scenario, labels: &[&str]) -> Result<(), ScenarioError> {
    let conditions = scenario.claim.iter().enumerate().flat_map(|(number, claim)| {
        let numbered = claim.condition.iter().enumerate();
        numbered.map(move |(place, condition)| {
            let key = format!("claim[{}].condition[{}]", number + 1, place + 1);
            (key, &condition.left, condition.right.as_ref())
        })
    });
    let published = scenario.published.iter().enumerate();
    let published = published.map(|(at, row)| (format!("published[{}]", at + 1), &row.left, row.right.as_ref()));
    for (key, left, right) in conditions.chain(published) {
        for (side, term) in [("left", Some(left)), ("right", right)] {
            let Some(term) = term else { continue };
            let transport = term.transport;
            if let Some(name) = &term.target {
                let named = scenario.target.iter().find(|target| target.name == *name);
                if !named.is_some_and(|target| target.transports.contains(&transport)) {
                    let why = format!("no [[target]] of that name runs {transport}: correct it, or add one");
                    return Err(ScenarioError::conflict(&format!("{key}.{side}.target"), name, why));
                }
            } else if transport != Transport::Tcp && !scenario.transports.contains(&transport) {
                let key = format!("{key}.{side}.transport");
                return Err(ScenarioError::conflict(&key, transport, "transports leaves it out: add it there"));
            }
            if labels.iter().filter(|label| term.is_at(label)).count() != 1 {
                let found = term.at.as_deref().unwrap_or("missing");
                let why = format!("it has to name one point of the sweep, of {}", labels.join(" | "));
                return Err(ScenarioError::conflict(&format!("{key}.{side}.at"), found, why));
            }
        }
    }
    Ok(())
}

/// JSON Schema of one table.
pub(crate) fn schema(fields: &[Field]) -> serde_json::Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = field.kind.schema();
        schema["description"] = json!(field.doc);
        if let Some(value) = field.default() {
            schema["default"] = json!(value);
        }
        properties.insert(field.path.into(), schema);
    }
    let required = fields.iter().filter(|field| matches!(field.given, Given::Required));
    let required: Vec<_> = required.map(|field| field.path).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// JSON Schema of a list of them.
pub(crate) fn list_schema(fields: &[Field]) -> serde_json::Value {
    json!({"type": "array", "items": schema(fields), "minItems": 1, "maxItems": TABLES_MAX})
}

/// Rows of the README's table, for what stands below `path`.
pub(crate) fn rows(path: &str, fields: &[Field], out: &mut String) {
    for field in fields {
        let path = format!("{path}.{}", field.path);
        let given = match field.given {
            Given::Required => "*required*".to_owned(),
            Given::Value(value) => format!("`{value}`"),
            Given::Optional | Given::EveryWord => "none".to_owned(),
        };
        let takes = if field.path == "figure" { "a figure, see below".to_owned() } else { field.kind.allowed() };
        let is_known = out.contains(&takes);
        writeln!(out, "| `{path}` | {} | {given} | {takes} | {} |", field.kind.sort(), field.doc)
            .expect("writing to a string cannot fail");
        match field.kind {
            Kind::Tables(fields) => rows(&format!("{path}[]"), fields, out),
            // The same table may stand in several places: the first shows its fields.
            Kind::Table(fields) if !is_known => rows(&path, fields, out),
            _ => {}
        }
    }
}
