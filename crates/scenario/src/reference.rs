//! Descriptions of the scenario file: a JSON Schema, and the table of keys in
//! `scenarios/README.md`.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::schema::{Node, is_sweepable, paths};

/// JSON Schema (2020-12) of a scenario file.
pub fn schema() -> Value {
    let mut root = Node::root().0.clone();
    root["title"] = json!("pushbench scenario");
    // A sweepable key may be given in [sweep] only; JSON Schema cannot express that, so such keys
    // are optional here.
    root["required"] = json!(Node::root().required().filter(|key| !is_sweepable(key)).collect::<Vec<_>>());
    if let Some(posts) = root.pointer_mut("/properties/posts").and_then(Value::as_object_mut) {
        posts.remove("required");
    }
    root["properties"]["sweep"] = sweep();
    root
}

fn sweep() -> Value {
    let keys = paths().into_iter().filter(|(path, node)| is_sweepable(path) && !node.is_table());
    let lists: Map<_, _> = keys
        .map(|(path, node)| (path, json!({"type": "array", "items": node.0, "minItems": 1, "uniqueItems": true})))
        .collect();
    json!({
        "type": "object",
        "description": "Keys by their dotted path in quotes, each with a list of values; one plan for every combination",
        "properties": lists,
        "additionalProperties": false,
    })
}

/// All keys as a Markdown table, for `scenarios/README.md`.
pub fn fields_table() -> String {
    let mut table = String::from("| key | default | values | meaning |\n|---|---|---|---|\n");
    rows("", Node::root(), "*required*", &mut table);
    table
}

fn rows(above: &str, node: Node, needed: &str, out: &mut String) {
    let required: Vec<_> = node.required().collect();
    for (key, child) in node.keys() {
        let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
        let inside = child.items().filter(|items| items.is_table());
        if child.is_table() && !is_operand(child) {
            let is_optional = child.0.get("default").is_none() && !required.contains(&key);
            rows(&path, child, if is_optional { "required in its table" } else { needed }, out);
            continue;
        }
        let default = match child.0.get("default") {
            Some(value) => format!("`{}`", default_of(value)),
            None if required.contains(&key) => needed.to_owned(),
            None => "none".to_owned(),
        };
        let takes = if key == "metric" { "a metric, see below".to_owned() } else { child.takes() };
        let does = child.0["description"].as_str().unwrap_or_default().replace('\n', " ");
        let is_known = out.contains(&takes);
        writeln!(out, "| `{path}` | {default} | {takes} | {does} |").expect("writing to a string cannot fail");
        match inside {
            Some(items) => rows(&format!("{path}[]"), items, "*required*", out),
            // The same table may be in several places: the first shows its keys.
            None if child.is_table() && !is_known => rows(&path, child, needed, out),
            None => {}
        }
    }
}

/// Whether it is a table within a list of tables.
fn is_operand(node: Node) -> bool {
    node.keys().any(|(key, _)| key == "metric")
}

/// A default as the file would write it; a list of everything is `all`.
fn default_of(value: &Value) -> String {
    match value {
        Value::Array(_) => "all".to_owned(),
        Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().unwrap_or_default()),
        value => value.to_string(),
    }
}
