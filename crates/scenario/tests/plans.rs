//! Properties of every plan, checked with random scenarios.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use scenario::{Job, Override, Plan, Share, Slicing, parse};
use wire::Transport;

const SMALL: &str = "
name = 'plans'
question = 'Do they hold?'
clients = 30
rooms = 5
[posts]
per_client_per_s = 5
[phases]
window_s = 2
";

fn job(text: &str, overrides: &[String]) -> Job {
    let overrides: Vec<Override> = overrides.iter().map(|set| set.parse().unwrap()).collect();
    parse("plans.toml", text, &overrides).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(overrides: &[&str]) -> Plan {
    let overrides: Vec<_> = overrides.iter().map(ToString::to_string).collect();
    job(SMALL, &overrides).plans.remove(0)
}

/// All clients with the times at which their posts are due.
fn schedules(plan: &Plan) -> Vec<(u32, Vec<Duration>)> {
    (0..plan.clients).map(|client| (client, (1..).map_while(|ordinal| plan.due(client, ordinal)).collect())).collect()
}

prop_compose! {
    fn any_overrides()(
        clients in 1..80_u32,
        rooms_share in 0.0..1.0,
        authors_share in 0.0..1.3,
        per_s in 0.0..40.0,
        arrivals in prop::sample::select(vec!["poisson", "uniform", "staggered", "burst"]),
        burst in 1..20_u32,
        payload in 1..600_u32,
        (ramp, warm, window) in (0.0..3.0, 0.0..3.0, 0.1..4.0),
        seed in 0..1_u64 << 53,
    ) -> Vec<String> {
        let rooms = 1 + (f64::from(clients - 1) * rooms_share) as u32;
        let members = clients / rooms;
        let authors = 1 + (f64::from(members) * authors_share) as u32;
        let authors = if authors > members { "all".to_owned() } else { authors.to_string() };
        vec![
            format!("clients={clients}"),
            format!("rooms={rooms}"),
            format!("posts.authors={authors}"),
            format!("posts.per_client_per_s={per_s}"),
            format!("posts.arrivals={arrivals}"),
            format!("posts.burst_size={burst}"),
            format!("posts.payload_bytes={payload}"),
            format!("phases.ramp_up_s={ramp}"),
            format!("phases.warm_up_s={warm}"),
            format!("phases.window_s={window}"),
            format!("seed={seed}"),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_seed_gives_the_same_job(overrides in any_overrides(), round in any::<u32>()) {
        let (once, again) = (job(SMALL, &overrides), job(SMALL, &overrides));
        prop_assert_eq!(&once, &again);
        prop_assert_eq!(once.order(round, 3, 9), again.order(round, 3, 9));
    }

    #[test]
    fn workers_have_disjoint_clients_that_add_up_to_the_plan(
        overrides in any_overrides(),
        generators in 1..9_u32,
        workers in 1..9_u32,
    ) {
        let plan = job(SMALL, &overrides).plans.remove(0);
        let mut all = Vec::new();
        for index in 0..generators {
            let mut plan = plan.clone();
            plan.share = Share { index, of: generators };
            let mut own = Vec::new();
            for worker in 0..workers {
                let clients: Vec<_> = plan.clients_of_worker(worker, workers).collect();
                prop_assert!(clients.is_sorted());
                let places = clients.iter().map(|client| plan.place_of(*client));
                let expected = (0..clients.len() as u32).map(|nth| nth * workers + worker);
                prop_assert!(places.eq(expected), "a worker finds its clients by their place");
                own.extend(clients);
            }
            prop_assert_eq!(own.len() as u32, plan.own_clients());
            prop_assert!(own.iter().all(|client| plan.room_of(*client) % generators == index), "whole rooms");
            all.extend(own);
        }
        prop_assert_eq!(all.len() as u32, plan.clients);
        prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (0..plan.clients).collect());
    }

    #[test]
    fn rooms_have_disjoint_clients_and_differ_in_size_by_at_most_one(overrides in any_overrides()) {
        let plan = job(SMALL, &overrides).plans.remove(0);
        let mut seen = BTreeSet::new();
        for room in 0..plan.rooms {
            let clients: Vec<_> = plan.clients_in(room).collect();
            prop_assert_eq!(clients.len() as u32, plan.room_size(room));
            prop_assert!(plan.room_size(room).abs_diff(plan.clients / plan.rooms) <= 1);
            for client in clients {
                prop_assert_eq!(plan.room_of(client), room);
                prop_assert!(seen.insert(client));
            }
        }
        prop_assert_eq!(seen.len() as u32, plan.clients);
    }

    #[test]
    fn scheduled_times_rise_end_with_the_plan_and_add_up(overrides in any_overrides()) {
        let plan = job(SMALL, &overrides).plans.remove(0);
        let end = plan.phases.posting();
        let (mut total, mut in_window, mut deliveries) = (0, 0, 0);
        let mut by_room = vec![0; plan.rooms as usize];
        for (client, dues) in schedules(&plan) {
            prop_assert_eq!(dues.len() as u64, plan.posts_of(client));
            prop_assert!(plan.due(client, 0).is_none() && plan.due(client, plan.posts_of(client) + 1).is_none());
            prop_assert!(plan.due(client, u64::MAX).is_none());
            prop_assert!(dues.is_sorted() && dues.last().is_none_or(|&last| last < end));
            prop_assert!(client < plan.authors || dues.is_empty());
            let counts = dues.iter().filter(|&&due| plan.slicing.window_of(due.as_micros() as u32).is_some()).count() as u64;
            total += dues.len() as u64;
            by_room[plan.room_of(client) as usize] += dues.len() as u64;
            in_window += counts;
            deliveries += counts * u64::from(plan.room_size(plan.room_of(client)));
        }
        prop_assert_eq!(total, plan.posts_total());
        prop_assert_eq!(by_room, (0..plan.rooms).map(|room| plan.posts_in_room(room)).collect::<Vec<_>>());
        prop_assert_eq!((in_window, deliveries), (plan.posts_in_window(), plan.deliveries_in_window()));
        prop_assert!(plan.due(plan.clients, 1).is_none() && plan.due(u32::MAX, 1).is_none());
    }

    #[test]
    fn rates_are_as_configured(overrides in any_overrides()) {
        let plan = job(SMALL, &overrides).plans.remove(0);
        let end_s = plan.phases.posting().as_secs_f64();
        let expected = f64::from(plan.authors) * plan.posts_per_author_per_s * end_s;
        let found = plan.posts_total() as f64;
        // Poisson: five standard errors. Others: each author is off by at most one post, or one
        // burst.
        let authors = f64::from(plan.authors);
        let slack = match plan.settings["posts.arrivals"].as_str().unwrap() {
            "poisson" => 5.0 * expected.sqrt() + 5.0,
            "burst" => authors * plan.settings["posts.burst_size"].as_f64().unwrap() + 1.0,
            _ => authors + 1.0,
        };
        prop_assert!((found - expected).abs() <= slack, "{found} posts, expected {expected} ± {slack}");
    }

    #[test]
    fn the_ramp_is_even_and_polls_start_inside_their_interval(overrides in any_overrides()) {
        let plan = job(SMALL, &overrides).plans.remove(0);
        let times: Vec<_> = (0..plan.clients).map(|client| plan.connect_at(client)).collect();
        prop_assert!(times.is_sorted() && times[0] == Duration::ZERO);
        prop_assert!(times.iter().all(|&at| at < plan.phases.ramp_up() || plan.phases.ramp_up().is_zero()));
        for client in 0..plan.clients {
            prop_assert!(Some(plan.poll_phase(client)) < plan.tuning.of(Transport::Polling).interval);
        }
    }

    #[test]
    fn texts_are_ascii_and_have_the_configured_length(overrides in any_overrides(), author in any::<u32>(), ordinal in any::<u64>()) {
        let plan = job(SMALL, &overrides).plans.remove(0);
        let text = plan.text(author, ordinal);
        prop_assert_eq!(text.len(), plan.payload_bytes);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')));
        prop_assert_eq!(text, plan.text(author, ordinal));
    }

    #[test]
    fn every_block_has_every_subject_once_in_an_order_of_its_own(overrides in any_overrides(), round in any::<u32>(), block in any::<u32>()) {
        let job = job(&format!("{SMALL}\n[sweep]\n'tuning.websocket.heartbeat_s' = [1, 2]"), &overrides);
        let subjects: Vec<_> = job.subjects().into_iter().map(|one| (one.plan, one.subject.transport)).collect();
        let all: Vec<_> = (0..2).flat_map(|plan| Transport::ALL.map(|t| (plan, t))).collect();
        prop_assert_eq!(&subjects, &all);
        let mut order = job.order(round, block, all.len());
        prop_assert_ne!(&order, &job.order(round ^ 1, block, all.len()));
        prop_assert_ne!(&order, &job.order(round, block ^ 1, all.len()));
        order.sort_unstable();
        prop_assert_eq!(order, (0..all.len()).collect::<Vec<_>>());
    }

    #[test]
    fn slices_divide_the_schedule(overrides in any_overrides(), count in 1..40_u32, round in 1..9_u32) {
        let base = job(SMALL, &overrides).plans.remove(0);
        let slicing = Slicing { count, ..base.short_slice(Transport::Sse) };
        let plan = base.sliced(slicing, round);
        prop_assert_eq!(&plan, &base.sliced(slicing, round));
        prop_assert_eq!(plan.fingerprint(), base.sliced(slicing, round).fingerprint());
        let loads = plan.scheduled_by_slice();
        prop_assert_eq!(loads.len(), count as usize);
        prop_assert_eq!(loads.iter().map(|load| load.posts).sum::<u64>(), plan.posts_total());
        prop_assert!(loads.iter().all(|load| load.posts_in_window <= load.posts));
        for (_, dues) in schedules(&plan) {
            for due in dues {
                let due_us = due.as_micros() as u32;
                let slice = plan.slicing.slice_of(due_us);
                prop_assert!(slice < count);
                let within = due - plan.slicing.slice() * slice;
                prop_assert_eq!(plan.slicing.window_of(due_us), (within >= plan.slicing.lead_in).then_some(slice));
            }
        }
    }
}

#[test]
fn another_seed_is_another_plan() {
    let (one, two) = (plan(&["seed=1"]), plan(&["seed=2"]));
    assert_ne!(schedules(&one), schedules(&two));
    assert_ne!(one.text(0, 1), two.text(0, 1));
    assert_ne!(one.poll_phase(0), two.poll_phase(0));
}

#[test]
fn a_recorded_plan_never_changes() {
    let plan = plan(&["seed=7", "posts.payload_bytes=16"]);
    let first: Vec<_> = (1..=3).map(|ordinal| plan.due(3, ordinal).unwrap().as_micros()).collect();
    assert_eq!((plan.posts_total(), plan.deliveries_in_window()), (593, 1710));
    assert_eq!(first, [181_003, 427_780, 708_834]);
    assert_eq!(plan.text(3, 1), "KA6ujD5xSerdbgDh");
    assert_eq!(plan.poll_phase(3).as_micros(), 728_208);
}

#[test]
fn the_schedule_of_an_author_does_not_depend_on_the_number_of_clients() {
    let (small, large) = (plan(&["clients=30"]), plan(&["clients=60"]));
    assert_eq!(schedules(&small)[..], schedules(&large)[..30]);
}

#[test]
fn staggered_authors_are_evenly_spread_over_one_gap() {
    let plan = plan(&["posts.arrivals=staggered", "posts.per_client_per_s=1"]);
    let firsts: Vec<_> = (0..30).map(|client| plan.due(client, 1).unwrap().as_micros()).collect();
    assert!(firsts.windows(2).all(|pair| (33_333..=33_334).contains(&(pair[1] - pair[0]))), "{firsts:?}");
    assert_eq!(plan.due(29, 2).unwrap() - plan.due(29, 1).unwrap(), Duration::from_secs(1));
}

#[test]
fn bursts_are_due_at_one_instant_and_keep_the_rate() {
    let plan = plan(&["posts.arrivals=burst", "posts.burst_size=4", "posts.per_client_per_s=8"]);
    let dues = &schedules(&plan)[0].1;
    assert_eq!(dues.len() % 4, 0);
    assert!(dues.chunks(4).all(|burst| burst.iter().all(|due| due == &burst[0])));
    assert_eq!((dues[4] - dues[0]).as_millis(), 500);
}

#[test]
fn texts_of_different_posts_differ() {
    let plan = plan(&["posts.payload_bytes=16"]);
    let texts: BTreeSet<_> =
        (0..30).flat_map(|author| (1..=10).map(move |k| (author, k))).map(|(a, k)| plan.text(a, k)).collect();
    assert!(texts.len() >= 298, "65,536 offsets may give a few equal texts: {}", texts.len());
}

#[test]
fn sockets_include_the_second_connection_of_clients() {
    let plan = plan(&["posts.authors=2"]);
    assert_eq!(plan.authors, 10);
    let sockets = Transport::ALL.map(|t| plan.sockets(t));
    assert_eq!(sockets, [30, 30, 40, 40, 40, 30, 60, 30, 90, 30]);
}

#[test]
fn the_baseline_is_always_measured_and_encodings_fall_back() {
    use wire::Encoding::{Binary, Json};
    let plan = plan(&["transports=websocket,sse", "encoding=binary"]);
    assert_eq!(plan.transports, [Transport::Tcp, Transport::Sse, Transport::Websocket]);
    assert_eq!(
        Transport::ALL.map(|t| plan.encoding(t)),
        [Binary, Json, Json, Json, Json, Binary, Binary, Binary, Binary, Json]
    );
}

#[test]
fn the_estimate_adds_up_phases_rounds_and_poll_intervals() {
    let set = ["transports=polling", "slices=1", "budget_s=52", "tuning.polling.interval_ms=500"].map(String::from);
    let job = job(SMALL, &set);
    // 2 s ramp-up, 1 s settle, 2 s warm-up, 2 s window, 1 s besides; 1 s (two intervals) more for
    // polling.
    assert_eq!((job.duration_estimate(), job.rounds_of_one_slice()), (Duration::from_secs(3 * (8 + 9)), 3));
}

#[test]
fn every_round_draws_its_own_schedule_and_polling_leads_in_for_an_interval() {
    let plan = plan(&["tuning.polling.interval_ms=250", "posts.per_client_per_s=2"]);
    let slicing = Slicing { count: 20, ..plan.short_slice(Transport::Sse) };
    // Five posts of 30 clients take a twelfth of a second.
    assert_eq!((slicing.lead_in.as_millis(), slicing.window.as_millis()), (10, 83));
    assert_ne!(plan.sliced(slicing, 1).fingerprint(), plan.sliced(slicing, 2).fingerprint());
    let polling = plan.short_slice(Transport::Polling);
    assert_eq!((polling.lead_in.as_millis(), polling.window.as_millis()), (250, 250));
    assert_eq!(plan.sliced(slicing, 1).phases.ramp_up().as_millis(), 6);
}

#[test]
fn the_window_of_connections_that_end_contains_several() {
    let window_ms = |bytes: u64| {
        let limit = format!("tuning.sse.bytes_max={bytes}");
        plan(&[&limit, "clients=30", "rooms=3", "posts.per_client_per_s=2", "posts.payload_bytes=140"])
            .short_slice(Transport::Sse)
            .window
            .as_millis()
    };
    // 20 messages of 200 bytes per second: 2 kB in half a second. Connections of 2 s are too long.
    assert_eq!((window_ms(2_000), window_ms(8_000)), (2_000, 83));
    assert_eq!(window_ms(1_024), 1_024);
}

#[test]
fn lock_step_has_one_room_one_author_and_the_posts_that_were_asked_for() {
    let plan = plan(&[]).lock_step(36, 1);
    assert_eq!((plan.clients, plan.rooms, plan.authors), (100, 1, 1));
    assert_eq!((plan.posts_total(), plan.posts_of(0)), (36, 36));
}
