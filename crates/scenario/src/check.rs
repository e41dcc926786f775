//! What ranges and lengths cannot say of a value. The sentence about what a key takes comes from the schema, so an error here has
//! no text of its own.

use garde::{Error, Result};

const CORE_MAX: usize = 1023;

fn must(holds: bool) -> Result {
    if holds { Ok(()) } else { Err(Error::new("")) }
}

/// A name becomes part of file names.
pub(crate) fn short_name(text: &str, (): &()) -> Result {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    must((1..=64).contains(&text.len()) && text.bytes().all(allowed))
}

/// A text that fits into a line of a table.
pub(crate) fn one_line(text: &str, (): &()) -> Result {
    must(!text.trim().is_empty() && !text.chars().any(char::is_control))
}

/// The same for a text that may be missing.
pub(crate) fn one_line_if_any(text: &Option<String>, context: &()) -> Result {
    text.as_ref().map_or(Ok(()), |text| one_line(text, context))
}

/// A list without repetitions.
pub(crate) fn each_once<T: PartialEq>(items: &[T], (): &()) -> Result {
    must(items.iter().enumerate().all(|(at, item)| !items[..at].contains(item)))
}

/// A list of core numbers.
pub(crate) fn cores(cores: &[usize], context: &()) -> Result {
    must(!cores.is_empty() && cores.iter().all(|core| *core <= CORE_MAX)).and_then(|()| each_once(cores, context))
}
