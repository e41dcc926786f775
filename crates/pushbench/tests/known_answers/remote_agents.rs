//! Agents that a job leads over Redis. These tests run only where `redis-server` is installed.

use std::process::Stdio;

use nix::sys::signal::Signal;
use results::State;
use tokio::process::{Child, Command};
use wire::Transport;

use crate::bench::{Bench, Job, assert_valid};
use crate::processes::{Server, children, exists, signal, until, until_gone};
use crate::redis::Redis;

const AGENTS: usize = 3;
/// A window that is longer than the timeout of a job: such a run must end early.
const LONG: [&str; 3] = ["transports=tcp", "posts.per_client_per_s=10", "phases.window_s=600"];

/// A Redis, agents that wait at it, and a server.
struct Rig {
    redis: Redis,
    agents: Vec<Child>,
    server: Server,
}

impl Rig {
    async fn start() -> Self {
        let (redis, server) = (Redis::start(false).await, Server::start(&[]).await);
        let agents = (0..AGENTS).map(|_| agent(&redis.url())).collect();
        Self { redis, agents, server }
    }

    fn pids(&self) -> Vec<u32> {
        self.agents.iter().map(|agent| agent.id().unwrap()).collect()
    }

    fn load(&self, bench: &Bench) -> Job {
        let (target, url) = (self.server.target(), self.redis.url());
        let more = ["--agents", "3", "--redis", &url];
        bench.start("load", &target.iter().map(String::as_str).chain(more).collect::<Vec<_>>())
    }

    /// Starts a job, and waits until it is in its window.
    async fn in_the_window(&self, bench: &Bench) -> Job {
        let job = self.load(bench);
        self.server.until_posts(Transport::Tcp, 100).await;
        for agent in self.pids() {
            assert_eq!(children(agent).len(), 1, "a load generator each");
        }
        job
    }

    /// Waits until no agent has a load generator.
    async fn until_idle(&self) {
        for agent in self.pids() {
            until("the end of the load", async || children(agent).is_empty().then_some(())).await;
        }
    }
}

fn agent(redis: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushbench"));
    command.args(["agent", "--redis", redis]).env_remove("JOB_COMPLETION_INDEX");
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap()
}

#[tokio::test]
async fn agents_measure_one_job_after_the_other() {
    let rig = Rig::start().await;
    for transports in ["tcp,long-polling", "websocket,socketio"] {
        let bench = Bench::new(&[&format!("transports={transports}")]).await;
        rig.load(&bench).end().await.assert_completed();
        let (records, folder) = (bench.records(), results::load(&bench.results()).unwrap());
        assert_eq!((folder.manifest.state, folder.manifest.generators), (State::Complete, 3));
        assert!(!folder.manifest.command.join(" ").contains("unix://"), "an address may have a password");
        for record in &records {
            assert_valid(record);
            let received = record.ledger.received;
            assert_eq!((record.total.delivered, record.planned.clients), (received, 20), "{}", record.transport);
            let by_second = record.seconds.iter().map(|second| second.delivered).sum::<u64>();
            assert_eq!(by_second, received, "{} {:?}", record.transport, record.seconds);
            let delivery = &bench.histograms(record.run)["delivery_latency"];
            assert_eq!(delivery.len(), record.planned.deliveries_in_window, "{}", record.transport);
        }
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_lost_agent_ends_its_run_and_the_others_are_free() {
    let rig = Rig::start().await;
    let bench = Bench::new(&LONG).await;
    let job = rig.in_the_window(&bench).await;
    let lost = rig.pids()[1];
    let of_lost = children(lost)[0];
    signal(lost, Signal::SIGKILL);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    let record = bench.record();
    let reasons = record.verdict.reasons.join("; ");
    assert!(reasons.contains("was lost: it was silent for 3 s") && reasons.contains(" of 3 ("), "{reasons}");
    assert!(record.total.delivered > 0, "the data of the others is kept");
    until_gone(of_lost).await;
    for agent in rig.pids().into_iter().filter(|agent| *agent != lost) {
        assert!(exists(agent));
        until("the end of the load", async || children(agent).is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn agents_end_the_load_of_a_job_that_is_killed() {
    let rig = Rig::start().await;
    let bench = Bench::new(&LONG).await;
    let job = rig.in_the_window(&bench).await;
    signal(job.pid(), Signal::SIGKILL);
    assert_eq!(job.end().await.code, None);
    rig.until_idle().await;
    assert!(rig.pids().into_iter().all(exists), "they wait for the next job");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_named() {
    let bench = Bench::new(&LONG).await;
    let server = Server::start(&[]).await;
    let target = server.target();
    let more = ["--agents", "2", "--redis", "redis://127.0.0.1:9"];
    let args: Vec<_> = target.iter().map(String::as_str).chain(more).collect();
    let ended = bench.start("load", &args).end().await;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.err.contains("Redis at 127.0.0.1:9 does not answer"), "{}", ended.err);
    assert_eq!(ended.err.matches("os error").count(), 1, "{}", ended.err);
    let without = bench.start("load", &args[..args.len() - 2]).end().await;
    assert_eq!(without.code, Some(2), "{without:#?}");
    assert!(without.err.contains("--agents N and --redis URL belong together"), "{}", without.err);
}
