//! The module graph of a crate, from the text of its `use` items and paths, and the import cycles
//! in it.
//!
//! A module is a file below `src`. `a → b` if `a` names an item of `b` through `crate::`, `super::`
//! or `self::`. Not counted are re-exports (`pub use`), tests, and items of a parent module: a
//! folder may share what its `mod.rs` defines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The segments of a module's path; empty for `lib.rs`.
type Module = Vec<String>;

/// Module → text, for each file of a crate's `src`.
pub(crate) fn modules(src: &Path, files: Vec<(std::path::PathBuf, String)>) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    for (path, text) in files {
        let relative = path.strip_prefix(src).expect("the files are below src").with_extension("");
        let mut module: Module = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.iter().any(|part| part == "tests") || module == ["main"] {
            continue;
        }
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        found.insert(module, without_tests(&text));
    }
    found
}

fn without_tests(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let end =
        code.find("#[cfg(test)]\nmod ").filter(|at| !code[*at..].lines().nth(1).unwrap_or_default().ends_with(';'));
    code[..end.unwrap_or(code.len())].to_owned()
}

/// The modules that each module imports from.
pub(crate) fn graph(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let named = |module: &Module, text: &str| {
        let paths = paths(text).into_iter().filter_map(|path| absolute(module, &path));
        let hits = paths
            .filter_map(|path| (0..=path.len()).rev().map(|n| path[..n].to_vec()).find(|m| modules.contains_key(m)));
        hits.filter(|hit| !module.starts_with(hit)).collect()
    };
    modules.iter().map(|(module, text)| (module.clone(), named(module, text))).collect()
}

/// Every path in a text that begins with `crate`, `super` or `self`, with the braces of `use`
/// expanded.
fn paths(text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in text.match_indices("::") {
        let word: String = text[..at].chars().rev().take_while(|c| is_word(*c)).collect();
        let word: String = word.chars().rev().collect();
        let before = text[..at - word.len()].trim_end();
        if !matches!(word.as_str(), "crate" | "super" | "self") || before.ends_with("::") {
            continue;
        }
        // `pub use` and `pub(crate) use` are re-exports.
        let statement = before.rsplit([';', '}']).next().unwrap_or_default();
        if statement.trim_end().ends_with("use") && statement.contains("pub") {
            continue;
        }
        tree(&text[at + 2..], &vec![word], &mut found);
    }
    found
}

/// Reads one branch of a path. Returns its length.
fn tree(text: &str, above: &Module, found: &mut Vec<Module>) -> usize {
    let skipped = text.len() - text.trim_start().len();
    let rest = &text[skipped..];
    if let Some(inside) = rest.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += tree(&inside[at..], above, found);
            at += inside[at..].find([',', '}']).map_or(inside.len() - at, |next| next);
            match inside[at..].chars().next() {
                Some(',') => at += 1,
                _ => return skipped + 1 + (at + 1).min(inside.len()),
            }
        }
    }
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut path = above.clone();
    path.extend((!word.is_empty() && word != "self").then(|| word.clone()));
    let end = skipped + word.len();
    if rest[word.len()..].starts_with("::") {
        return end + 2 + tree(&text[end + 2..], &path, found);
    }
    found.push(path);
    end
}

/// A path from the root of the crate.
fn absolute(module: &Module, path: &Module) -> Option<Module> {
    let mut base = match path.first()?.as_str() {
        "crate" => Module::new(),
        "self" => module.clone(),
        _ => module[..module.len().checked_sub(1)?].to_vec(),
    };
    let mut rest = &path[1..];
    while rest.first().is_some_and(|first| first == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The shortest cycle through each module that is in one, each cycle once.
pub(crate) fn cycles(graph: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let mut cycles: Vec<Vec<Module>> = Vec::new();
    for start in graph.keys() {
        let mut from: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        'search: while let Some(here) = queue.pop_front() {
            for next in &graph[here] {
                if next == start {
                    let mut cycle = vec![here.clone()];
                    while let Some(before) = from.get(cycle.last().expect("the cycle has a module")) {
                        cycle.push((*before).clone());
                    }
                    cycle.reverse();
                    let same = |known: &Vec<Module>| known.iter().collect::<BTreeSet<_>>() == cycle.iter().collect();
                    if !cycles.iter().any(same) {
                        cycles.push(cycle);
                    }
                    break 'search;
                }
                if next != start && !from.contains_key(next) {
                    from.insert(next, here);
                    queue.push_back(next);
                }
            }
        }
    }
    cycles
}

#[test]
fn paths_are_read_with_their_braces() {
    let text = "use crate::{a::{B, c::D}, e};\npub use self::x::Y;\nfn f() { super::g::h(1); other::crate_name::x(); }";
    let paths: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::a::B", "crate::a::c::D", "crate::e", "super::g::h"]);
}

#[test]
fn a_cycle_is_found_and_named() {
    let module = |name: &str, text: &str| (vec![name.to_owned()], text.to_owned());
    let modules = BTreeMap::from([
        module("a", "use crate::b::B;"),
        module("b", "use crate::c::C; use super::d;"),
        module("c", "fn f() { crate::a::run() }"),
        module("d", ""),
    ]);
    let found = cycles(&graph(&modules));
    assert_eq!(found, [vec![vec!["a".to_owned()], vec!["b".to_owned()], vec!["c".to_owned()]]]);
}
