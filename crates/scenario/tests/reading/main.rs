//! Scenario files and overrides: the plans that they give, and their error messages.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod nodes;

use std::path::Path;

use scenario::{Cores, Job, LoadedScenario, Override, ScenarioError, load, parse, schema};

const VALID: &str = "name = 'x'
question = 'What?'
clients = 10
rooms = 2
[posts]
per_client_per_s = 1
";

fn read(text: &str, sets: &[&str]) -> Result<Job, ScenarioError> {
    let overrides: Vec<Override> = sets.iter().map(|set| set.parse().unwrap()).collect();
    parse("f.toml", text, &overrides)
}

fn error(text: &str, sets: &[&str]) -> String {
    read(text, sets).unwrap_err().to_string()
}

/// The error of the valid file with these lines at its end.
fn with(lines: &str) -> String {
    error(&format!("{VALID}{lines}"), &[])
}

#[test]
fn the_shortest_file_gets_every_default() {
    let job = read(VALID, &[]).unwrap();
    let plan = &job.plans[0];
    assert_eq!((job.seed, job.budget.as_secs(), job.plans.len(), plan.label.as_str()), (1, 75, 1, ""));
    assert_eq!((plan.clients, plan.payload_bytes, plan.cores.clone(), plan.prices.clone()), (10, 120, None, None));
    assert_eq!(plan.transports.len(), wire::Transport::ALL.len());
    assert_eq!((job.text.as_str(), job.file.as_str()), (VALID, "f.toml"));
}

#[test]
fn unknown_keys_are_refused_with_the_known_ones() {
    assert_eq!(
        with("colour = 'red'"),
        "f.toml:7: there is no key posts.colour; [posts] has per_client_per_s, authors, arrivals, burst_size, payload_bytes"
    );
    assert_eq!(
        with("payload_byte = 3"),
        "f.toml:7: there is no key posts.payload_byte; did you mean posts.payload_bytes?"
    );
    assert_eq!(with("[polling]\ninterval_ms = 3"), "f.toml:7: there is no key polling; did you mean tuning.polling?");
    assert_eq!(
        with("[tuning.sse]\nhold_ms = 3"),
        "f.toml:8: there is no key tuning.sse.hold_ms; did you mean tuning.long-polling.hold_ms?"
    );
    assert_eq!(
        with("[expectations]"),
        "f.toml:7: there is no key expectations; there are name, question, transports, encoding, http_client, nodes, log, clients, rooms, \
         budget_s, slices, seed, posts, phases, tuning, limits, cores, prices, target, outage, claim, published, sweep"
    );
    assert_eq!(
        with("[phases]\n'ramp.up' = 3"),
        "f.toml:8: there is no key phases.ramp.up; [phases] has ramp_up_s, settle_s, warm_up_s, window_s, drain_idle_s, \
         drain_max_s"
    );
}

#[test]
fn wrong_values_are_refused_with_the_allowed_ones() {
    let wrong = |line: &str| error(&VALID.replace("clients = 10", line), &[]);
    assert_eq!(wrong("clients = 'many'"), "f.toml:3: clients is \"many\"; it takes a whole number from 1 to 1000000");
    assert_eq!(wrong("clients = 0"), "f.toml:3: clients is 0; it takes a whole number from 1 to 1000000");
    assert_eq!(wrong("clients = 1.5"), "f.toml:3: clients is 1.5; it takes a whole number from 1 to 1000000");
    assert_eq!(
        wrong("clients = 10\ntransports = ['sse', 'carrier-pigeon']"),
        "f.toml:4: transports[2] is \"carrier-pigeon\"; it takes one of \"tcp\", \"polling\", \
         \"long-polling\", \"http-streaming\", \"sse\", \"websocket\", \"socketio-polling\", \"socketio-websocket\", \"socketio\", \"stomp\""
    );
    assert_eq!(
        wrong("clients = 10\nencoding = 'xml'"),
        "f.toml:4: encoding is \"xml\"; it takes one of \"json\", \"binary\""
    );
    assert_eq!(
        with("authors = 'some'"),
        "f.toml:7: posts.authors is \"some\"; it takes \"all\" or a whole number from 1 to 1000000"
    );
    assert_eq!(
        with("arrivals = 'normal'"),
        "f.toml:7: posts.arrivals is \"normal\"; it takes one of \"poisson\", \"uniform\", \"staggered\", \"burst\""
    );
    assert_eq!(with("[phases]\nwindow_s = 0"), "f.toml:8: phases.window_s is 0; it takes a number from 0.1 to 3600");
    assert_eq!(
        with("[tuning.polling]\nkeep_alive = 1"),
        "f.toml:8: tuning.polling.keep_alive is 1; it takes true or false"
    );
    assert_eq!(
        with("[cores]\nserver = [1, 1]\ngenerator = [0]"),
        "f.toml:8: cores.server is [1, 1]; it takes a list of one or more, each a whole number from 0 to 1023, without duplicates"
    );
    assert_eq!(
        wrong("clients = 10\nphases = 3"),
        "f.toml:4: phases is 3; it takes a table of ramp_up_s, settle_s, warm_up_s, window_s, drain_idle_s, drain_max_s"
    );
    assert_eq!(
        wrong("clients = 10\nsweep = 3"),
        "f.toml:4: sweep is 3; it takes a table of keys, each with the list of its values"
    );
    assert_eq!(
        error(&VALID.replace("'x'", "'X Y'"), &[]),
        "f.toml:1: name is \"X Y\"; it takes 1 to 64 characters of a-z 0-9 -"
    );
}

#[test]
fn missing_keys_are_named() {
    assert_eq!(
        error(&VALID.replace("rooms = 2\n", ""), &[]),
        "f.toml: rooms is missing; it takes a whole number from 1 to 1000000"
    );
    assert_eq!(error("", &[]), "f.toml: name is missing; it takes 1 to 64 characters of a-z 0-9 -");
    assert_eq!(
        with("[cores]\nserver = [0]"),
        "f.toml: cores.generator is missing; it takes a list of one or more, each a whole number from 0 to 1023, without duplicates"
    );
    assert_eq!(
        with("[prices]\nvcpu_hour = 0.04\ngb_hour = 0.005\ngb_out = 0.09"),
        "f.toml: prices.currency is missing; it takes a text of 1 to 8 characters on one line"
    );
}

#[test]
fn contradictory_values_are_refused() {
    assert_eq!(
        error(&VALID.replace("rooms = 2", "rooms = 11"), &[]),
        "f.toml:4: rooms is 11, but there are only 10 clients, so some rooms would be empty; write at most 10"
    );
    assert_eq!(
        with("authors = 6"),
        "f.toml:7: posts.authors is 6, but the smallest room has only 5 clients; write at most 5, or \"all\""
    );
    assert_eq!(
        with("[phases]\nwindow_s = 3590"),
        "f.toml:8: phases.window_s is 3590, but all phases together take up to 3625 s; a run may take 3600 s: shorten one"
    );
    assert_eq!(
        with("[phases]\ndrain_idle_s = 5\ndrain_max_s = 4"),
        "f.toml:8: phases.drain_idle_s is 5, but phases.drain_max_s is 4: the drain would end earlier"
    );
    assert_eq!(
        with("[tuning.polling]\ninterval_ms = 2000"),
        "f.toml: phases.drain_idle_s is 2, but clients poll only every 2 s: write more than that"
    );
    assert_eq!(
        with("[cores]\nserver = [0, 1]\ngenerator = [1]"),
        "f.toml:9: cores.generator is [1], but the server has core 1 too: give server and generator different cores, or leave [cores] out"
    );
}

#[test]
fn exceeded_limits_are_named_with_the_needed_value() {
    assert_eq!(
        with("[limits]\nconnections_max = 19"),
        "f.toml:8: limits.connections_max is 19, but long-polling needs 20 sockets for 10 clients; raise it or lower clients"
    );
    assert_eq!(
        with("arrivals = 'staggered'\n[limits]\nposts_max = 119"),
        "f.toml:9: limits.posts_max is 119, but at least 120 posts are planned; raise it, or lower posts.per_client_per_s or \
         phases.window_s"
    );
    assert!(read(&format!("{VALID}arrivals = 'staggered'\n[limits]\nposts_max = 120"), &[]).is_ok());
    assert_eq!(
        with("arrivals = 'staggered'\n[limits]\nposts_max = 150\n[sweep]\n'posts.payload_bytes' = [1, 2]"),
        "f.toml:9: limits.posts_max is 150 (at posts.payload_bytes=2), but at least 240 posts are planned; raise it, or lower \
         posts.per_client_per_s or phases.window_s"
    );
}

#[test]
fn a_sweep_makes_a_plan_for_every_combination() {
    let text = format!("{VALID}[sweep]\nclients = [10, 20]\nposts.payload_bytes = [1, 2]\n'encoding' = ['binary']");
    let job = read(&text, &[]).unwrap();
    let labels: Vec<_> = job.plans.iter().map(|plan| plan.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "clients=10, encoding=binary, posts.payload_bytes=1",
            "clients=10, encoding=binary, posts.payload_bytes=2",
            "clients=20, encoding=binary, posts.payload_bytes=1",
            "clients=20, encoding=binary, posts.payload_bytes=2",
        ]
    );
    assert_eq!(job.plans[3].point[0], ("clients".into(), "20".into()));
    assert_eq!((job.plans[3].clients, job.plans[3].payload_bytes), (20, 2));
}

#[test]
fn a_required_key_may_come_from_the_sweep_alone() {
    let text = VALID.replace("clients = 10\n", "") + "[sweep]\nclients = [4, 8]";
    assert_eq!(read(&text, &[]).unwrap().plans.len(), 2);
}

#[test]
fn invalid_sweeps_are_refused() {
    assert_eq!(with("[sweep]\nclient_s = [1]"), "f.toml:8: there is no key sweep.client_s; did you mean clients?");
    assert_eq!(
        with("[sweep]\nposts.colour = [1]"),
        "f.toml:8: there is no key sweep.posts.colour; [posts] has per_client_per_s, authors, arrivals, burst_size, payload_bytes"
    );
    assert_eq!(
        with("[sweep]\nclients = 3"),
        "f.toml:8: sweep.clients is 3; it takes a list of one or more, each a whole number from 1 to 1000000"
    );
    assert_eq!(
        with("[sweep]\nclients = []"),
        "f.toml:8: sweep.clients is []; it takes a list of one or more, each a whole number from 1 to 1000000"
    );
    assert_eq!(
        with("[sweep]\nclients = [10, 0]"),
        "f.toml:8: sweep.clients is 0; it takes a whole number from 1 to 1000000"
    );
    assert_eq!(with("[sweep]\nclients = [10, 10]"), "f.toml:8: sweep.clients is [10, 10], but 10 is listed twice");
    assert_eq!(
        with("[sweep]\nseed = [1, 2]"),
        "f.toml:8: sweep.seed is [1, 2], but seed belongs to the whole job and cannot be swept"
    );
    assert_eq!(
        with("[sweep]\ntuning.websocket = [1]"),
        "f.toml:8: sweep.tuning.websocket is [1], but tuning.websocket is a table: name one of its keys (age_s, bytes_max, heartbeat_s)"
    );
    let many: Vec<_> = (1..=101).map(|n| n.to_string()).collect();
    assert_eq!(
        with(&format!("[sweep]\n'posts.payload_bytes' = [{}]", many.join(","))),
        "f.toml:8: sweep.posts.payload_bytes is 101 values, but the sweep then has 101 points, and at most 100 are allowed: leave some out"
    );
    assert_eq!(
        with("[sweep]\nclients = [10, 1]"),
        "f.toml:4: rooms is 2 (at clients=1), but there are only 1 clients, so some rooms would be empty; write at most 1"
    );
}

#[test]
fn overrides_win_and_are_named_in_errors() {
    let job =
        read(VALID, &["clients=20", "clients=30", "posts.arrivals=burst", "cores.server=0", "cores.generator=[1]"])
            .unwrap();
    assert_eq!((job.plans[0].clients, job.overrides.len(), job.text.as_str()), (30, 5, VALID));
    assert_eq!(job.plans[0].cores, Some(Cores { server: vec![0], generator: vec![1] }));
    assert_eq!(
        error(VALID, &["clients=many"]),
        "--set clients=many: clients is \"many\"; it takes a whole number from 1 to 1000000"
    );
    assert_eq!(
        error(VALID, &["http_client=curl"]),
        "--set http_client=curl: http_client is \"curl\"; it takes one of \"built-in\", \"reqwest\""
    );
    assert_eq!(
        error(VALID, &["post.authors=1"]),
        "--set post.authors=1: there is no key post.authors; did you mean posts.authors?"
    );
    assert_eq!(
        error(VALID, &["posts=1"]),
        "--set posts=1: posts is 1; it takes a table of per_client_per_s, authors, arrivals, burst_size, payload_bytes"
    );
}

#[test]
fn setting_a_swept_key_ends_its_sweep_and_a_sweep_can_be_set() {
    let text = format!("{VALID}[sweep]\nclients = [10, 20]");
    let clients = |sets: &[&str]| read(&text, sets).unwrap().plans.iter().map(|plan| plan.clients).collect::<Vec<_>>();
    assert_eq!(clients(&[]), [10, 20]);
    assert_eq!(clients(&["clients=7"]), [7]);
    assert_eq!(clients(&["sweep.clients=[5, 6, 7]"]), [5, 6, 7]);
    assert_eq!(clients(&["sweep.clients=5"]), [5]);
}

#[test]
fn unreadable_files_are_errors() {
    assert_eq!(
        error("name = ", &[]),
        "f.toml:1: this is not TOML: string values must be quoted, expected literal string (column 8)"
    );
    assert_eq!(error("a = 1\nb = 2\na = 3", &[]), "f.toml:3: this is not TOML: duplicate key (column 1)");
    for number in ["9999999999999999999", "99999999999999999999", "99999999999999999999999999999999999999999999"] {
        let expected = format!(
            "f.toml:2: this is not TOML: {number} is too large; a whole number is at most 9223372036854775807 (column 5)"
        );
        assert_eq!(error(&format!("a = 1\nb = {number}"), &[]), expected);
    }
    let missing = load(Path::new("no/such.toml"), &[]).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot read the scenario no/such.toml; give the path of a TOML file, or the name of a shipped scenario such as quick"
    );
    assert!(std::error::Error::source(&missing).is_some());
}

#[test]
fn the_schema_knows_every_table() {
    let schema = schema();
    let interval = &schema["properties"]["tuning"]["properties"]["polling"]["properties"]["interval_ms"];
    assert_eq!((&interval["type"], &interval["default"]), (&"integer".into(), &1000.into()));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["name", "question"]));
    assert_eq!(schema["properties"]["prices"]["required"].as_array().unwrap().len(), 4);
    assert!(schema["properties"]["sweep"]["properties"]["tuning.polling.interval_ms"].is_object());
    assert!(schema["properties"]["sweep"]["properties"].get("seed").is_none());
}

const CLAIM: &str = "[[claim]]
statement = 'A claim'
[[claim.condition]]
left = { metric = 'delivery_p50_ms', transport = 'sse' }
op = '<='
value = 5
";

/// The error of the valid file with its claim changed.
fn claimed(from: &str, to: &str) -> String {
    assert!(CLAIM.contains(from));
    with(&CLAIM.replace(from, to))
}

#[test]
fn a_claim_is_read_with_its_conditions() {
    let source = LoadedScenario::parse("f.toml", &format!("{VALID}{CLAIM}"), &[]).unwrap();
    let condition = &source.first().claim[0].condition[0];
    assert_eq!(
        (condition.left.metric.name(), condition.op.name(), condition.value),
        ("delivery_p50_ms", "at most", Some(5.0))
    );
    assert!(source.decide().unwrap().plans[0].settings.keys().all(|key| key != "claim"));
}

#[test]
fn errors_in_a_claim_have_their_line() {
    assert_eq!(
        claimed("statement = 'A claim'\n", ""),
        "f.toml:7: claim[1].statement is missing; it takes a text of 1 to 300 characters on one line"
    );
    assert_eq!(
        claimed("statement = ", "colour = "),
        "f.toml:8: there is no key claim[1].colour; claim[] has statement, condition"
    );
    assert_eq!(
        claimed("'<='", "'less'"),
        "f.toml:11: claim[1].condition[1].op is \"less\"; it takes one of \">=\", \"<=\""
    );
    let metric = claimed("delivery_p50_ms", "p50");
    assert!(
        metric.starts_with(
            "f.toml:10: claim[1].condition[1].left.metric is \"p50\"; it takes one of \"offered_per_s\", "
        ),
        "{metric}"
    );
    assert_eq!(
        claimed("value = 5", "factor = 5"),
        "f.toml:9: claim[1].condition[1] is without a right side, but it needs a right side: write right or value"
    );
    assert_eq!(
        claimed("value = 5", "value = 5\nfactor = 2"),
        "f.toml:13: claim[1].condition[1].factor is 2, but it applies to right: write the product as value"
    );
    assert_eq!(
        with("[claim]\nstatement = 'x'"),
        "f.toml:7: claim is { statement = \"x\" }; it takes one table or more, at most 100"
    );
}

#[test]
fn a_claim_must_refer_to_planned_runs_unless_overrides_change_them() {
    let websocket_only = VALID.replace("clients = 10", "transports = ['websocket']\nclients = 10");
    assert_eq!(
        error(&format!("{websocket_only}{CLAIM}"), &[]),
        "f.toml:11: claim[1].condition[1].left.transport is sse, but transports leaves it out: add it there"
    );
    read(&format!("{websocket_only}{CLAIM}"), &["budget_s=2"]).unwrap();
    let swept = format!("{VALID}{CLAIM}[sweep]\nclients = [10, 20]\n");
    assert_eq!(
        error(&swept, &[]),
        "f.toml:10: claim[1].condition[1].left.at is missing, but it has to name one point of the sweep, of clients=10 | clients=20"
    );
    let named = swept.replace("transport = 'sse'", "transport = 'sse', at = 'clients=30'");
    assert!(
        error(&named, &[]).contains("left.at is clients=30, but it has to name one point"),
        "{}",
        error(&named, &[])
    );
    read(&named.replace("=30", "=20"), &[]).unwrap();
}
