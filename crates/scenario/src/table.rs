//! A scenario as TOML, before it is read into its types.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Keys that a sweep changes, each with its values.
pub(crate) type Sweep = BTreeMap<String, Value>;

/// Sets the value at a dotted path. If a parent is not a table it is left unchanged, and
/// deserialising fails.
pub(crate) fn set_path(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => _ = table.insert(path.to_owned(), value),
        Some((key, rest)) => {
            let inside = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
            if let Some(inside) = inside.as_table_mut() {
                set_path(inside, rest, value);
            }
        }
    }
}
