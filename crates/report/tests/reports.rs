//! Whole reports of all kinds of jobs, also with hostile text.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use report::{Report, Summary, build};
use results::{ResultsFolder, Run, State, VerdictKind, invented};

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
    for word in ["NaN", "inf]", "http://", "https://", "src=\"", "<img", "@import", "<script"] {
        let without_namespace = html.replace("http://www.w3.org/2000/svg", "");
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
    assert!(html.find("Median delivery latency at ").unwrap() < html.find("<table").unwrap());
    assert!(markdown.contains("| websocket |") && markdown.contains("## Theory and measurement"));
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
    assert!(
        html.contains("<strong>partial</strong>: 7 of 60 runs")
            && html.contains("an order needs six valid runs of each")
    );
    let one =
        changed(|job| job.runs.retain(|run| run.record.transport.name() == "sse" && run.record.point == "clients=100"));
    let html = file(&one, "report.html");
    assert!(html.contains("Median delivery latency at clients=100, ms: sse "));
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
            let delivery = run.record.latency.get_mut(&results::Series::DeliveryLatency).unwrap();
            delivery.quantiles.get_mut("p50").unwrap().us *= 3;
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
