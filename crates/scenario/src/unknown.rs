//! The error for an unknown key: suggests a similar key or lists the keys of the table.

use crate::error::{Place, ScenarioError};
use crate::schema::{Node, paths};

/// The error for a path without a key; `key` is how the file writes it.
pub(crate) fn unknown_key(key: &str, path: &str) -> ScenarioError {
    let mut table = path;
    let keys = loop {
        table = table.rsplit_once('.').map_or("", |(above, _)| above);
        let node = if table.is_empty() { Some(Node::root()) } else { Node::at(table) };
        if let Some(node) = node.filter(|node| node.is_table()) {
            break node.keys().map(|(key, _)| key).collect::<Vec<_>>().join(", ");
        }
    };
    let known = match (nearest(path).filter(|_| !path.contains('[')), table) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, "") => format!("there are {keys}, sweep"),
        (None, table) if table.contains('[') => format!("{} has {keys}", unnumbered(table)),
        (None, table) => format!("[{table}] has {keys}"),
    };
    ScenarioError::UnknownKey { place: Place::default(), key: key.into(), known }
}

/// `claim[2].left` → `claim[].left`, as the README writes it.
fn unnumbered(path: &str) -> String {
    path.split_inclusive('[').map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect()
}

/// The most similar path: the same name in another table, or one that differs in at most two
/// letters.
fn nearest(path: &str) -> Option<String> {
    let key = last(path);
    let paths: Vec<String> = paths().into_iter().map(|(path, _)| path).collect();
    let mut same = paths.iter().filter(|path| last(path) == key);
    if let (Some(path), None) = (same.next(), same.next()) {
        return Some(path.clone());
    }
    let distances = paths.into_iter().map(|near| (distance(path, &near).min(distance(key, &near)), near));
    distances.min().filter(|(distance, near)| *distance <= 2 && *distance < near.len() / 2).map(|(_, near)| near)
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Edit distance.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let here = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let count = |from, to| distance(from, to);
        assert_eq!((count("abc", "abc"), count("", "abc"), count("abc", "axc"), count("rooms", "room")), (0, 3, 1, 1));
        let near = |path: &str| nearest(path);
        assert_eq!(near("client_s").as_deref(), Some("clients"));
        assert_eq!(near("interval_ms").as_deref(), Some("tuning.polling.interval_ms"));
        assert_eq!(near("posts.payload_byte").as_deref(), Some("posts.payload_bytes"));
        assert_eq!((near("heartbeat_s"), near("colour")), (None, None));
    }
}
