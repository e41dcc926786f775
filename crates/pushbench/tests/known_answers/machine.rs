//! A generator without CPU, without open files, and a server that does not let it in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use results::{FaultKind, RunEnd, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, Job};
use crate::processes::Server;

/// Threads that take what CPU they can get on every core of ours, until this is dropped.
struct Spinners {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Spinners {
    fn start(on_each_core: usize) -> Self {
        let ours = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let cores = (0..CpuSet::count()).filter(|core| ours.is_set(*core).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |core| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut only = CpuSet::new();
                only.set(core).unwrap();
                sched_setaffinity(Pid::from_raw(0), &only).unwrap();
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = cores.flat_map(|core| std::iter::repeat_n(core, on_each_core)).map(spin).collect();
        Self { stop, threads }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

#[tokio::test]
async fn a_generator_starved_of_cpu_is_no_instrument() {
    let bench = Bench::new(&["transports=tcp", "posts.per_client_per_s=20", "phases.window_s=1"]).await;
    let server = Server::start(&[]).await;
    // Behind two threads that never sleep, and less important than they are.
    let nice = ["nice", "-n", "5"].map(str::to_owned);
    let words = bench.words("load", &server.target().each_ref().map(String::as_str));
    let spinners = Spinners::start(2);
    let ended = Job::start(&[&nice[..], &words].concat()).end().await;
    drop(spinners);
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    let record = bench.record();
    assert_eq!((record.verdict.kind, &record.ended), (VerdictKind::Invalid, &RunEnd::Complete));
    let late = record.verdict.reasons.iter().any(|reason| reason.starts_with("posts left up to "));
    assert!(late, "{:?} {:?}", record.verdict, record.latency);
    // It was slow, and it was right: late posts leave, every one of them.
    assert_eq!((record.planned.posts_sent_in_window, record.ledger.lost), (record.planned.posts_in_window, 0));
    assert!(ended.out.contains("posts left up to "), "the table says why\n{}", ended.out);
}

#[tokio::test]
async fn too_few_open_files_are_found_before_anything_runs() {
    let bench = Bench::new(&[]).await;
    let quoted: Vec<_> = bench.words("run", &[]).iter().map(|word| format!("'{word}'")).collect();
    let script = format!("ulimit -n 60 && exec {}", quoted.join(" "));
    let ended = Job::start(&["sh", "-c", &script].map(str::to_owned)).end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    // 20 clients, each with three connections while a session of Socket.IO is upgraded, and 64 to spare.
    let expected = "fatal    open files  124 needed, 60 allowed; raise the limit (ulimit -n, LimitNOFILE=), or set fewer clients\n";
    assert!(ended.err.contains(expected), "{}", ended.err);
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_no_result() {
    let bench = Bench::new(&["transports=websocket", "limits.reconnects_max=1"]).await;
    let server = Server::start(&["--connections-max", "10"]).await;
    let ended = bench.start("load", &server.target().each_ref().map(String::as_str)).end().await;
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    for record in bench.records() {
        let RunEnd::Failed(why) = &record.ended else { panic!("{:?}", record.ended) };
        assert!(why.ends_with(" of 20 clients joined"), "{why}");
        let kind = match record.transport {
            Transport::Tcp => FaultKind::Problem,
            _ => FaultKind::RetryLater,
        };
        assert!(record.faults.counts[&kind] >= 10, "{:?}", record.faults);
        assert_eq!((record.verdict.kind, &record.verdict.reasons[0]), (VerdictKind::Invalid, why));
        assert!(
            record.verdict.reasons.iter().any(|reason| reason.starts_with(&kind.to_string())),
            "{:?}",
            record.verdict
        );
        assert!(ended.out.contains(why.as_str()), "the table says why\n{}", ended.out);
        let named = format!("{} (invalid: {why}; {kind} ", record.transport);
        assert!(ended.err.contains(&named), "no subject without figures is left unsaid\n{}", ended.err);
    }
}
