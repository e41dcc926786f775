//! From a file and the command line to a scenario that knows where each of its keys was written.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::FILE_BYTES_MAX;
use crate::decide::decide;
use crate::error::{Place, ScenarioError};
use crate::job::Job;
use crate::keys::{Keys, descends, join};
use crate::overrides::Override;
use crate::tables::check_terms;
use crate::words::Scenario;

/// A scenario and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The file's name as it was given.
    pub file: String,
    /// The file as written.
    pub text: String,
    /// What was set on the command line, as written, in its order.
    pub overrides: Vec<String>,
    /// What both ask for.
    pub scenario: Scenario,
    places: BTreeMap<String, Place>,
}

/// Reads a scenario file; `overrides` go over it in their order.
pub fn load(path: &Path, overrides: &[Override]) -> Result<Source, ScenarioError> {
    let name = path.display().to_string();
    let unreadable = |source| ScenarioError::Unreadable { path: name.clone(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    if found > FILE_BYTES_MAX {
        return Err(ScenarioError::TooBig { path: name, found });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Source::parse(&name, &text, overrides)
}

/// Reads a scenario and decides it, in one.
pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Job, ScenarioError> {
    Source::parse(file_name, text, overrides)?.decide()
}

impl Source {
    /// Reads a scenario from a text.
    pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Self, ScenarioError> {
        let at = |line| Place::File { name: file_name.into(), line };
        let not_toml = |error: toml::de::Error| ScenarioError::NotToml {
            place: at(error.span().map(|span| line_of(text, span.start))),
            message: error.message().replace('\n', ", "),
        };
        let mut keys = Keys::from_table(&toml::from_str(text).map_err(not_toml)?);
        let mut places = BTreeMap::new();
        let spanned = DeTable::parse(text).map_err(not_toml)?;
        lines_of(spanned.get_ref(), "", &mut |path, start| {
            places.insert(path, at(Some(line_of(text, start))));
        });
        for set in overrides {
            set.apply(&mut keys);
            places.insert(set.path().into(), set.place());
        }
        let checked = keys.checked().map_err(|error| error.located(&places, &at(None)))?;
        Ok(Self {
            file: file_name.into(),
            text: text.into(),
            overrides: overrides.iter().map(ToString::to_string).collect(),
            scenario: checked.scenario(),
            places,
        })
    }

    /// Decides everything.
    pub fn decide(&self) -> Result<Job, ScenarioError> {
        let elsewhere = Place::File { name: self.file.clone(), line: None };
        let located = |error: ScenarioError| error.located(&self.places, &elsewhere);
        let job = decide(&self.scenario).map_err(located)?;
        if self.overrides.is_empty() {
            let labels: Vec<_> = job.plans.iter().map(|plan| plan.label.as_str()).collect();
            check_terms(&self.scenario, &labels).map_err(located)?;
        }
        Ok(Job { file: self.file.clone(), text: self.text.clone(), overrides: self.overrides.clone(), ..job })
    }
}

/// Tells where each key begins, tables too: an error may be about one of them.
fn lines_of(table: &DeTable<'_>, above: &str, tell: &mut impl FnMut(String, usize)) {
    for (key, value) in table {
        let path = join(above, key.get_ref());
        tell(path.clone(), key.span().start);
        match value.get_ref() {
            DeValue::Table(inside) if descends(&path) || path.contains('[') => lines_of(inside, &path, tell),
            DeValue::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    let path = format!("{path}[{}]", number + 1);
                    tell(path.clone(), item.span().start);
                    if let DeValue::Table(inside) = item.get_ref() {
                        lines_of(inside, &path, tell);
                    }
                }
            }
            _ => {}
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count()
}
