//! Checks of the source code: doc comment and length of each file, dependencies between crates and
//! modules, and which crate prints.

mod modules;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;

/// The crates and their allowed dependencies, with those for tests. A new crate has to be added
/// here.
const EDGES: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("scenario", &["wire", "results"]),
    ("results", &["wire"]),
    ("server", &["wire"]),
    ("loadgen", &["wire", "scenario", "results"]),
    ("report", &["wire", "scenario", "results"]),
    ("pushbench", &["wire", "scenario", "results", "server", "loadgen", "report"]),
    (FUZZ, &["wire", "scenario", "results", "loadgen"]),
];
/// A separate workspace, which only cargo-fuzz builds.
const FUZZ: &str = "fuzz";
/// Macros and functions that only the crate [`PRINTS`] may use.
const PRINTING: &[&str] = &["println!", "print!", "eprintln!", "eprint!", "process::exit("];
const PRINTS: &str = "pushbench";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root is above crates/pushbench").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of the project below `dir` whose names have this ending.
fn files(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "node_modules") {
                files(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    files(&root, ".rs", &mut found);
    let named = found.iter().map(|path| (path.strip_prefix(&root).unwrap_or(path).display().to_string(), read(path)));
    named.collect()
}

fn manifests() -> BTreeMap<String, String> {
    let crates = fs::read_dir(root().join("crates")).expect("the folder crates can be read");
    let folders = crates.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folders.map(|path| (name(&path), read(&path.join("Cargo.toml")))).collect()
}

/// The names of all dependencies in a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            // [dependencies.name]
            if let Some((_, name)) = table.split_once("dependencies.") {
                found.push(name.to_owned());
            }
        } else if inside && !line.starts_with('#') {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect();
            found.extend((!name.is_empty()).then_some(name));
        }
    }
    found
}

#[test]
fn every_file_has_a_doc_comment_and_a_limited_length() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            wrong.push(format!("{path} does not begin with //!"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{path} has {lines} lines (limit {LINES_MAX}): split the file"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_depend_on_each_other_as_planned() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        let Some((_, allowed)) = EDGES.iter().find(|(planned, _)| *planned == name) else {
            wrong.push(format!("crates/{name} is not in EDGES in this test: add it"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let is_local = EDGES.iter().any(|(planned, _)| *planned == dependency);
            if is_local && !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("crates/{name} may depend on {allowed:?}, not on {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_import_in_one_direction() {
    let mut wrong = Vec::new();
    for (name, _) in EDGES.iter().filter(|(name, _)| *name != FUZZ) {
        let (src, mut found) = (root().join("crates").join(name).join("src"), Vec::new());
        files(&src, ".rs", &mut found);
        let modules = modules::modules(&src, found.into_iter().map(|path| (path.clone(), read(&path))).collect());
        for cycle in modules::cycles(&modules::graph(&modules)) {
            let names: Vec<_> = cycle.iter().chain(&cycle[..1]).map(|module| module.join("::")).collect();
            wrong.push(format!("crates/{name}: {}", names.join(" → ")));
        }
    }
    assert!(wrong.is_empty(), "import cycles:\n{}", wrong.join("\n"));
}

#[test]
fn versions_and_lints_are_set_in_the_workspace() {
    for (name, manifest) in manifests().into_iter().filter(|(name, _)| name != FUZZ) {
        assert!(manifest.contains("[lints]\nworkspace = true"), "crates/{name} must use the lints of the workspace");
        let versions = manifest.lines().filter(|line| line.contains("version = \""));
        assert_eq!(versions.collect::<Vec<_>>(), Vec::<&str>::new(), "crates/{name}: set versions in the workspace");
    }
}

#[test]
fn only_the_command_line_crate_prints_and_exits() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let is_library = path.starts_with("crates/")
            && path.contains("/src/")
            && !path.ends_with("/tests.rs")
            && !path.starts_with(&format!("crates/{PRINTS}/"));
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|_| is_library) {
            for word in PRINTING.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{path}: {word} in {:?}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dependencies_are_read_from_manifests() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nwire.workspace = true\n# server\nserde = \"1\"\n\n\
                    [dev-dependencies]\nserver = { path = \"../server\" }\n[target.'cfg(unix)'.dependencies]\nnix = \"1\"\n\
                    [build-dependencies.loadgen]\npath = \"x\"\n[lints]\nworkspace = true\n";
    assert_eq!(dependencies(manifest), ["wire", "serde", "server", "nix", "loadgen"]);
}
