//! `--set key=value`: one key of the scenario from the command line.

use std::fmt;
use std::str::FromStr;

use toml::Value;

use crate::error::{Place, ScenarioError};
use crate::keys::{Keys, known};

/// One key and the value it gets, whatever the file says. The value is TOML; a bare word is a text, and a list may be written
/// `sse,websocket`.
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

    /// Where its errors are.
    pub(crate) fn place(&self) -> Place {
        Place::Set(self.text.clone())
    }

    /// Puts the value in. A key set here is no longer swept.
    pub(crate) fn apply(&self, keys: &mut Keys) {
        let swept = self.path.strip_prefix("sweep.");
        let path = swept.unwrap_or(&self.path);
        let value = match (known(path, path, None), swept, self.value.clone()) {
            (Ok(field), None, value) => field.kind.loosen(value),
            (Ok(field), Some(_), Value::Array(items)) => {
                Value::Array(items.into_iter().map(|item| field.kind.loosen(item)).collect())
            }
            (_, Some(_), value) if !value.is_array() => Value::Array(vec![value]),
            (_, _, value) => value,
        };
        keys.0.remove(&format!("sweep.{path}"));
        keys.0.insert(self.path.clone(), value);
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
    fn what_is_no_override_says_how_to_write_one() {
        let error = |text: &str| text.parse::<Override>().unwrap_err().to_string();
        let hint = "; write key=value, such as posts.per_client_per_s=2";
        assert_eq!(error("clients"), format!("--set clients: there is no ={hint}"));
        assert_eq!(error("=3"), format!("--set =3: there is no key{hint}"));
        assert_eq!(error("clients="), format!("--set clients=: there is no value{hint}"));
        assert_eq!(error("clients=[1,"), format!("--set clients=[1,: the value is not TOML{hint}"));
    }
}
