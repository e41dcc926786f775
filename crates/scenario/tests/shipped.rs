//! The scenario files of the repository: each is valid, has the sample sizes and times that its
//! comments state, and is listed in the README.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use scenario::{Job, Plan, fields_table, load, parse};
use wire::Transport;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Packages, and a peer that is a crate.
        if path.ends_with("node_modules") || path.join("Cargo.toml").exists() {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn job(name: &str) -> Job {
    load(&folder().join(name).with_extension("toml"), &[]).unwrap().decide().unwrap()
}

fn deliveries_per_s(plan: &Plan) -> f64 {
    plan.deliveries_in_window() as f64 / plan.phases.window().as_secs_f64()
}

/// The estimated share of a core that the server needs, with costs per delivery, request and post
/// as on a quiet machine.
fn busy(plan: &Plan, transport: Transport) -> f64 {
    let deliveries = deliveries_per_s(plan);
    let posts = plan.posts_in_window() as f64 / plan.phases.window().as_secs_f64();
    let post_us = if transport.posts_in_band() { 5.0 } else { 10.0 };
    let reading_us = match transport {
        Transport::Tcp | Transport::HttpStreaming | Transport::Sse | Transport::Websocket | Transport::Stomp => {
            deliveries * 3.5
        }
        Transport::SocketioWebsocket | Transport::Socketio => deliveries * 6.0,
        Transport::SocketioPolling => deliveries * 15.0,
        Transport::Polling => deliveries * 0.5 + f64::from(plan.clients) / plan.tuning.polling.interval_ms as f64 * 8e3,
        Transport::LongPolling => {
            // Messages per response, if the next request arrives 150 µs after a response.
            let in_a_gap = deliveries / f64::from(plan.clients) * 150e-6;
            deliveries * 0.5 + deliveries / (in_a_gap + (-in_a_gap).exp()) * 10.0
        }
    };
    (reading_us + posts * post_us) / 1e6
}

#[test]
fn every_shipped_scenario_is_valid_and_begins_with_its_question() {
    let files = files(&folder());
    assert!(files.len() >= 9, "{files:?}");
    for file in files {
        let job = load(&file, &[]).unwrap().decide().unwrap_or_else(|error| panic!("{error}"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(job.text, text);
        assert_eq!(file.file_stem().unwrap().to_str(), Some(job.name.as_str()));
        assert_eq!(text.lines().next(), Some(format!("# {}", job.question).as_str()), "the first line is the question");
        assert!(text.contains("Expected:"), "{} has no line with Expected:", job.name);
    }
}

#[test]
fn every_shipped_scenario_needs_less_than_40_percent_of_a_core() {
    // These scenarios measure near and above saturation.
    let full = ["claims/message-rate.toml", "claims/saturation.toml"];
    let files = files(&folder()).into_iter().filter(|file| !full.iter().any(|name| file.ends_with(name)));
    for file in files {
        let job = load(&file, &[]).unwrap().decide().unwrap();
        for plan in &job.plans {
            for &transport in &plan.transports {
                let busy = busy(plan, transport);
                assert!(busy < 0.4, "{} {} {transport}: {busy}", job.name, plan.label);
            }
        }
    }
}

#[test]
fn quick_is_done_in_a_minute_and_a_half() {
    let quick = job("quick");
    assert_eq!(quick.plans[0].transports, Transport::ALL[..6]);
    assert_eq!(quick.duration_estimate(), Duration::from_secs(84));
}

#[test]
fn long_windows_have_enough_messages_for_their_percentiles() {
    assert!(job("poll-interval").plans.iter().all(|plan| plan.posts_in_window() >= 3688), "p99.9");
    assert!(job("smoke").duration_estimate() < Duration::from_secs(60), "{:?}", job("smoke").duration_estimate());
}

#[test]
fn scale_changes_only_the_number_of_clients() {
    let scale = job("scale");
    let labels: Vec<_> = scale.plans.iter().map(|plan| plan.label.as_str()).collect();
    assert_eq!(labels, ["clients=100", "clients=1000", "clients=10000"]);
    assert!(scale.plans.iter().all(|plan| plan.posts_total() == scale.plans[0].posts_total()));
    assert_eq!(scale.plans[2].deliveries_in_window(), 100 * scale.plans[0].deliveries_in_window());
    assert_eq!(scale.sockets_max(), 10_010);
}

#[test]
fn claims_take_minutes_and_papers_have_published_values() {
    let claims = files(&folder().join("claims"));
    let jobs: Vec<_> = claims.iter().map(|file| load(file, &[]).unwrap()).collect();
    assert!(jobs.len() >= 9 && jobs.iter().all(|source| !source.first().claim.is_empty()));
    let times: Vec<_> = jobs.iter().map(|source| source.decide().unwrap().duration_estimate()).collect();
    assert!(times.iter().all(|time| *time <= Duration::from_secs(400)), "{times:?}");
    assert!(times.iter().sum::<Duration>() <= Duration::from_secs(1800), "{times:?}");
    for paper in files(&folder().join("papers")) {
        assert!(!load(&paper, &[]).unwrap().first().published.is_empty(), "{}", paper.display());
    }
}

/// Compares this table with the table of the README that has the same head; `BLESS=1` replaces
/// that.
fn assert_in_readme(table: &str) {
    let path = folder().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let head = table.lines().next().unwrap();
    let start = readme.find(head).unwrap_or_else(|| panic!("scenarios/README.md has no table with the head {head}"));
    let rows = readme[start..].split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let end = start + rows.map(str::len).sum::<usize>();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, [&readme[..start], table, &readme[end..]].concat()).unwrap();
    } else {
        assert_eq!(&readme[start..end], table, "scenarios/README.md differs; BLESS=1 accepts it");
    }
}

#[test]
fn the_readme_explains_every_field() {
    assert_in_readme(&fields_table());
    assert_in_readme(&results::metrics_markdown());
}

#[test]
fn the_readme_lists_every_file_and_its_example_works() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for file in files(&folder()) {
        let job = load(&file, &[]).unwrap().decide().unwrap();
        let path = file.strip_prefix(folder()).unwrap().with_extension("").display().to_string();
        let row = format!("| [{path}]({path}.toml) | {}", job.question);
        assert!(readme.contains(&row), "put this row into scenarios/README.md:\n{row} |");
    }
    let (_, rest) = readme.rsplit_once("```toml\n").unwrap();
    let example = parse("README.md", rest.split("```").next().unwrap(), &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(example.plans[0].room_size(0), 2);
}
