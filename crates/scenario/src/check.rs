//! Checks of single values beyond ranges and lengths. Errors here have no text: the schema
//! describes which values a key takes.

use garde::{Error, Result};

const CORE_MAX: usize = 1023;

fn must(holds: bool) -> Result {
    if holds { Ok(()) } else { Err(Error::new("")) }
}

/// Checks a short name, which becomes part of file names.
pub(crate) fn short_name(text: &str, (): &()) -> Result {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    must((1..=64).contains(&text.len()) && text.bytes().all(allowed))
}

/// Checks that a text is one line.
pub(crate) fn one_line(text: &str, (): &()) -> Result {
    must(!text.trim().is_empty() && !text.chars().any(char::is_control))
}

/// Checks that an optional text is one line.
pub(crate) fn one_line_if_any(text: &Option<String>, context: &()) -> Result {
    text.as_ref().map_or(Ok(()), |text| one_line(text, context))
}

/// Checks that a list has no duplicates.
pub(crate) fn each_once<T: PartialEq>(items: &[T], (): &()) -> Result {
    must(items.iter().enumerate().all(|(at, item)| !items[..at].contains(item)))
}

/// Checks a list of core numbers.
pub(crate) fn cores(cores: &[usize], context: &()) -> Result {
    must(!cores.is_empty() && cores.iter().all(|core| *core <= CORE_MAX)).and_then(|()| each_once(cores, context))
}
