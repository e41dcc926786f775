//! The list of fields for other readers: JSON Schema for programs, a table for people.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::fields::{FIELDS, Field, Given};
use crate::kind::Kind;
use crate::tables;

/// JSON Schema (2020-12) of a scenario file.
pub fn schema() -> Value {
    let mut root = object("");
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("pushbench scenario");
    root["properties"]["sweep"] = sweep();
    root
}

fn object(section: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in FIELDS.iter().filter(|field| field.section() == section) {
        // A required key that can be swept may stand in [sweep] alone: `decide` knows, a schema need not.
        let needed = match field.given {
            Given::Required => !field.sweepable(),
            // An optional table is there with all its keys.
            Given::Optional => !section.is_empty(),
            Given::Value(_) | Given::EveryWord => false,
        };
        if needed {
            required.push(field.key());
        }
        properties.insert(field.key().into(), described(field));
    }
    let above = if section.is_empty() { String::new() } else { format!("{section}.") };
    let mut sections: Vec<_> =
        FIELDS.iter().filter_map(|field| field.path.strip_prefix(&above)?.split_once('.')).collect();
    sections.dedup_by_key(|(name, _)| *name);
    for (name, _) in sections {
        properties.insert(name.into(), object(&format!("{above}{name}")));
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn described(field: &Field) -> Value {
    let mut schema = field.kind.schema();
    schema["description"] = json!(field.doc);
    if let Some(value) = field.default() {
        schema["default"] = json!(value);
    }
    schema
}

fn sweep() -> Value {
    let keys = FIELDS.iter().filter(|field| field.sweepable());
    let lists: Map<_, _> = keys
        .map(|field| {
            let list = json!({"type": "array", "items": field.kind.schema(), "minItems": 1, "uniqueItems": true});
            (field.path.to_owned(), list)
        })
        .collect();
    json!({
        "type": "object",
        "description": "Keys by their dotted path in quotes, each with the values it takes; a plan for every combination",
        "properties": lists,
        "additionalProperties": false,
    })
}

/// All fields as a Markdown table: what `scenarios/README.md` shows.
pub fn fields_table() -> String {
    let mut table = String::from("| key | type | default | takes | what it does |\n|---|---|---|---|---|\n");
    for field in FIELDS {
        let default = match (field.given, field.default()) {
            (Given::EveryWord, _) => "all".into(),
            (Given::Required, _) => "*required*".into(),
            (Given::Value(_) | Given::Optional, Some(value)) => format!("`{value}`"),
            (Given::Value(_) | Given::Optional, None) => "none".into(),
        };
        let (sort, takes) = (field.kind.sort(), field.kind.allowed());
        writeln!(table, "| `{}` | {sort} | {default} | {takes} | {} |", field.path, field.doc)
            .expect("writing to a string cannot fail");
        if let Kind::Tables(fields) = field.kind {
            tables::rows(&format!("{}[]", field.path), fields, &mut table);
        }
    }
    table
}
