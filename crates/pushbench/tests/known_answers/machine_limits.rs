//! A load generator without enough CPU or open files, and a server that refuses its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use results::{FaultKind, RunEnd, VerdictKind};
use wire::Transport;

use crate::bench::{Bench, Job};
use crate::processes::Server;

/// Threads that use all available CPU time on every core of this process until the value is
/// dropped.
struct BusyThreads {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl BusyThreads {
    fn start(on_each_core: usize) -> Self {
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap());
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

impl Drop for BusyThreads {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

#[tokio::test]
async fn a_run_whose_generator_lacks_cpu_is_invalid() {
    let bench = Bench::new(&["transports=tcp", "posts.per_client_per_s=20", "phases.window_s=1"]).await;
    let server = Server::start(&[]).await;
    // Two threads per core that never sleep, with a higher priority.
    let nice = ["nice", "-n", "5"].map(str::to_owned);
    let args = bench.command_line("load", &server.target().each_ref().map(String::as_str));
    let busy = BusyThreads::start(2);
    let ended = Job::start(&[&nice[..], &args].concat()).end().await;
    drop(busy);
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    let record = bench.record();
    assert_eq!((record.verdict.kind, &record.ended), (VerdictKind::Invalid, &RunEnd::Complete));
    let late = record.verdict.reasons.iter().any(|reason| reason.starts_with("posts were sent up to "));
    assert!(late, "{:?} {:?}", record.verdict, record.latency);
    // The run is slow and correct: late posts are sent, all of them.
    assert_eq!((record.planned.posts_sent_in_window, record.ledger.lost), (record.planned.posts_in_window, 0));
    assert!(ended.prints("posts were sent up to "), "the table has no reason\n{}", ended.out);
}

#[tokio::test]
async fn too_few_open_files_are_an_error_before_the_first_run() {
    let bench = Bench::new(&[]).await;
    let quoted: Vec<_> = bench.command_line("run", &[]).iter().map(|word| format!("'{word}'")).collect();
    let script = format!("ulimit -n 60 && exec {}", quoted.join(" "));
    let ended = Job::start(&["sh", "-c", &script].map(str::to_owned)).end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), ""), "{ended:#?}");
    // 20 clients with three connections each during the upgrade of a Socket.IO session, and 64
    // more.
    let expected = "fatal    open files  124 needed, 60 allowed; raise the limit (ulimit -n, LimitNOFILE=), \
                    set fewer clients, or share them (--agents, nodes)\n";
    assert!(ended.err.contains(expected), "{}", ended.err);
}

#[tokio::test]
async fn a_run_whose_clients_cannot_join_is_invalid() {
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
        assert!(ended.prints(why), "the table has no reason\n{}", ended.out);
        let named = format!("{} (invalid: {why}; {kind} ", record.transport);
        assert!(ended.err.contains(&named), "a subject without metrics is not listed\n{}", ended.err);
    }
}
