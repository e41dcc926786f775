//! From a text and the command line to one [`ScenarioFile`] per point of the sweep, and to errors
//! that name key, value and place.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use garde::Validate;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::error::{Place, ScenarioError};
use crate::file::ScenarioFile;
use crate::job::Job;
use crate::overrides::Override;
use crate::schema::{Node, is_sweepable};
use crate::table::{Sweep, set_path};
use crate::time::seconds;
use crate::unknown::unknown_key;
use crate::{FILE_BYTES_MAX, POINTS_MAX, plan};

/// A point of the sweep: keys and their values; empty without a sweep.
pub(crate) type Point = Vec<(String, Value)>;

/// A scenario file that was read, with overrides applied.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedScenario {
    /// The file's name as it was given.
    pub file_name: String,
    /// The text of the file.
    pub text: String,
    /// The `--set` arguments, as written and in their order.
    pub overrides: Vec<String>,
    points: Vec<(Point, ScenarioFile)>,
    places: BTreeMap<String, Place>,
}

/// Reads a scenario file; `overrides` are applied in their order.
pub fn load(path: &Path, overrides: &[Override]) -> Result<LoadedScenario, ScenarioError> {
    let name = path.display().to_string();
    let unreadable = |source| ScenarioError::Unreadable { path: name.clone(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    if found > FILE_BYTES_MAX {
        return Err(ScenarioError::TooBig { path: name, found });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    LoadedScenario::parse(&name, &text, overrides)
}

/// Reads a scenario from a text and builds its plans.
pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Job, ScenarioError> {
    LoadedScenario::parse(file_name, text, overrides)?.decide()
}

impl LoadedScenario {
    /// Reads a scenario from a text.
    pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Self, ScenarioError> {
        let nowhere = Place::File { name: file_name.into(), line: None };
        let mut table: Table =
            toml::from_str(text).map_err(|error| ScenarioError::not_toml(file_name, text, &error))?;
        let mut places = places(file_name, text)?;
        let points =
            read_points(&mut table, overrides, &mut places).map_err(|error| error.located(&places, &nowhere))?;
        Ok(Self {
            file_name: file_name.into(),
            text: text.into(),
            overrides: overrides.iter().map(ToString::to_string).collect(),
            points,
            places,
        })
    }

    /// The scenario at its first point, or without a sweep at its only one.
    pub fn first(&self) -> &ScenarioFile {
        &self.points[0].1
    }

    /// Builds the plans.
    pub fn decide(&self) -> Result<Job, ScenarioError> {
        let nowhere = Place::File { name: self.file_name.clone(), line: None };
        let plans = plan::build(&self.points, self.overrides.is_empty());
        let plans = plans.map_err(|error| error.located(&self.places, &nowhere))?;
        let first = self.first();
        Ok(Job {
            name: first.name.clone(),
            question: first.question.clone(),
            seed: first.seed,
            budget: seconds(first.budget_s),
            generators: 1,
            slices: first.slices,
            claims: first.claim.clone(),
            file: self.file_name.clone(),
            text: self.text.clone(),
            overrides: self.overrides.clone(),
            plans,
        })
    }
}

/// The file at every point of its sweep, with the command line applied.
fn read_points(
    table: &mut Table,
    overrides: &[Override],
    places: &mut BTreeMap<String, Place>,
) -> Result<Vec<(Point, ScenarioFile)>, ScenarioError> {
    let mut sweep = take_sweep(table)?;
    for set in overrides {
        places.insert(set.path().into(), set.place());
        set.apply(table, &mut sweep)?;
    }
    points(&sweep)?.into_iter().map(|point| read_point(table, &point).map(|file| (point, file))).collect()
}

/// Where each key and each item of a list begins.
fn places(file_name: &str, text: &str) -> Result<BTreeMap<String, Place>, ScenarioError> {
    fn walk(table: &DeTable<'_>, above: &str, tell: &mut impl FnMut(String, usize)) {
        for (key, value) in table {
            let path = join(above, key.get_ref());
            tell(path.clone(), key.span().start);
            match value.get_ref() {
                DeValue::Table(inside) => walk(inside, &path, tell),
                DeValue::Array(items) => {
                    for (number, item) in items.iter().enumerate() {
                        let path = format!("{path}[{}]", number + 1);
                        tell(path.clone(), item.span().start);
                        if let DeValue::Table(inside) = item.get_ref() {
                            walk(inside, &path, tell);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    let mut places = BTreeMap::new();
    let spanned = DeTable::parse(text).map_err(|error| ScenarioError::not_toml(file_name, text, &error))?;
    walk(spanned.get_ref(), "", &mut |path, start| {
        let line = 1 + text.as_bytes().iter().take(start).filter(|&&byte| byte == b'\n').count();
        places.insert(path, Place::File { name: file_name.into(), line: Some(line) });
    });
    Ok(places)
}

fn join(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}

/// Takes `[sweep]` out of a table. Its keys are dotted, in quotes or not.
fn take_sweep(table: &mut Table) -> Result<Sweep, ScenarioError> {
    fn flatten(table: Table, above: &str, sweep: &mut Sweep) {
        for (key, value) in table {
            let path = join(above, &key);
            match value {
                Value::Table(inside) => flatten(inside, &path, sweep),
                value => _ = sweep.insert(path, value),
            }
        }
    }
    let mut sweep = Sweep::new();
    match table.remove("sweep") {
        None => {}
        Some(Value::Table(swept)) => flatten(swept, "", &mut sweep),
        Some(other) => {
            let takes = "a table of keys, each with the list of its values";
            return Err(ScenarioError::bad_value("sweep", other, takes));
        }
    }
    Ok(sweep)
}

/// Every combination of the swept values; the last key, in alphabetical order, changes fastest.
fn points(sweep: &Sweep) -> Result<Vec<Point>, ScenarioError> {
    let mut points = vec![Point::new()];
    for (path, values) in sweep {
        let values = swept_values(path, values)?;
        let count = points.len().saturating_mul(values.len());
        if count > POINTS_MAX {
            let why =
                format!("the sweep then has {count} points, and at most {POINTS_MAX} are allowed: leave some out");
            return Err(ScenarioError::conflict(&format!("sweep.{path}"), format!("{} values", values.len()), why));
        }
        let with = |point: &Point, value: &Value| [&point[..], &[(path.clone(), value.clone())]].concat();
        points = points.iter().flat_map(|point| values.iter().map(|value| with(point, value))).collect();
    }
    Ok(points)
}

fn swept_values<'a>(path: &str, values: &'a Value) -> Result<&'a [Value], ScenarioError> {
    let key = format!("sweep.{path}");
    let node = Node::at(path).ok_or_else(|| unknown_key(&key, path))?;
    if node.is_table() {
        let keys = node.keys().map(|(key, _)| key).collect::<Vec<_>>().join(", ");
        let why = format!("{path} is a table: name one of its keys ({keys})");
        return Err(ScenarioError::conflict(&key, values, why));
    }
    if !is_sweepable(path) {
        let why = format!("{path} belongs to the whole job and cannot be swept");
        return Err(ScenarioError::conflict(&key, values, why));
    }
    let items = values.as_array().filter(|items| !items.is_empty()).ok_or_else(|| {
        ScenarioError::bad_value(&key, values, format!("a list of one or more, each {}", node.takes()))
    })?;
    match items.iter().enumerate().find(|(at, item)| items[..*at].contains(item)) {
        Some((_, twice)) => Err(ScenarioError::conflict(&key, values, format!("{twice} is listed twice"))),
        None => Ok(items),
    }
}

/// The file with the values of a point in it.
fn read_point(table: &Table, point: &Point) -> Result<ScenarioFile, ScenarioError> {
    let mut table = table.clone();
    for (path, value) in point {
        set_path(&mut table, path, value.clone());
    }
    let wrong = |path: &str| {
        let path = numbered(path);
        match point.iter().find(|(swept, _)| *swept == path) {
            Some((_, value)) => wrong_value(&format!("sweep.{path}"), &path, value),
            None => explain(&table, &path),
        }
    };
    let file: ScenarioFile = serde_path_to_error::deserialize(Value::Table(table.clone()))
        .map_err(|error| wrong(&error.path().to_string()))?;
    match file.validate() {
        Ok(()) => Ok(file),
        Err(report) => Err(wrong(&report.iter().next().map(|(path, _)| path.to_string()).unwrap_or_default())),
    }
}

/// `target[0].long_polling` as the file writes it: lists count from 1, and names of tables have
/// dashes.
fn numbered(path: &str) -> String {
    let mut out = String::new();
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let (key, index) = segment.split_once('[').unwrap_or((segment, ""));
        let dashed = key.replace('_', "-");
        let key = if Node::at(&join(&out, key)).is_none() && Node::at(&join(&out, &dashed)).is_some() {
            &dashed
        } else {
            key
        };
        out = join(&out, key);
        if let Some(index) = index.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
            out += &format!("[{}]", index + 1);
        }
    }
    out
}

/// The error for a path where deserialising or validating failed.
fn explain(table: &Table, path: &str) -> ScenarioError {
    let Some(node) = (if path.is_empty() { Some(Node::root()) } else { Node::at(path) }) else {
        // The keys of some tables are the file's own: the table says what it takes.
        let above = path.rsplit_once('.').map(|(above, _)| above);
        let is_free = above.and_then(Node::at).is_some_and(Node::takes_any_key);
        return above.filter(|_| is_free).map_or_else(|| unknown_key(path, path), |above| explain(table, above));
    };
    match find(table, path) {
        Some(Found::Table(inside)) => match missing(path, node, Some(inside)) {
            Some(error) => error,
            None => ScenarioError::bad_value(path, Value::Table(inside.clone()), node.takes()),
        },
        Some(Found::Other(value)) => wrong_value(path, path, value),
        None => missing(path, node, None).unwrap_or_else(|| absent(path, node)),
    }
}

fn wrong_value(key: &str, path: &str, value: &Value) -> ScenarioError {
    ScenarioError::bad_value(key, value, Node::at(path).map(Node::takes).unwrap_or_default())
}

fn absent(path: &str, node: Node) -> ScenarioError {
    ScenarioError::Missing { place: Place::default(), key: path.to_owned(), allowed: node.takes() }
}

/// The first required key that a table does not have.
fn missing(path: &str, node: Node, table: Option<&Table>) -> Option<ScenarioError> {
    let mut required = node.required().filter(|key| table.is_none_or(|table| !table.contains_key(*key)));
    let key = join(path, required.next()?);
    let child = Node::at(&key)?;
    Some(missing(&key, child, None).filter(|_| child.is_table()).unwrap_or_else(|| absent(&key, child)))
}

enum Found<'a> {
    Table(&'a Table),
    Other(&'a Value),
}

/// The value at a path of the file.
fn find<'a>(table: &'a Table, path: &str) -> Option<Found<'a>> {
    let mut here = Found::Table(table);
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let Found::Table(table) = here else { return None };
        let (key, index) = segment.split_once('[').unwrap_or((segment, ""));
        let mut value = table.get(key)?;
        if let Some(index) = index.strip_suffix(']') {
            value = value.get(index.parse::<usize>().ok()?.checked_sub(1)?)?;
        }
        here = value.as_table().map_or(Found::Other(value), Found::Table);
    }
    Some(here)
}
