//! `--set key=value`: one key of the scenario from the command line.

use std::fmt;
use std::str::FromStr;

use toml::{Table, Value};

use crate::error::{Place, ScenarioError};
use crate::schema::Node;
use crate::table::{Sweep, set_path};
use crate::unknown::unknown_key;

/// A key and the value that replaces the one in the file. The value is TOML; a bare word is a
/// string, and a list may be written as `sse,websocket`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: String,
    value: Value,
    text: String,
}

impl Override {
    /// Dotted path of the key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The place that errors name.
    pub(crate) fn place(&self) -> Place {
        Place::Set(self.text.clone())
    }

    /// Sets the value. A key that is set is no longer swept.
    pub(crate) fn apply(&self, table: &mut Table, sweep: &mut Sweep) -> Result<(), ScenarioError> {
        let swept = self.path.strip_prefix("sweep.");
        let path = swept.unwrap_or(&self.path);
        let node = Node::at(path).ok_or_else(|| unknown_key(&self.path, path))?;
        sweep.remove(path);
        match (swept, self.value.clone()) {
            (None, value) => set_path(table, path, as_list(node, value)),
            (Some(_), Value::Array(items)) => {
                let items = items.into_iter().map(|item| as_list(node, item)).collect();
                sweep.insert(path.to_owned(), Value::Array(items));
            }
            (Some(_), value) => _ = sweep.insert(path.to_owned(), Value::Array(vec![value])),
        }
        Ok(())
    }
}

/// What a value means for a key: a list may be written `sse,websocket`, and one item without
/// brackets.
fn as_list(node: Node, value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items),
        Value::String(words) if node.is_list() => {
            Value::Array(words.split(',').map(|word| Value::from(word.trim())).collect())
        }
        value if node.is_list() => Value::Array(vec![value]),
        value => value,
    }
}

impl FromStr for Override {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let bad = |why| ScenarioError::BadOverride { text: text.into(), why };
        let (path, value) = text.split_once('=').ok_or_else(|| bad("there is no ="))?;
        let (path, value) = (path.trim(), value.trim());
        if path.is_empty() {
            return Err(bad("there is no key"));
        }
        if value.is_empty() {
            return Err(bad("there is no value"));
        }
        let value = match value.parse() {
            Ok(value) => value,
            Err(_) if value.starts_with(['"', '\'', '[', '{']) => return Err(bad("the value is not TOML")),
            Err(_) => Value::from(value),
        };
        Ok(Self { path: path.into(), value, text: text.into() })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        text.parse::<Override>().unwrap().value
    }

    #[test]
    fn values_are_toml_and_bare_words_are_texts() {
        assert_eq!(value("a=2"), Value::Integer(2));
        assert_eq!(value(" a = 2.5 "), Value::Float(2.5));
        assert_eq!(value("a=[1, 2]"), Value::Array(vec![Value::Integer(1), Value::Integer(2)]));
        assert_eq!(value("a=true"), Value::Boolean(true));
        assert_eq!(value("a='b'"), Value::from("b"));
        assert_eq!(value("a=sse,websocket"), Value::from("sse,websocket"));
        assert_eq!(value("a=What is it? 1=1"), Value::from("What is it? 1=1"));
    }

    #[test]
    fn invalid_overrides_are_refused_with_the_syntax() {
        let error = |text: &str| text.parse::<Override>().unwrap_err().to_string();
        let hint = "; write key=value, such as posts.per_client_per_s=2";
        assert_eq!(error("clients"), format!("--set clients: there is no ={hint}"));
        assert_eq!(error("=3"), format!("--set =3: there is no key{hint}"));
        assert_eq!(error("clients="), format!("--set clients=: there is no value{hint}"));
        assert_eq!(error("clients=[1,"), format!("--set clients=[1,: the value is not TOML{hint}"));
    }
}
