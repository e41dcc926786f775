//! Whole reports of all kinds of jobs, also with hostile text.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use report::{PRICES_ASSUMED, Report, Summary, build};
use results::{MetricId, ResultsFolder, Run, State, VerdictKind, invented};

fn file(report: &Report, name: &str) -> String {
    let (_, bytes) = report.files.iter().find(|(found, _)| found == name).unwrap();
    String::from_utf8(bytes.clone()).unwrap()
}

fn report(job: &ResultsFolder) -> Report {
    build(std::slice::from_ref(job))
}

/// The report of a changed job, after checks that hold for every report.
fn changed(change: impl Fn(&mut ResultsFolder)) -> Report {
    let mut job = invented::results_folder(&[100, 1000]);
    change(&mut job);
    let made = report(&job);
    let html = file(&made, "report.html");
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"));
    assert!(html.len() < 3_000_000, "{} bytes", html.len());
    // The only script is that of the page itself, at its end.
    let (page, script) = html.split_once("<script>").unwrap();
    assert_eq!(script.trim_end_matches("</script></body></html>"), include_str!("../src/page.js"));
    for word in ["NaN", "inf]", "http://", "https://", "src=\"", "<img", "@import", "<script"] {
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!without_namespace.contains(word), "{word} in the page");
    }
    let summary: Summary = serde_json::from_str(&file(&made, "summary.json")).unwrap();
    assert_eq!(summary.jobs[0].runs.len(), job.runs.len());
    made
}

fn every(job: &mut ResultsFolder, change: impl Fn(&mut Run)) {
    job.runs.iter_mut().for_each(change);
}

#[test]
fn the_same_folders_give_the_same_report() {
    let jobs = [invented::results_folder(&[100, 1000]), invented::results_folder(&[10])];
    assert_eq!(build(&jobs), build(&jobs));
    assert_eq!(report(&jobs[0]), changed(|_| {}));
}

#[test]
fn the_page_begins_with_the_conclusions_and_has_every_part() {
    let made = changed(|_| {});
    let (html, markdown) = (file(&made, "report.html"), file(&made, "report.md"));
    for part in ["Delivery latency", "Cost", "Theory and measurement", "Validity", "Method", "The job"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.find("A delivery costs the server at ").unwrap() < html.find("<table").unwrap());
    assert!(markdown.contains("| websocket |") && markdown.contains("## Theory and measurement"));
}

#[test]
fn a_job_of_short_slices_has_intervals_rounds_and_blocks() {
    let mut job = invented::sliced(4, 20, 10);
    for run in &mut job.runs {
        run.record.slices[2].dropped = Some("CPU time stolen".to_owned());
    }
    let made = report(&job);
    let summary = &made.summary.jobs[0];
    assert_eq!((summary.blocks.made, summary.blocks.dropped), (280, 14));
    assert_eq!(summary.blocks.reasons.get("CPU time stolen"), Some(&14));
    let sse = summary.points[0].row(wire::Transport::Sse).unwrap();
    let (load, lock_step) = (MetricId::ServerCpuPerMessage, MetricId::BackToBackCpuPerMessage);
    assert_eq!((sse.rounds[&load].len(), sse.rounds[&lock_step].len()), (4, 10));
    assert_eq!((sse.times_baseline[&load].blocks, sse.times_baseline[&lock_step].blocks), (76, 190));
    assert!(sse.times_baseline[&load].interval.is_some() && sse.metric(load).unwrap().interval().is_none());
    let markdown = file(&made, "report.md");
    assert!(
        markdown.contains("× tcp back to back") && markdown.contains("10 lock-step") && markdown.contains("19 of 20")
    );
    assert!(markdown.contains("of 280 blocks (14 × CPU time stolen)"), "{}", made.text);
}

#[test]
fn a_ratio_below_raw_tcp_is_pointed_out_with_its_reason() {
    let cheap = |batches: u64| {
        let mut job = invented::sliced(4, 20, 10);
        let polling = job.runs.iter_mut().filter(|run| run.record.transport.name() == "polling");
        for run in polling {
            run.record.slices.iter_mut().for_each(|slice| slice.server_cpu_ns = slice.server_cpu_ns.map(|ns| ns / 4));
            let used = run.record.server.as_mut().unwrap().end.as_mut().unwrap().transports.get_mut("polling").unwrap();
            used.batches = used.messages / batches;
        }
        report::tables(&job, false).replace("\n  ", " ")
    };
    let back_to_back = "\npolling needs less server CPU back to back than raw TCP, 0.3";
    assert!(cheap(1).contains(back_to_back) && !cheap(1).contains("sse needs less"), "{}", cheap(1));
    assert_eq!(cheap(1).matches(" ×: not explained\n").count(), 2, "{}", cheap(1));
    let batched = "] ×: batching, 5.00 messages per batch where raw TCP has 1.00\n";
    assert_eq!((cheap(5).matches(batched).count(), cheap(5).matches("not explained").count()), (1, 1), "{}", cheap(5));
}

#[test]
fn money_has_a_table_with_its_prices() {
    let made = changed(|_| {});
    for name in ["report.html", "report.md"] {
        assert!(file(&made, name).contains("10,000 connected users for a month"), "{name}");
        assert!(file(&made, name).contains("Prices of the scenario: 0.04 EUR a vCPU-hour"), "{name}");
    }
    let assumed = changed(|job| job.manifest.points.iter_mut().for_each(|point| point.settings.clear()));
    assert!(
        file(&assumed, "report.md")
            .contains(&format!("Prices assumed, list prices of public clouds of {}", PRICES_ASSUMED))
    );
}

#[test]
fn faults_have_a_table_of_their_own() {
    let whole = changed(|_| {});
    let broken = changed(|job| {
        job.runs[0].record.faults.note(results::FaultKind::Reset, "gone".into());
    });
    for name in ["report.html", "report.md"] {
        assert!(!file(&whole, name).contains("Faults") && file(&broken, name).contains("Faults"), "{name}");
    }
    assert!(file(&broken, "report.md").contains("| 1 | reset | gone |"));
}

#[test]
fn text_from_the_folder_is_escaped_everywhere() {
    let hostile = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>|`[a](javascript:b)";
    let made = changed(|job| {
        let scenario = &mut job.manifest.scenario;
        (scenario.name, scenario.question, scenario.file) = (hostile.into(), hostile.into(), hostile.into());
        (scenario.text, scenario.set) = (format!("# </pre>{hostile}"), vec![hostile.into()]);
        job.name = hostile.into();
        job.manifest.command = vec![hostile.into()];
        job.manifest.host.cpu_model = hostile.into();
        job.manifest.points[0].name = hostile.into();
        every(job, |run| {
            run.record.verdict.reasons = vec![hostile.into()];
            run.record.faults.note(results::FaultKind::BadStatus, hostile.into());
            run.record.point =
                if run.record.point == "clients=100" { hostile.into() } else { run.record.point.clone() };
        });
    });
    let (html, markdown) = (file(&made, "report.html"), file(&made, "report.md"));
    assert!(html.contains("&lt;script&gt;") && !html.contains("<img"));
    assert!(!markdown.contains("<script") && !markdown.contains("<img") && !markdown.contains("[a]("));
    let table: Vec<_> = markdown.lines().filter(|line| line.contains("script") && line.starts_with('|')).collect();
    assert!(!table.is_empty() && table.iter().all(|line| !line.contains("|`")), "{table:?}");
}

#[test]
fn reports_state_that_no_run_was_made_or_is_valid() {
    let none = changed(|job| job.runs.clear());
    assert!(file(&none, "report.html").contains("No run was made."));
    let invalid = changed(|job| every(job, |run| run.record.verdict.kind = VerdictKind::Invalid));
    assert!(file(&invalid, "report.html").contains("0 of 60 runs are valid, 60 invalid and not used"));
    let overloaded = changed(|job| every(job, |run| run.record.verdict.kind = VerdictKind::Overloaded));
    let html = file(&overloaded, "report.html");
    assert!(html.contains(" (overloaded)") && !html.contains("Theory and measurement"));
}

#[test]
fn partial_jobs_and_jobs_of_one_transport_have_a_report() {
    let partial = changed(|job| {
        job.manifest.state = State::Running;
        job.runs.truncate(7);
    });
    let html = file(&partial, "report.html");
    let html = html.replace('\u{a0}', " ");
    assert!(html.contains("<strong>partial</strong>: 7 of 60 runs") && html.contains("an order needs 4 rounds"));
    let one =
        changed(|job| job.runs.retain(|run| run.record.transport.name() == "sse" && run.record.point == "clients=100"));
    let html = file(&one, "report.html");
    assert!(html.contains("Median delivery at clients=100, ms: sse "));
    changed(|job| {
        every(job, |run| {
            run.record.server = None;
            run.record.tcp = None;
            run.record.latency.clear();
            run.record.seconds.clear();
            run.intervals.clear();
            run.record.slices.clear();
            run.record.planned.window_us = 0;
            run.record.planned.clients = 0;
        })
    });
}

#[test]
fn external_servers_are_compared_with_the_built_in_one() {
    let title = "pushbench and other servers";
    assert!(!file(&changed(|_| {}), "report.md").contains(title));
    let made = changed(|job| {
        let built_in = job.runs.iter().filter(|run| run.record.transport.name() == "websocket");
        let mut external: Vec<_> = built_in.cloned().collect();
        for run in &mut external {
            run.record.target = "node-ws".to_owned();
            let p50 = run.record.slices[0].delivery_p50_us.as_mut().unwrap();
            *p50 *= 3;
        }
        job.runs.extend(external);
    });
    let markdown = file(&made, "report.md");
    let (_, beside) = markdown.split_once(title).unwrap();
    let rows: Vec<Vec<_>> = beside.lines().map(|line| line.split(" | ").collect()).collect();
    let at = rows.iter().position(|row| row.contains(&"node-ws")).unwrap();
    assert_eq!(
        (rows[at - 1][0], rows[at][0]),
        ("| websocket", "| websocket"),
        "the external server is below the built-in one"
    );
    assert!(rows[at + 1][1] == "× pushbench" && rows[at + 1][2] == "1.00", "{:?}", rows[at + 1]);
    let p50 = rows.iter().find_map(|row| row.iter().position(|head| *head == "p50 ms")).unwrap();
    assert!(rows[at + 1][p50].starts_with("3.00"), "{:?}", rows[at + 1]);
    assert!(file(&made, "report.html").contains(title));
}

#[test]
fn the_upgraded_share_is_that_of_all_attempted_upgrades() {
    let mut run = invented::results_folder(&[100]).runs.remove(0);
    let share = |run: &Run| results::MetricId::UpgradedShare.value(&run.record);
    assert_eq!(share(&run), None);
    (run.record.total.upgrades, run.record.total.upgrades_refused) = (3, 1);
    assert_eq!(share(&run), Some(0.75));
}

#[test]
fn a_report_may_have_no_jobs() {
    assert!(file(&build(&[]), "report.html").contains("0 jobs"));
}
