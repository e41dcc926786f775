//! The JSON Schema of a scenario file, generated from its types; errors and overrides look up keys
//! by their dotted path.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::file::ScenarioFile;

/// Keys of the whole job, which a sweep cannot change.
const NOT_SWEPT: [&str; 9] =
    ["name", "question", "budget_s", "slices", "seed", "target", "outage", "claim", "published"];

static ROOT: LazyLock<Value> = LazyLock::new(|| {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut root = settings.into_generator().into_root_schema_for::<ScenarioFile>().to_value();
    without_null(&mut root);
    root
});

/// TOML has no null: an optional key is left out.
fn without_null(node: &mut Value) {
    if let Some(object) = node.as_object_mut() {
        if let Some(types) = object.get_mut("type").filter(|types| types.is_array()) {
            let named = types.as_array().and_then(|types| types.iter().find(|name| *name != "null")).cloned();
            *types = named.unwrap_or_default();
        }
        let is_null = |option: &Value| option["type"] == "null";
        let some = object.get("anyOf").and_then(Value::as_array).filter(|options| options.iter().any(is_null));
        if let Some(Value::Object(some)) =
            some.and_then(|options| options.iter().find(|option| !is_null(option))).cloned()
        {
            object.remove("anyOf");
            for (key, value) in some {
                object.entry(key).or_insert(value);
            }
        }
        object.retain(|key, value| !(key == "default" && value.is_null()));
        object.values_mut().for_each(without_null);
    } else if let Some(items) = node.as_array_mut() {
        items.iter_mut().for_each(without_null);
    }
}

/// A part of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node(pub(crate) &'static Value);

impl Node {
    /// The whole file.
    pub(crate) fn root() -> Self {
        Self(&ROOT)
    }

    /// The part at a path such as `posts.authors` or `target[2].name`.
    pub(crate) fn at(path: &str) -> Option<Self> {
        path.split('.').try_fold(Self::root(), |node, segment| {
            let (key, indexed) = segment.split_once('[').map_or((segment, false), |(key, _)| (key, true));
            let child = node.child(key)?;
            Some(if indexed { Self(child.0.get("items")?) } else { child })
        })
    }

    fn child(self, key: &str) -> Option<Self> {
        self.0.get("properties")?.get(key).map(Self)
    }

    /// The keys of a table, in the order of the file.
    pub(crate) fn keys(self) -> impl Iterator<Item = (&'static str, Self)> {
        let properties = self.0.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(key, node)| (key.as_str(), Self(node)))
    }

    /// Whether it is a table of the file.
    pub(crate) fn is_table(self) -> bool {
        self.0.get("properties").is_some()
    }

    /// Whether it is a table whose keys are not listed.
    pub(crate) fn takes_any_key(self) -> bool {
        self.0.get("additionalProperties").is_some_and(Value::is_object)
    }

    /// Whether it is a list.
    pub(crate) fn is_list(self) -> bool {
        self.0["type"] == "array"
    }

    /// The items of a list.
    pub(crate) fn items(self) -> Option<Self> {
        self.0.get("items").map(Self)
    }

    /// Keys that have no default.
    pub(crate) fn required(self) -> impl Iterator<Item = &'static str> {
        self.0.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The allowed values, for an error message.
    pub(crate) fn takes(self) -> String {
        let schema = self.0;
        if let Some(text) = schema.get("x-takes").and_then(Value::as_str) {
            return text.to_owned();
        }
        if let Some(words) = self.words() {
            return format!("one of {}", words.join(", "));
        }
        match schema["type"].as_str() {
            Some("boolean") => "true or false".to_owned(),
            Some("integer") => {
                format!("a whole number from {} to {}", bound(schema, "minimum"), bound(schema, "maximum"))
            }
            Some("number") => format!("a number from {} to {}", bound(schema, "minimum"), bound(schema, "maximum")),
            Some("string") => match schema.get("maxLength") {
                Some(max) => format!("a text of 1 to {max} characters on one line"),
                None => "a text".to_owned(),
            },
            Some("array") => self.takes_list(),
            _ => format!("a table of {}", self.keys().map(|(key, _)| key).collect::<Vec<_>>().join(", ")),
        }
    }

    fn takes_list(self) -> String {
        let Some(items) = self.items() else { return "a list".to_owned() };
        if items.is_table() {
            return "one table or more, at most 100".to_owned();
        }
        match items.words() {
            Some(words) => format!("a list of one or more of {}, without duplicates", words.join(", ")),
            None => format!("a list of one or more, each {}, without duplicates", items.takes()),
        }
    }

    /// The words of an enumeration, quoted.
    fn words(self) -> Option<Vec<String>> {
        let named = self.0.get("enum").and_then(Value::as_array).map(|words| words.iter().collect::<Vec<_>>());
        let described = || {
            let options = self.0.get("oneOf")?.as_array()?;
            options.iter().map(|option| option.get("const").or(option.get("enum").and_then(|of| of.get(0)))).collect()
        };
        let words: Vec<&Value> = named.or_else(described)?;
        Some(words.into_iter().map(ToString::to_string).collect())
    }
}

/// A bound without a fraction of zero.
fn bound(schema: &Value, name: &str) -> String {
    match schema.get(name).and_then(Value::as_f64) {
        Some(bound) if bound.fract() == 0.0 => format!("{bound:.0}"),
        Some(bound) => bound.to_string(),
        None => "any".to_owned(),
    }
}

/// Whether a sweep may change the key at a path.
pub(crate) fn is_sweepable(path: &str) -> bool {
    !NOT_SWEPT.contains(&path)
}

/// Every key and table outside of lists, by its dotted path, in the order of the file.
pub(crate) fn paths() -> Vec<(String, Node)> {
    fn walk(above: &str, node: Node, out: &mut Vec<(String, Node)>) {
        for (key, child) in node.keys() {
            let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
            out.push((path.clone(), child));
            walk(&path, child, out);
        }
    }
    let mut out = Vec::new();
    walk("", Node::root(), &mut out);
    out
}
