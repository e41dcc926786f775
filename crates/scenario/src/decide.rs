//! From what was asked to what will happen. Pure: the same scenario gives the same job to the last post.

use std::sync::Arc;
use std::time::Duration;

use toml::Value;
use wire::Transport;

use crate::error::ScenarioError;
use crate::job::Job;
use crate::keys::Keys;
use crate::plan::{Drawn, Plan};
use crate::schedule::{Draw, Schedule};
use crate::settings::{Arrivals, Cores, Limits, Phases, Prices, Tuning};
use crate::tables::check_claims;
use crate::targets::peers;
use crate::texts::Texts;
use crate::words::{Authors, Scenario};
use crate::{POINTS_MAX, RUN_MAX, SEATS_MAX};

/// Where a server is used by one job alone, its rooms need no name of their own.
const ROOM_PREFIX: &str = "room";

/// Decides a scenario, wherever it came from: a plan for each point of its sweep.
pub fn decide(scenario: &Scenario) -> Result<Job, ScenarioError> {
    let keys = Keys::from_scenario(scenario)?.checked()?;
    check_claims(scenario)?;
    let mut plans: Vec<Plan> = Vec::new();
    for point in points(scenario)? {
        let mut keys = keys.clone();
        keys.0.extend(point.iter().map(|(path, value)| (path.clone(), value.clone())));
        let point: Vec<_> = point.into_iter().map(|(path, value)| (path, shown(&value))).collect();
        let label = point.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>().join(", ");
        let posts_before = plans.iter().map(Plan::posts_total).sum();
        // Checked again, for the numbers of a sweep in the type of their field.
        let here = keys.checked()?;
        let plan = plan(&here.scenario(), posts_before).map_err(|error| error.at_point(&label))?;
        plans.push(Plan { label, point, settings: Arc::new(here.settings()), ..plan });
    }
    Ok(Job {
        name: scenario.name.clone(),
        question: scenario.question.clone(),
        seed: scenario.seed,
        repetitions: scenario.repetitions,
        file: String::new(),
        text: toml::to_string(scenario).expect("what was read as TOML can be written as TOML"),
        overrides: Vec::new(),
        plans,
    })
}

/// Every combination of the swept values; the last key, in alphabetical order, changes fastest.
fn points(scenario: &Scenario) -> Result<Vec<Vec<(String, Value)>>, ScenarioError> {
    let mut points = vec![Vec::new()];
    for (path, values) in &scenario.sweep {
        let count = points.len().saturating_mul(values.len());
        if count > POINTS_MAX {
            let why = format!("the sweep then has {count} points; it may have {POINTS_MAX}: leave some out");
            return Err(ScenarioError::conflict(&format!("sweep.{path}"), format!("{} values", values.len()), why));
        }
        let longer = |point: &Vec<_>, value: &Value| {
            let mut point = point.clone();
            point.push((path.clone(), value.clone()));
            point
        };
        points = points.iter().flat_map(|point| values.iter().map(move |value| longer(point, value))).collect();
    }
    Ok(points)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plan(scenario: &Scenario, posts_before: u64) -> Result<Plan, ScenarioError> {
    let seats = seats(scenario)?;
    let authors = authors(scenario, seats)?;
    let phases = phases(scenario)?;
    let limits = Limits::from_words(&scenario.limits);
    let posts = &scenario.posts;
    let arrivals = Arrivals::from_words(posts);
    let draw = Draw {
        arrivals,
        authors,
        per_s: posts.per_client_per_s,
        posting: phases.posting(),
        seed: scenario.seed,
        posts_max: limits.posts_max.saturating_sub(posts_before),
    };
    let schedule = Schedule::draw(&draw).map_err(|posts| {
        let why = format!(
            "at least {} posts are planned; raise it, or lower posts.per_client_per_s or phases.window_s",
            posts_before + posts
        );
        ScenarioError::conflict("limits.posts_max", limits.posts_max, why)
    })?;
    let texts = Texts::new(scenario.seed, posts.payload_bytes as usize);
    let plan = Plan {
        label: String::new(),
        point: Vec::new(),
        settings: Arc::default(),
        transports: transports(scenario),
        peers: peers(scenario, seats)?,
        encoding_asked: scenario.encoding,
        client: scenario.client,
        clients: scenario.clients,
        rooms_per_client: scenario.rooms_per_client,
        seats,
        rooms: scenario.rooms,
        room_prefix: ROOM_PREFIX.parse().expect("letters are a room name"),
        authors,
        posts_per_author_per_s: posts.per_client_per_s,
        arrivals,
        payload_bytes: posts.payload_bytes as usize,
        phases,
        tuning: Tuning::from_words(&scenario.tuning),
        limits,
        cores: cores(scenario)?,
        prices: scenario.prices.as_ref().map(Prices::from_words),
        seed: scenario.seed,
        drawn: Arc::new(Drawn {
            schedule,
            texts,
            posts_by_room: Vec::new(),
            posts_in_window: 0,
            deliveries_in_window: 0,
        }),
    };
    check_polling(&plan)?;
    check_sockets(&plan)?;
    Ok(counted(plan))
}

fn transports(scenario: &Scenario) -> Vec<Transport> {
    let asked = |t: &Transport| *t == Transport::Tcp || scenario.transports.contains(t);
    Transport::ALL.into_iter().filter(asked).collect()
}

fn seats(scenario: &Scenario) -> Result<u32, ScenarioError> {
    let (clients, rooms, each) = (scenario.clients, scenario.rooms, scenario.rooms_per_client);
    let seats = u64::from(clients) * u64::from(each);
    let seats = u32::try_from(seats).ok().filter(|&seats| seats <= SEATS_MAX).ok_or_else(|| {
        let why = format!("with rooms_per_client = {each} that makes {seats} seats; a plan may have {SEATS_MAX}");
        ScenarioError::conflict("clients", clients, why)
    })?;
    if each > rooms {
        let why = format!("there are only {rooms} rooms; raise rooms or lower it");
        return Err(ScenarioError::conflict("rooms_per_client", each, why));
    }
    if rooms > seats {
        let why =
            format!("clients × rooms_per_client is only {seats}, so some rooms would be empty; write at most {seats}");
        return Err(ScenarioError::conflict("rooms", rooms, why));
    }
    Ok(seats)
}

/// Authors are the first seats: `room = seat mod rooms` gives every room the same number of them.
fn authors(scenario: &Scenario, seats: u32) -> Result<u32, ScenarioError> {
    let members = seats / scenario.rooms;
    match scenario.posts.authors {
        Authors::All => Ok(seats),
        Authors::PerRoom(count) if count <= members => Ok(count * scenario.rooms),
        Authors::PerRoom(count) => {
            let why = format!("the smallest room holds only {members}; write at most {members}, or \"all\"");
            Err(ScenarioError::conflict("posts.authors", count, why))
        }
    }
}

fn phases(scenario: &Scenario) -> Result<Phases, ScenarioError> {
    let phases = Phases::from_words(&scenario.phases);
    let run = phases.ramp_up + phases.settle + phases.posting() + phases.drain_max;
    if run > RUN_MAX {
        let why = format!(
            "all phases together take up to {} s; a run may take {} s: shorten one",
            run.as_secs_f64(),
            RUN_MAX.as_secs()
        );
        return Err(ScenarioError::conflict("phases.window_s", scenario.phases.window_s, why));
    }
    if phases.drain_quiet > phases.drain_max {
        let why = format!("phases.drain_max_s is {}: the drain would end before", scenario.phases.drain_max_s);
        return Err(ScenarioError::conflict("phases.drain_quiet_s", scenario.phases.drain_quiet_s, why));
    }
    Ok(phases)
}

/// Silence must mean that nothing is left, not that nobody has asked yet.
fn check_polling(plan: &Plan) -> Result<(), ScenarioError> {
    let gap = plan.tuning.polling.gap_max();
    if plan.lanes().iter().any(|lane| lane.transport == Transport::Polling) && plan.phases.drain_quiet <= gap {
        let why = format!("polling asks only every {} s: write more than that", gap.as_secs_f64());
        return Err(ScenarioError::conflict("phases.drain_quiet_s", plan.phases.drain_quiet.as_secs_f64(), why));
    }
    Ok(())
}

fn check_sockets(plan: &Plan) -> Result<(), ScenarioError> {
    for transport in plan.lanes().into_iter().map(|lane| lane.transport) {
        let (sockets, max) = (plan.sockets(transport), plan.limits.connections_max);
        if sockets > max {
            let why =
                format!("{transport} needs {sockets} sockets for {} seats; raise it or lower clients", plan.seats);
            return Err(ScenarioError::conflict("limits.connections_max", max, why));
        }
    }
    Ok(())
}

fn cores(scenario: &Scenario) -> Result<Cores, ScenarioError> {
    let Some(words) = &scenario.cores else {
        return Ok(Cores::Auto);
    };
    if let Some(core) = words.server.iter().find(|core| words.generator.contains(core)) {
        let why = format!("the server has core {core} too: give each its own, or leave [cores] out");
        return Err(ScenarioError::conflict("cores.generator", format!("{:?}", words.generator), why));
    }
    Ok(Cores::Fixed { server: words.server.clone(), generator: words.generator.clone() })
}

/// The plan with its posts counted.
fn counted(mut plan: Plan) -> Plan {
    let mut by_room = vec![0; plan.rooms as usize];
    let (mut posts, mut deliveries) = (0, 0);
    for author in 0..plan.authors {
        let room = plan.room_of(author);
        let dues = plan.drawn.schedule.of(author);
        by_room[room as usize] += dues.len() as u64;
        let counts = dues.iter().filter(|&&us| plan.in_window(Duration::from_micros(us.into()))).count() as u64;
        posts += counts;
        deliveries += counts * u64::from(plan.members(room));
    }
    let drawn = Arc::get_mut(&mut plan.drawn).expect("nobody else has it yet");
    (drawn.posts_by_room, drawn.posts_in_window, drawn.deliveries_in_window) = (by_room, posts, deliveries);
    plan
}
