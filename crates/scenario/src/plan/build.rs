//! From a scenario to its plans: checks across several keys, and the random schedule and texts.
//! Pure: the same scenario gives the same plans.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use serde_json::Value;
use wire::{BUILTIN_SERVER, Encoding, Transport};

use super::marker::MARKED_BYTES_MIN;
use super::outages;
use super::schedule::{Draw, Schedule};
use super::share::Share;
use super::texts::Texts;
use super::{Drawn, Plan, Slicing};
use crate::RUN_MAX;
use crate::claim::Operand;
use crate::error::ScenarioError;
use crate::file::{Authors, Log, ScenarioFile};
use crate::load::Point;
use crate::protocol::TargetProtocol;
use crate::schema::paths;
use crate::target::ExternalServer;

/// Prefix of room names on a server that one job uses alone.
const ROOM_PREFIX: &str = "room";

/// A plan for each point. If the command line changed the scenario, claims may name runs that do
/// not exist (they are then not decidable); otherwise that is an error.
pub(crate) fn build(points: &[(Point, ScenarioFile)], check_operands: bool) -> Result<Vec<Plan>, ScenarioError> {
    let mut plans: Vec<Plan> = Vec::new();
    for (point, file) in points {
        let point: Vec<_> = point.iter().map(|(path, value)| (path.clone(), shown(value))).collect();
        let label = point.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>().join(", ");
        let posts_before = plans.iter().map(Plan::posts_total).sum();
        let plan = plan(file, posts_before).map_err(|error| error.at_point(&label))?;
        plans.push(Plan { label, point, ..plan });
    }
    let first = &points[0].1;
    claims_have_one_right_side(first)?;
    if check_operands {
        let labels: Vec<_> = plans.iter().map(|plan| plan.label.as_str()).collect();
        operands_name_runs(first, &labels)?;
    }
    Ok(plans)
}

fn shown(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plan(file: &ScenarioFile, posts_before: u64) -> Result<Plan, ScenarioError> {
    let authors = authors(file)?;
    phases(file)?;
    cores(file)?;
    outages::check(file)?;
    let draw = Draw {
        arrivals: file.posts.arrivals,
        burst_size: file.posts.burst_size,
        authors,
        per_s: file.posts.per_client_per_s,
        posting: file.phases.posting(),
        seed: file.seed,
        posts_max: file.limits.posts_max.saturating_sub(posts_before),
    };
    let schedule = Schedule::draw(&draw).map_err(|posts| {
        let posts = posts_before + posts;
        let why =
            format!("at least {posts} posts are planned; raise it, or lower posts.per_client_per_s or phases.window_s");
        ScenarioError::conflict("limits.posts_max", file.limits.posts_max, why)
    })?;
    let payload_bytes = file.posts.payload_bytes as usize;
    let drawn = Drawn { schedule, texts: Arc::new(Texts::new(file.seed, payload_bytes)), posts_by_room: Vec::new() };
    let is_run = |transport: &Transport| *transport == Transport::BASELINE || file.transports.contains(transport);
    let plan = Plan {
        label: String::new(),
        point: Vec::new(),
        settings: Arc::new(settings(file)),
        transports: Transport::ALL.into_iter().filter(is_run).collect(),
        external_servers: external_servers(file)?,
        encoding_asked: file.encoding,
        http_client: file.http_client,
        nodes: nodes(file)?,
        log: file.log,
        outages: file.outage.clone(),
        clients: file.clients,
        rooms: file.rooms,
        room_prefix: ROOM_PREFIX.parse().expect("letters are a room name"),
        authors,
        posts_per_author_per_s: file.posts.per_client_per_s,
        payload_bytes,
        phases: file.phases,
        tuning: file.tuning,
        limits: file.limits,
        cores: file.cores.clone(),
        prices: file.prices.clone(),
        seed: file.seed,
        author_receives: true,
        share: Share::ALL,
        slicing: Slicing { count: 1, lead_in: file.phases.warm_up(), window: file.phases.window() },
        draw,
        drawn: Arc::new(drawn),
    };
    drain_outlasts_polls(&plan)?;
    sockets_suffice(&plan)?;
    Ok(plan.counted())
}

/// Every key with its value, for the manifest.
fn settings(file: &ScenarioFile) -> BTreeMap<String, Value> {
    let file = serde_json::to_value(file).expect("a scenario has string keys and finite numbers");
    let of = |path: &str| file.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    let keys =
        paths().into_iter().filter(|(_, node)| !node.is_table() && node.items().is_none_or(|item| !item.is_table()));
    keys.filter_map(|(path, _)| of(&path).map(|value| (path, value))).collect()
}

/// Several servers are one chat only with a log that they share.
fn nodes(file: &ScenarioFile) -> Result<u32, ScenarioError> {
    if file.nodes > 1 && file.log == Log::Memory {
        let why = "servers with messages in their own memory are not one chat; write log = \"redis\"";
        return Err(ScenarioError::conflict("nodes", file.nodes, why));
    }
    if file.nodes > 1 && !file.target.is_empty() {
        let why = "a [[target]] is one server, and would be compared with several; leave it out";
        return Err(ScenarioError::conflict("nodes", file.nodes, why));
    }
    Ok(file.nodes)
}

/// Authors are the first clients: `room = client mod rooms` gives every room the same number of
/// them.
fn authors(file: &ScenarioFile) -> Result<u32, ScenarioError> {
    let (clients, rooms) = (file.clients, file.rooms);
    if rooms > clients {
        let why = format!("there are only {clients} clients, so some rooms would be empty; write at most {clients}");
        return Err(ScenarioError::conflict("rooms", rooms, why));
    }
    let smallest = clients / rooms;
    match file.posts.authors {
        Authors::All => Ok(clients),
        Authors::PerRoom(count) if count <= smallest => Ok(count * rooms),
        Authors::PerRoom(count) => {
            let why = format!("the smallest room has only {smallest} clients; write at most {smallest}, or \"all\"");
            Err(ScenarioError::conflict("posts.authors", count, why))
        }
    }
}

fn phases(file: &ScenarioFile) -> Result<(), ScenarioError> {
    let phases = &file.phases;
    let run = phases.ramp_up() + phases.settle() + phases.posting() + phases.drain_max();
    if run > RUN_MAX {
        let (run, max) = (run.as_secs_f64(), RUN_MAX.as_secs());
        let why = format!("all phases together take up to {run} s; a run may take {max} s: shorten one");
        return Err(ScenarioError::conflict("phases.window_s", phases.window_s, why));
    }
    if phases.drain_idle() > phases.drain_max() {
        let why = format!("phases.drain_max_s is {}: the drain would end earlier", phases.drain_max_s);
        return Err(ScenarioError::conflict("phases.drain_idle_s", phases.drain_idle_s, why));
    }
    Ok(())
}

fn cores(file: &ScenarioFile) -> Result<(), ScenarioError> {
    let shared = file
        .cores
        .iter()
        .find_map(|cores| Some((cores, cores.server.iter().find(|core| cores.generator.contains(core))?)));
    let Some((cores, core)) = shared else { return Ok(()) };
    let why =
        format!("the server has core {core} too: give server and generator different cores, or leave [cores] out");
    Err(ScenarioError::conflict("cores.generator", format!("{:?}", cores.generator), why))
}

/// `drain_idle_s` must exceed the poll interval, so that an idle drain means that no message is
/// left.
fn drain_outlasts_polls(plan: &Plan) -> Result<(), ScenarioError> {
    let interval = plan.subjects().iter().filter_map(|subject| plan.tuning.of(subject.transport).interval).max();
    match interval.filter(|interval| plan.phases.drain_idle() <= *interval) {
        None => Ok(()),
        Some(interval) => {
            let why = format!("clients poll only every {} s: write more than that", interval.as_secs_f64());
            Err(ScenarioError::conflict("phases.drain_idle_s", plan.phases.drain_idle_s, why))
        }
    }
}

fn sockets_suffice(plan: &Plan) -> Result<(), ScenarioError> {
    for transport in plan.subjects().into_iter().map(|subject| subject.transport) {
        let (sockets, max) = (plan.sockets(transport), plan.limits.connections_max);
        if sockets > max {
            let why =
                format!("{transport} needs {sockets} sockets for {} clients; raise it or lower clients", plan.clients);
            return Err(ScenarioError::conflict("limits.connections_max", max, why));
        }
    }
    Ok(())
}

fn external_servers(file: &ScenarioFile) -> Result<Vec<Arc<ExternalServer>>, ScenarioError> {
    let mut names = BTreeSet::from([BUILTIN_SERVER]);
    let mut servers = Vec::new();
    for (at, server) in file.target.iter().enumerate() {
        let conflict = |key: &str, found: &dyn Display, why: String| {
            Err(ScenarioError::conflict(&format!("target[{}].{key}", at + 1), found, why))
        };
        if !names.insert(&server.name) {
            return conflict("name", &server.name, "another target has this name: choose a different one".into());
        }
        let command = &server.command.0;
        if !command.iter().any(|word| word.contains("{port}")) {
            let why = "it does not contain {port}: the server has to listen on the port that it is given";
            return conflict("command", &command.join(" "), why.into());
        }
        if server.prepare.is_some() && server.needs.is_none() {
            return conflict("prepare", &"without needs", "it makes what needs names: write needs too".into());
        }
        if let Some(protocol) = &server.protocol
            && let Some((key, found, why)) = of_protocol(file, protocol, &server.transports)
        {
            return conflict(&format!("protocol{key}"), &found, why);
        }
        let transports = Transport::ALL.into_iter().filter(|t| server.transports.contains(t)).collect();
        servers.push(Arc::new(ExternalServer { transports, ..server.clone() }));
    }
    Ok(servers)
}

/// A setting that contradicts a protocol, or the protocol itself: key, value and reason.
fn of_protocol(
    file: &ScenarioFile,
    protocol: &TargetProtocol,
    transports: &[Transport],
) -> Option<(String, String, String)> {
    if let Some(other) = transports.iter().find(|transport| !TargetProtocol::TRANSPORTS.contains(transport)) {
        return Some((String::new(), "there".to_owned(), format!("it cannot describe {other}: leave out one of them")));
    }
    if let Some((key, found, why)) = protocol.problem(transports) {
        return Some((format!(".{key}"), found, why));
    }
    let (clients, rooms, bytes) = (file.clients, file.rooms, file.posts.payload_bytes as usize);
    if !protocol.has_rooms() && rooms != 1 && rooms != clients {
        let why = format!(
            "such a server has one room for all clients, or one for each: write rooms = 1 or rooms = {clients}"
        );
        return Some((String::new(), "without {room}".to_owned(), why));
    }
    if file.encoding != Encoding::Json {
        let why = format!("such texts are sent as they are: leave out encoding = \"{}\"", file.encoding.name());
        return Some((String::new(), "there".to_owned(), why));
    }
    (bytes < MARKED_BYTES_MIN).then(|| {
        let why = format!("each text begins with a marker: write posts.payload_bytes = {MARKED_BYTES_MIN} or more");
        (String::new(), "there".to_owned(), why)
    })
}

/// A condition has one right side.
fn claims_have_one_right_side(file: &ScenarioFile) -> Result<(), ScenarioError> {
    for (number, claim) in file.claim.iter().enumerate() {
        for (at, condition) in claim.condition.iter().enumerate() {
            let key = |name: &str| format!("claim[{}].condition[{}]{name}", number + 1, at + 1);
            let (key, found, why) = match (&condition.right, condition.value, condition.factor) {
                (Some(_), None, _) | (None, Some(_), None) => continue,
                (None, None, _) => {
                    (key(""), "without a right side".to_owned(), "it needs a right side: write right or value")
                }
                (Some(_), Some(value), _) => (key(".value"), value.to_string(), "right is there too: leave one out"),
                (None, Some(_), Some(factor)) => {
                    (key(".factor"), factor.to_string(), "it applies to right: write the product as value")
                }
            };
            return Err(ScenarioError::conflict(&key, found, why));
        }
    }
    Ok(())
}

/// Checks that every operand names runs of the job.
fn operands_name_runs(file: &ScenarioFile, labels: &[&str]) -> Result<(), ScenarioError> {
    let conditions = file.claim.iter().enumerate().flat_map(|(number, claim)| {
        let numbered = claim.condition.iter().enumerate();
        numbered.map(move |(at, condition)| {
            let key = format!("claim[{}].condition[{}]", number + 1, at + 1);
            (key, &condition.left, condition.right.as_ref())
        })
    });
    let published = file.published.iter().enumerate();
    let published = published.map(|(at, row)| (format!("published[{}]", at + 1), &row.left, row.right.as_ref()));
    for (key, left, right) in conditions.chain(published) {
        operand_names_a_run(file, labels, &format!("{key}.left"), left)?;
        right.map_or(Ok(()), |right| operand_names_a_run(file, labels, &format!("{key}.right"), right))?;
    }
    Ok(())
}

fn operand_names_a_run(
    file: &ScenarioFile,
    labels: &[&str],
    key: &str,
    operand: &Operand,
) -> Result<(), ScenarioError> {
    let transport = operand.transport;
    if let Some(name) = &operand.target {
        let named = file.target.iter().find(|target| target.name == *name);
        if !named.is_some_and(|target| target.transports.contains(&transport)) {
            let why = format!("no [[target]] of this name runs {transport}: correct it, or add one");
            return Err(ScenarioError::conflict(&format!("{key}.target"), name, why));
        }
    } else if transport != Transport::BASELINE && !file.transports.contains(&transport) {
        return Err(ScenarioError::conflict(
            &format!("{key}.transport"),
            transport,
            "transports leaves it out: add it there",
        ));
    }
    if labels.iter().filter(|label| operand.is_at(label)).count() != 1 {
        let found = operand.at.as_deref().unwrap_or("missing");
        let why = format!("it has to name one point of the sweep, of {}", labels.join(" | "));
        return Err(ScenarioError::conflict(&format!("{key}.at"), found, why));
    }
    Ok(())
}
