//! End to end with the real program: every phase on every transport, and the consistency of all
//! results. Speed is not checked: on a busy machine runs are invalid, which is no failure here.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "shared with the known answers, which use more of it")]
#[path = "known_answers/bench.rs"]
mod bench;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use results::{Direction, RunEnd, RunRecord, SCHEMA, Series, State};
use wire::{Encoding, Transport};

use bench::{Bench, Job, assert_valid};

/// Checks the values of a record against each other.
fn check(bench: &Bench, record: &RunRecord) {
    let transport = record.transport;
    assert_valid(record);
    assert_eq!((record.schema, &record.ended), (SCHEMA, &RunEnd::Complete), "{transport}");
    let ledger = &record.ledger;
    assert_eq!(ledger.scheduled, ledger.received + ledger.lost + ledger.undelivered_posts, "{transport}");
    assert!(ledger.incidents.is_empty() && record.faults.total() == 0, "{transport} {ledger:?} {:?}", record.faults);
    assert_eq!((record.total.delivered, record.total.accepted), (ledger.received, record.total.posted), "{transport}");
    assert_eq!((record.saturated, record.negative), (0, 0), "{transport}");
    let sum = |of: fn(&results::Second) -> u64| record.seconds.iter().map(of).sum::<u64>();
    assert_eq!(sum(|second| second.delivered), record.total.delivered - record.set_up.delivered, "{transport}");
    assert_eq!(sum(|second| second.posted), record.total.posted - record.set_up.posted, "{transport}");
    assert_eq!(sum(|second| second.faults), 0, "{transport}");
    let seconds: Vec<_> = record.seconds.iter().map(|second| second.second).collect();
    assert_eq!(seconds, (0..u32::try_from(seconds.len()).unwrap()).collect::<Vec<_>>(), "{transport}");
    assert!(record.window().total(Direction::Down) < record.total.total(Direction::Down), "{transport}");

    let histograms = bench.histograms(record.run);
    let logged: BTreeMap<_, _> = histograms.iter().map(|(name, sum)| (name.as_str(), (sum.len(), sum.max()))).collect();
    let recorded = record.latency.iter().map(|(series, one)| (series.name(), (one.samples, one.max_us)));
    assert_eq!(logged, recorded.collect(), "{transport}");
    let samples = |series| record.latency.get(&series).map_or(0, |one| one.samples);
    let planned = &record.planned;
    assert_eq!(samples(Series::DeliveryLatency), planned.deliveries_in_window, "{transport}");
    assert_eq!(samples(Series::DeliveryLatencyFromSend), planned.deliveries_in_window, "{transport}");
    assert_eq!(samples(Series::AckLatency), planned.posts_in_window, "{transport}");
    // Posts that the transport delayed are not in this series. Some of them may be of the warm-up.
    let late = samples(Series::SendDelay);
    assert!(
        late <= planned.posts_in_window && late + record.total.posts_delayed >= planned.posts_in_window,
        "{transport}"
    );
    assert_eq!((samples(Series::ConnectTime), samples(Series::ReconnectTime)), (20, 0), "{transport}");
    assert_eq!(planned.posts_sent_in_window, planned.posts_in_window, "{transport}");

    let server = record.server.as_ref().expect("the built-in server has statistics");
    let (begin, end) = (
        server.begin.transports.get(transport.name()).copied().unwrap_or_default(),
        server.end.as_ref().expect("it was read after the window").transports[transport.name()],
    );
    assert_eq!((begin.posts, begin.messages), (0, 0), "{transport}");
    assert!(end.posts > 0 && end.messages > 0, "{transport}");
}

/// Checks that the folder describes the job and has its results.
fn check_folder(folder: &Path, records: &[RunRecord]) {
    let saved = results::load(folder).unwrap();
    assert_eq!(saved.runs.iter().map(|run| &run.record).collect::<Vec<_>>(), records.iter().collect::<Vec<_>>());
    let manifest = &saved.manifest;
    assert_eq!((manifest.state, manifest.scenario.name.as_str(), manifest.seed), (State::Complete, "smoke", 1));
    assert_eq!(manifest.scenario.set, ["phases.window_s=1"]);
    assert_eq!(manifest.points[0].number("phases.window_s"), Some(1.0));
    assert!(manifest.points[0].number("tuning.sse.heartbeat_s").is_some(), "missing keys have their default");
    let subjects: BTreeSet<_> = manifest.subjects.iter().map(|planned| planned.transport.as_str()).collect();
    assert_eq!(subjects, records.iter().map(|record| record.transport.name()).collect());
    assert!(manifest.program.dependencies.contains_key("tokio") && !manifest.program.rustc.is_empty());
    let lines = |table: &str| std::fs::read_to_string(folder.join(table)).unwrap().lines().count();
    let seconds: usize = records.iter().map(|record| record.seconds.len()).sum();
    let counts = ["runs.csv", "slices.csv", "seconds.csv"].map(lines);
    assert_eq!(counts, [1 + records.len(), 1 + records.len(), 1 + seconds]);
}

#[tokio::test]
async fn every_transport_goes_through_every_phase() {
    let bench = Bench::new(&["phases.window_s=1"]).await;
    let ended = bench.start("run", &[]).end().await;
    ended.assert_completed();
    let records = bench.records();
    let mut transports: Vec<_> = records.iter().map(|record| record.transport).collect();
    transports.sort();
    assert_eq!(transports, Transport::ALL);
    assert!(records.iter().map(|record| record.run as usize).eq(1..=Transport::ALL.len()));
    for record in &records {
        check(&bench, record);
        let header = |class| record.window().bytes(Direction::Down, results::TrafficKind::Delivery, class);
        let by_request =
            matches!(record.transport, Transport::Polling | Transport::LongPolling | Transport::SocketioPolling);
        assert_eq!(header(results::ByteClass::Headers) > 0, by_request, "{}", record.transport);
        assert_eq!(record.encoding, record.transport.default_encoding());
        assert!(ended.out.contains(record.transport.name()), "{}", ended.out);
    }
    let folder = bench.results();
    assert!(ended.out.ends_with(&format!("\nresults: {}\n", folder.display())), "{}", ended.out);
    check_folder(&folder, &records);
    let partial_files = |folder: &Path| {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".partial")).count()
    };
    assert_eq!(
        [partial_files(&folder), partial_files(&folder.join("runs")), partial_files(&folder.join("histograms"))],
        [0, 0, 0]
    );
}

#[tokio::test]
async fn the_other_encoding_and_a_connection_for_every_poll() {
    let set = [
        "transports=websocket,polling,long-polling",
        "encoding=binary",
        "tuning.polling.keep_alive=false",
        "tuning.long-polling.keep_alive=false",
        "phases.window_s=1",
    ];
    let bench = Bench::new(&set).await;
    bench.start("run", &[]).end().await.assert_completed();
    let records = bench.records();
    assert_eq!(records.len(), 4);
    for record in &records {
        check(&bench, record);
        let total = &record.total;
        match record.transport {
            Transport::Polling | Transport::LongPolling => {
                assert_eq!(record.encoding, Encoding::Json);
                assert!(total.connections > 100, "{} {total:?}", record.transport);
            }
            _ => assert_eq!((record.encoding, total.connections), (Encoding::Binary, 20), "{}", record.transport),
        }
    }
}

#[tokio::test]
async fn a_dry_run_prints_the_plan() {
    let golden = "\
smoke: Do all transports and phases work?
20 clients in 4 rooms, 20 of them authors; 57.5 posts/s of 64 bytes, 288
  deliveries/s; window 2 s; tcp, polling, long-polling, http-streaming, sse,
  websocket, socketio-polling, socketio-websocket, socketio, stomp
10 subjects; rounds: 1 under load, 0 in lock-step; about 35 s; at most 60
  sockets of one load generator; seed 1
";
    let ended = run_smoke("run", &["--dry-run"]).await;
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), golden, ""));
}

/// Runs `pushbench COMMAND scenarios/smoke.toml …` without `--set`.
async fn run_smoke(command: &str, more: &[&str]) -> bench::Ended {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/smoke.toml");
    run_program(&[&[command, scenario][..], more].concat()).await
}

async fn run_program(args: &[&str]) -> bench::Ended {
    let program = env!("CARGO_BIN_EXE_pushbench");
    let all: Vec<_> = std::iter::once(program).chain(args.iter().copied()).map(str::to_owned).collect();
    Job::start(&all).end().await
}

#[tokio::test]
async fn an_invalid_scenario_is_refused_with_the_allowed_values() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bad-{}.toml", std::process::id()));
    std::fs::write(&file, "name = \"x\"\nquestion = \"?\"\nclients = 0\nrooms = 1\n[posts]\nper_client_per_s = 1\n")
        .unwrap();
    let name = file.display().to_string();
    let bad = format!("pushbench: {name}:3: clients is 0; it takes a whole number from 1 to 1000000\n");
    for command in ["run", "doctor"] {
        let ended = run_program(&[command, &name]).await;
        assert_eq!((ended.code, ended.out.as_str(), &ended.err), (Some(2), "", &bad), "{command}");
    }
    std::fs::remove_file(&file).unwrap();
    let ended = run_smoke("run", &["--set", "clients=0"]).await;
    let expected = "pushbench: --set clients=0: clients is 0; it takes a whole number from 1 to 1000000\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(2), "", expected));
    let ended = run_program(&["run", "quick", "--budget", "3s"]).await;
    let expected = "pushbench: the budget of 3 s is too short for 6 subjects: give --budget 6s, or fewer transports with --set transports=…\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(2), "", expected));
    let ended = run_program(&["run", "/nowhere.toml"]).await;
    let expected = "pushbench: cannot read the scenario /nowhere.toml; give the path of a TOML file, or the name of a shipped scenario such as quick: \
                    No such file or directory (os error 2)\n";
    assert_eq!((ended.code, ended.err.as_str()), (Some(2), expected));
}

#[tokio::test]
async fn a_job_whose_folder_cannot_be_created_does_not_start() {
    let ended = run_smoke("run", &["--out", "/proc/nowhere"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert!(ended.err.contains("pushbench: cannot make /proc/nowhere: No such file or directory"), "{}", ended.err);
}

#[tokio::test]
async fn load_accepts_loopback_addresses_and_with_agents_private_ones() {
    for (target, why) in [
        ("http://192.0.2.1:80", "only loopback and private addresses are measured"),
        ("http://10.1.2.3:80", "--target 10.1.2.3:80 is no loopback address: run the server on this machine, or give"),
    ] {
        let ended = run_smoke("load", &["--target", target]).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{target}");
        assert!(ended.err.contains(why), "{}", ended.err);
    }
}

#[tokio::test]
async fn load_measures_one_server_and_stops_none() {
    let load = ["load", "nodes", "--target", "http://127.0.0.1:9", "--target-tcp", "127.0.0.1:9"];
    for (set, refused) in [
        (&[][..], "nodes is 3, but load starts no servers"),
        (&["--set", "nodes=1", "--set", "outage=[]"], "log is redis, but load starts no log"),
    ] {
        let ended = run_program(&[&load[..], set].concat()).await;
        assert_eq!(ended.code, Some(2));
        assert!(ended.err.contains(refused), "{}", ended.err);
    }
}

#[tokio::test]
async fn doctor_prints_every_check() {
    let ended = run_smoke("doctor", &[]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    for what in ["cores", "other load", "CPU probe", "timer", "open files", "ports"] {
        let line = ended.err.lines().find(|line| line.get(9..).is_some_and(|rest| rest.starts_with(what)));
        assert!(
            line.is_some_and(|line| line.starts_with("ok ") || line.starts_with("doubtful ")),
            "{what}\n{}",
            ended.err
        );
    }
}

#[tokio::test]
async fn the_schemas_are_json() {
    let ended = run_program(&["schema", "scenario"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(schema["properties"]["clients"].is_object(), "{}", ended.out);
    let ended = run_program(&["schema", "results"]).await;
    let schema: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &schema), (Some(0), &results::schema()));
}
