//! What a field may hold: one check, one sentence and one JSON Schema for each kind of value.

use serde_json::json;
use toml::Value;

use crate::fields::Field;
use crate::tables;

/// The kinds of values there are in a scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Becomes part of file names.
    Name,
    /// A sentence or a word.
    Text { chars_max: usize },
    /// A whole number.
    Whole { min: u64, max: u64 },
    /// A number.
    Real { min: f64, max: f64 },
    /// true or false.
    Flag,
    /// One of some words.
    OneOf(fn() -> Vec<&'static str>),
    /// A list of some words, each once.
    SomeOf(fn() -> Vec<&'static str>),
    /// `"all"` or a whole number.
    AllOrWhole { max: u64 },
    /// A list of core numbers, each once.
    CoreList,
    /// A program and its arguments.
    Command,
    /// Tables with these fields: `[[name]]`. [`tables::check`] says where in them something is wrong.
    Tables(&'static [Field]),
    /// One such table.
    Table(&'static [Field]),
}

const NAME_CHARS_MAX: usize = 64;
const COMMAND_CHARS_MAX: usize = 4096;
const CORE_MAX: u64 = 1023;
const CORES_MAX: usize = 1024;

impl Kind {
    /// The value, numbers in the type of the field; `None` when the field cannot hold it. Tables are [`tables::check`]'s.
    pub(crate) fn accept(self, value: &Value) -> Option<Value> {
        let ok = match self {
            Self::Name => value.as_str().is_some_and(is_name),
            Self::Text { chars_max } => value.as_str().is_some_and(|text| is_text(text, chars_max)),
            Self::Whole { min, max } => is_whole(value, min, max),
            Self::Real { min, max } => {
                let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
                return (min..=max).contains(&number).then_some(Value::Float(number));
            }
            Self::Flag => value.is_bool(),
            Self::OneOf(words) => value.as_str().is_some_and(|text| words().contains(&text)),
            Self::SomeOf(words) => {
                each_once(value, usize::MAX, |item| item.as_str().is_some_and(|w| words().contains(&w)))
            }
            Self::AllOrWhole { max } => value.as_str() == Some("all") || is_whole(value, 1, max),
            Self::CoreList => each_once(value, CORES_MAX, |item| is_whole(item, 0, CORE_MAX)),
            Self::Command => is_command(value),
            Self::Tables(_) | Self::Table(_) => return None,
        };
        ok.then(|| value.clone())
    }

    /// What a value from the command line means here: a list may be written `sse,websocket`, and one item without brackets.
    pub(crate) fn loosen(self, value: Value) -> Value {
        match (self, value) {
            (Self::SomeOf(_), Value::String(words)) => {
                Value::Array(words.split(',').map(|word| Value::from(word.trim())).collect())
            }
            (Self::CoreList, Value::Integer(core)) => Value::Array(vec![Value::Integer(core)]),
            (_, value) => value,
        }
    }

    /// What the field takes, for an error.
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Name => format!("1 to {NAME_CHARS_MAX} characters of a-z 0-9 -"),
            Self::Text { chars_max } => format!("a text of 1 to {chars_max} characters on one line"),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Real { min, max } => format!("a number from {min} to {max}"),
            Self::Flag => "true or false".into(),
            Self::OneOf(words) => format!("one of {}", quoted(&words())),
            Self::SomeOf(words) => format!("a list of one or more, each once, of {}", quoted(&words())),
            Self::AllOrWhole { max } => format!("\"all\" or a whole number from 1 to {max}"),
            Self::CoreList => format!("a list of one or more core numbers from 0 to {CORE_MAX}, each once"),
            Self::Command => "a program and its arguments, in one string or a list of strings".into(),
            Self::Tables(_) => "one table or more, at most 100".into(),
            Self::Table(fields) => {
                format!("a table of {}", fields.iter().map(|field| field.path).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// What sort of value it is, for the table in the README.
    pub(crate) fn sort(self) -> &'static str {
        match self {
            Self::Name | Self::Text { .. } => "text",
            Self::Whole { .. } => "whole number",
            Self::Real { .. } => "number",
            Self::Flag => "flag",
            Self::OneOf(_) => "word",
            Self::SomeOf(_) => "list of words",
            Self::AllOrWhole { .. } => "word or whole number",
            Self::CoreList => "list of whole numbers",
            Self::Command => "text or list of texts",
            Self::Tables(_) => "tables",
            Self::Table(_) => "table",
        }
    }

    /// All the words it knows, where it knows words.
    pub(crate) fn words(self) -> Vec<&'static str> {
        match self {
            Self::OneOf(words) | Self::SomeOf(words) => words(),
            Self::Name | Self::Text { .. } | Self::Whole { .. } | Self::Real { .. } | Self::Flag => Vec::new(),
            Self::AllOrWhole { .. } => vec!["all"],
            Self::CoreList | Self::Command | Self::Tables(_) | Self::Table(_) => Vec::new(),
        }
    }

    /// The same for other programs.
    pub(crate) fn schema(self) -> serde_json::Value {
        match self {
            Self::Name => json!({"type": "string", "pattern": format!("^[a-z0-9-]{{1,{NAME_CHARS_MAX}}}$")}),
            Self::Text { chars_max } => json!({"type": "string", "minLength": 1, "maxLength": chars_max}),
            Self::Whole { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
            Self::Real { min, max } => json!({"type": "number", "minimum": min, "maximum": max}),
            Self::Flag => json!({"type": "boolean"}),
            Self::OneOf(words) => json!({"enum": words()}),
            Self::SomeOf(words) => list_schema(&json!({"enum": words()})),
            Self::AllOrWhole { max } => {
                json!({"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1, "maximum": max}]})
            }
            Self::CoreList => list_schema(&json!({"type": "integer", "minimum": 0, "maximum": CORE_MAX})),
            Self::Command => {
                let word = json!({"type": "string", "minLength": 1});
                json!({"anyOf": [word, {"type": "array", "items": word, "minItems": 1}]})
            }
            Self::Tables(fields) => tables::list_schema(fields),
            Self::Table(fields) => tables::schema(fields),
        }
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_text(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max && !text.chars().any(char::is_control)
}

fn is_command(value: &Value) -> bool {
    let is_word = |word: &Value| word.as_str().is_some_and(|word| is_text(word, COMMAND_CHARS_MAX));
    is_word(value) || value.as_array().is_some_and(|words| !words.is_empty() && words.iter().all(is_word))
}

fn is_whole(value: &Value, min: u64, max: u64) -> bool {
    value.as_integer().is_some_and(|n| u64::try_from(n).is_ok_and(|n| (min..=max).contains(&n)))
}

fn each_once(value: &Value, items_max: usize, ok: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| {
        (1..=items_max).contains(&items.len())
            && items.iter().all(ok)
            && items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
    })
}

fn list_schema(items: &serde_json::Value) -> serde_json::Value {
    json!({"type": "array", "items": items, "minItems": 1, "uniqueItems": true})
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(kind: Kind, text: &str) -> bool {
        kind.accept(&text.parse().unwrap()).is_some()
    }

    #[test]
    fn ends_of_ranges_are_inside_and_everything_else_outside() {
        let whole = Kind::Whole { min: 2, max: 5 };
        assert!(takes(whole, "2") && takes(whole, "5"));
        for bad in ["1", "6", "-3", "2.0", "\"2\"", "true", "[2]"] {
            assert!(!takes(whole, bad), "{bad}");
        }
        let real = Kind::Real { min: 0.0, max: 1.0 };
        assert!(takes(real, "0") && takes(real, "1.0") && takes(real, "0.5"));
        for bad in ["-0.1", "1.1", "nan", "inf", "\"1\"", "false"] {
            assert!(!takes(real, bad), "{bad}");
        }
        assert_eq!(real.accept(&Value::Integer(1)), Some(Value::Float(1.0)));
    }

    #[test]
    fn lists_hold_something_and_each_item_once() {
        let some = Kind::SomeOf(|| vec!["sse", "tcp"]);
        assert!(takes(some, "['sse']") && takes(some, "['tcp', 'sse']"));
        for bad in ["[]", "['sse', 'sse']", "['ftp']", "'sse'", "[1]"] {
            assert!(!takes(some, bad), "{bad}");
        }
        assert!(takes(Kind::CoreList, "[0, 1023]") && !takes(Kind::CoreList, "[1024]"));
        assert_eq!(some.loosen(Value::from("sse, tcp")), "['sse', 'tcp']".parse().unwrap());
        assert_eq!(Kind::CoreList.loosen(Value::Integer(1)), "[1]".parse().unwrap());
    }

    #[test]
    fn names_and_texts() {
        assert!(
            takes(Kind::Name, "'poll-interval-2'") && !takes(Kind::Name, "'Quick run'") && !takes(Kind::Name, "''")
        );
        let text = Kind::Text { chars_max: 3 };
        assert!(takes(text, "'äöü'") && !takes(text, "'four'") && !takes(text, "' '") && !takes(text, "\"a\\n\""));
        let authors = Kind::AllOrWhole { max: 9 };
        assert!(takes(authors, "'all'") && takes(authors, "9") && !takes(authors, "0") && !takes(authors, "'some'"));
    }
}
