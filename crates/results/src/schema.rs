//! The shape of a results folder for other programs: JSON Schema of its JSON files, made from the
//! types, and the columns of its tables.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::tables::tables_schema;
use crate::{Manifest, RunRecord, SCHEMA};

/// JSON Schema (2020-12). A `manifest.json` and a `runs/NNNN.json` are valid against it; `$defs`
/// names the parts.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (manifest, run) = (generator.subschema_for::<Manifest>(), generator.subschema_for::<RunRecord>());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("pushbench results, version {SCHEMA}"),
        "description": "manifest.json or runs/NNNN.json of a results folder; x-tables describes the CSV files beside them",
        "properties": {"schema": {"const": SCHEMA}},
        "anyOf": [manifest, run],
        "$defs": generator.take_definitions(true),
        "x-tables": tables_schema(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a of the schema without its descriptions.
    const PINNED: u64 = 0x42fc_40d5_4245_a0cc;

    fn without_descriptions(value: &mut Value) {
        match value {
            Value::Object(items) => {
                items.retain(|name, item| name != "description" || !item.is_string());
                items.values_mut().for_each(without_descriptions);
            }
            Value::Array(items) => items.iter_mut().for_each(without_descriptions),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_schema_changes_on_purpose() {
        let mut schema = schema();
        without_descriptions(&mut schema);
        let hash = schema
            .to_string()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(
            hash, PINNED,
            "the schema has changed (new hash {hash:#x}): describe the change in results/README.md, raise SCHEMA if older folders can no longer be read, and update PINNED"
        );
    }

    #[test]
    fn every_property_has_a_description() {
        fn walk(place: &str, value: &Value, missing: &mut Vec<String>) {
            let properties = value.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                if property.get("description").is_none() && property.get("const").is_none() {
                    missing.push(format!("{place}.{name}"));
                }
            }
        }
        let (schema, mut missing) = (schema(), Vec::new());
        for (name, part) in schema["$defs"].as_object().unwrap() {
            walk(name, part, &mut missing);
        }
        assert!(schema["$defs"]["RunRecord"]["properties"]["ledger"].is_object());
        assert_eq!(missing, Vec::<String>::new());
    }
}
