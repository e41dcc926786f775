//! Every plot, of ordinary and of extreme jobs.

use std::collections::BTreeSet;

use results::{ResultsFolder, Run, Series, VerdictKind, invented};
use serde_json::json;
use wire::Transport;

use super::data::PlotData;
use super::draw::{Area, WIDTH, svg};
use super::{drawn, plots};

/// A job with changed runs.
fn changed(clients: &[u32], change: impl FnMut(&mut Run)) -> ResultsFolder {
    let mut folder = invented::results_folder(clients);
    folder.runs.iter_mut().for_each(change);
    folder
}

fn judged(run: &mut Run, transport: Transport, kind: VerdictKind) {
    if run.record.transport == transport {
        run.record.verdict.kind = kind;
        run.record.verdict.reasons = vec!["a reason with \"quotes\"".to_owned()];
    }
}

fn without_server_measurements(run: &mut Run) {
    (run.record.server, run.record.tcp) = (None, None);
    run.record.slices.iter_mut().for_each(|slice| slice.server_cpu_ns = None);
}

fn without_deliveries(run: &mut Run) {
    run.record.slices.clear();
    run.record.latency.clear();
    run.record.seconds.clear();
    run.intervals.clear();
}

fn two_keys() -> ResultsFolder {
    let mut folder = invented::results_folder(&[100, 1000, 10_000]);
    for (at, point) in folder.manifest.points.iter_mut().enumerate() {
        point.swept = vec!["clients".to_owned(), "posts.arrivals".to_owned()];
        point.settings.insert("posts.arrivals".to_owned(), json!(["poisson", "burst", "poisson"][at]));
        if at == 1 {
            point.settings.insert("clients".to_owned(), json!(100));
        }
    }
    folder
}

fn many_points() -> ResultsFolder {
    let points: Vec<u32> = (1..=100).map(|at| at * 100).collect();
    let mut folder = invented::results_folder(&points);
    folder.runs.retain(|run| run.record.round == 1);
    folder
}

fn long_names() -> ResultsFolder {
    let mut folder = changed(&[100, 1000], |run| {
        run.record.verdict.kind = VerdictKind::Overloaded;
        run.record.planned.clients = 1_000_000;
        run.record.planned.deliveries_in_window = 123_456_789_012;
    });
    "a-scenario-with-a-name-that-goes-on-and-on-and-on-until-it-fills-a-line-of-its-own-and-more"
        .clone_into(&mut folder.manifest.scenario.name);
    folder
}

/// The jobs of the tests by name.
fn jobs() -> Vec<(&'static str, ResultsFolder)> {
    let slow = |run: &mut Run| {
        run.record.transport = Transport::Polling;
        run.record.planned.payload_bytes = 1 << 20;
    };
    let ends = |run: &mut Run| match run.record.transport {
        Transport::Polling => judged(run, Transport::Polling, VerdictKind::Invalid),
        Transport::Sse => judged(run, Transport::Sse, VerdictKind::Overloaded),
        Transport::Tcp => judged(run, Transport::Tcp, VerdictKind::Wrong),
        _ => {}
    };
    let mut single = invented::results_folder(&[100]);
    single.runs.truncate(1);
    let mut none = invented::results_folder(&[100]);
    none.runs.clear();
    vec![
        ("ordinary", invented::results_folder(&[1000])),
        ("sliced", invented::sliced(4, 20, 10)),
        ("sweep", invented::results_folder(&[100, 1000, 10_000])),
        ("verdicts", changed(&[100, 1000], ends)),
        ("single", single),
        ("none", none),
        ("invalid", changed(&[100], |run| run.record.verdict.kind = VerdictKind::Invalid)),
        ("no-deliveries", changed(&[100, 1000], without_deliveries)),
        ("no-server", changed(&[100, 1000], without_server_measurements)),
        ("slow", changed(&[100, 1000], slow)),
        ("two-keys", two_keys()),
        ("long-names", long_names()),
        ("long-targets", changed(&[100, 1000], |run| run.record.target = "a-server".repeat(40))),
    ]
}

#[test]
fn no_labels_overlap_or_are_cut_off() {
    let mut wrong = Vec::new();
    for (name, folder) in jobs() {
        for plot in drawn(&PlotData::new(&folder, "")) {
            let page = Area { left: 0.0, top: 0.0, right: WIDTH, bottom: plot.figure.height };
            let texts = plot.figure.texts();
            for (at, (area, text)) in texts.iter().enumerate() {
                let outside = area.left < page.left || area.right > page.right || area.bottom > page.bottom;
                if outside || area.top < page.top {
                    wrong.push(format!("{name} {}: {text:?} is cut off", plot.name));
                }
                for (_, other) in texts[..at].iter().filter(|(other, _)| other.overlaps(area)) {
                    wrong.push(format!("{name} {}: {text:?} covers {other:?}", plot.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn extreme_values_make_valid_plots() {
    for (name, folder) in jobs() {
        for plot in drawn(&PlotData::new(&folder, "")) {
            let (stem, svg, csv) = (&plot.name, svg(&plot.figure, &plot.title), plot.csv.finish());
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{name} {stem}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name} {stem}");
            let rows = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes()).into_records();
            let widths: BTreeSet<_> = rows.map(|row| row.unwrap().len()).collect();
            assert_eq!(widths.len(), 1, "{name} {stem}");
        }
    }
}

#[test]
fn one_plot_equals_its_golden_file() {
    let (_, folder) = jobs().into_iter().find(|(name, _)| *name == "single").unwrap();
    let drawn = drawn(&PlotData::new(&folder, ""));
    let plot = drawn.iter().find(|plot| plot.name.starts_with("06")).unwrap();
    let svg = svg(&plot.figure, &plot.title);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plots/golden.svg");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &svg).unwrap();
    }
    assert!(svg == std::fs::read_to_string(path).unwrap(), "the plot differs from golden.svg; BLESS=1 accepts it");
}

#[test]
fn plots_without_data_are_left_out() {
    let stems = |name: &str| {
        let (_, folder) = jobs().into_iter().find(|(of, _)| *of == name).unwrap();
        drawn(&PlotData::new(&folder, "")).into_iter().map(|plot| plot.name).collect::<Vec<_>>()
    };
    let all = [
        "01-latency-by-percentile",
        "02-ratios-to-raw-tcp",
        "03-server-cpu-per-message",
        "04-bytes-per-message",
        "05-calls-per-message",
        "06-memory-per-connection",
        "07-money",
        "08-latency-over-time",
        "09-latency-heat-map",
        "10-delivered-and-offered",
    ];
    assert_eq!(stems("ordinary"), all);
    assert_eq!(stems("invalid"), Vec::<String>::new());
    assert_eq!(stems("none"), Vec::<String>::new());
    assert!(stems("sweep").contains(&"13-over-sweep-clients".to_owned()));
    assert!(stems("two-keys").contains(&"13-over-sweep-posts-arrivals-clients-100".to_owned()));
    let no_server = stems("no-server");
    assert!(
        !no_server.iter().any(|stem| ["03", "06", "07"].iter().any(|number| stem.starts_with(number))),
        "{no_server:?}"
    );
}

#[test]
fn plots_of_several_jobs_have_unique_names() {
    let mut other = invented::results_folder(&[100]);
    other.name = "20260102T000000Z-other".to_owned();
    let both = [invented::results_folder(&[100]), other];
    let drawn: Vec<_> = both.iter().flat_map(|folder| drawn(&PlotData::new(folder, &folder.name))).collect();
    let names: BTreeSet<_> = drawn.iter().map(|plot| &plot.name).collect();
    assert_eq!(names.len(), drawn.len());
}

#[test]
fn invalid_and_wrong_runs_are_not_drawn() {
    let (_, folder) = jobs().into_iter().find(|(name, _)| *name == "verdicts").unwrap();
    for plot in drawn(&PlotData::new(&folder, "")) {
        let (name, csv) = (plot.name, plot.csv.finish());
        let rows: Vec<&str> = csv.lines().skip(1).collect();
        assert!(rows.iter().all(|row| !row.contains(",polling,") && !row.contains(",tcp,")), "{name}");
        let sse: Vec<_> = rows.iter().filter(|row| row.contains(",sse,")).collect();
        assert!(!sse.is_empty() && sse.iter().all(|row| row.contains(",overloaded,")), "{name}");
    }
}

#[test]
fn the_same_folder_makes_the_same_plots() {
    let (_, folder) = jobs().into_iter().find(|(name, _)| *name == "single").unwrap();
    let (once, again) = (plots(std::slice::from_ref(&folder)), plots(&[folder]));
    assert!(!once.is_empty() && once == again);
    assert!(once.iter().all(|plot| plot.png.starts_with(b"\x89PNG")));
}

#[test]
fn percentiles_are_drawn_as_far_as_the_sample_allows() {
    let mut folder = invented::results_folder(&[100]);
    for run in &mut folder.runs {
        run.record.latency.get_mut(&Series::DeliveryLatency).unwrap().independent = 400;
    }
    let drawn = drawn(&PlotData::new(&folder, ""));
    let csv = drawn.into_iter().find(|plot| plot.name.starts_with("01")).unwrap().csv.finish();
    assert!(csv.contains(",99,") && !csv.contains(",99.9,"), "{csv}");
}

#[test]
fn long_sweeps_are_drawn_too() {
    let folder = many_points();
    let drawn = drawn(&PlotData::new(&folder, ""));
    let per_point = drawn.iter().filter(|plot| plot.name.starts_with("01")).count();
    assert_eq!(per_point, 3);
    assert!(drawn.iter().any(|plot| plot.name.starts_with("13")));
}
