//! `pushbench agent`: makes load on this machine for jobs on others. It passes lines on between Redis
//! and a load generator, and shows that it lives, in a process that is not busy.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use redis::aio::MultiplexedConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::exchange::{ALIVE_EVERY, ENDED, Exchange, Lines, Registration, SILENT_MAX, alive, build, claim};
use crate::machine;
use crate::precedence::Precedence;
use crate::print;
use crate::run::{Command, Order, Pipe};
use crate::signals::stoppable;
use crate::values::is_near;

/// Pause before a Redis that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
const LINES_MAX: usize = 16;

/// Make load on this machine for jobs on others (`pushbench load --agents N --redis URL`)
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address of the Redis over which jobs find it, such as redis://10.0.0.5:6379. Not the one that
    /// keeps the messages of the servers under test: its traffic would be measured
    #[arg(long, env = "PUSHBENCH_REDIS", hide_env_values = true, value_name = "URL")]
    redis: String,

    /// Number of this agent, from 0, where jobs are to say which one is missing
    #[arg(long, env = "JOB_COMPLETION_INDEX", value_name = "N")]
    index: Option<u32>,

    /// Cores to make load on, such as 0 or 0,1 [default: all that the process may use]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cores: Vec<usize>,
}

const EXAMPLES: &str = "\
Examples:
  pushbench agent --redis redis://10.0.0.5:6379
  pushbench load scale --agents 2 --redis redis://10.0.0.5:6379 \\
    --target http://10.0.0.6:8080 --target http://10.0.0.7:8080 \\
    --set slices=1 --set clients=40000";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    machine::raise_open_files().ok();
    stoppable(async |stop| {
        let agent = Agent::new(args)?;
        // An address that is wrong is an error now; one that fails later may come back.
        agent.exchange.connect().await?;
        print::warn(&format!("agent {} waits for jobs at {}", agent.registration.id, agent.exchange.address()));
        stop.run_until_cancelled(agent.work()).await;
        Ok(ExitCode::SUCCESS)
    })
}

struct Agent {
    exchange: Exchange,
    registration: Registration,
    cores: Vec<usize>,
}

impl Agent {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let id = format!("{}-{}", machine::host_name(), std::process::id());
        let registration = Registration { id, build: build(), index: args.index };
        let cores = if args.cores.is_empty() { machine::cores() } else { args.cores.clone() };
        Ok(Self { exchange: Exchange::new(&args.redis)?, registration, cores })
    }

    /// Works for one job after the other. An agent that cannot serve its job is silent, and so is lost
    /// to it.
    async fn work(&self) {
        loop {
            let (claimed, claims) = watch::channel(None);
            tokio::select! {
                () = self.live(claimed) => {}
                failed = self.serve_jobs(claims) => if let Err(error) = failed {
                    print::error(&error);
                }
            }
            sleep(SILENT_MAX + PAUSE).await;
        }
    }

    /// Shows that this agent lives, and asks which job it works for.
    async fn live(&self, claimed: watch::Sender<Option<String>>) {
        loop {
            if let Err(error) = self.live_on_one_connection(&claimed).await {
                tracing::warn!("{error:#}");
                claimed.send_replace(None);
            }
            sleep(PAUSE).await;
        }
    }

    async fn live_on_one_connection(&self, claimed: &watch::Sender<Option<String>>) -> anyhow::Result<()> {
        let mut connection = self.exchange.connect().await?;
        let id = &self.registration.id;
        let said = serde_json::to_string(&self.registration)?;
        loop {
            let mut both = redis::pipe();
            both.cmd("SET").arg(alive(id)).arg(&said).arg("PX").arg(SILENT_MAX.as_millis() as u64).ignore();
            both.cmd("GET").arg(claim(id));
            let (job,): (Option<String>,) = both.query_async(&mut connection).await?;
            claimed.send_if_modified(|known| std::mem::replace(known, job.clone()) != job);
            sleep(ALIVE_EVERY).await;
        }
    }

    async fn serve_jobs(&self, mut claims: watch::Receiver<Option<String>>) -> anyhow::Result<()> {
        loop {
            let job = claims.borrow_and_update().clone();
            let serving = async {
                let Some(job) = &job else { return std::future::pending().await };
                print::warn(&format!("works for job {job}"));
                self.serve(job).await
            };
            // The load generator ends with the future that leads it.
            tokio::select! {
                changed = claims.changed() => changed?,
                failed = serving => return failed,
            }
            if job.is_some() {
                print::warn("waits for the next job");
            }
        }
    }

    /// The order in a line, for the cores of this machine.
    fn order(&self, line: &str) -> anyhow::Result<Order> {
        let order: Order = serde_json::from_str(line).context("this is no order")?;
        let nodes = &order.target.nodes;
        ensure!(
            nodes.iter().all(|node| is_near(&node.http) && is_near(&node.tcp)),
            "the job wants load on {nodes:?}, but only loopback and private addresses are measured"
        );
        Ok(Order { cores: self.cores.clone(), never_sleeps: false, ..order })
    }

    /// Makes one run after the other, until the job's claim ends.
    async fn serve(&self, job: &str) -> anyhow::Result<()> {
        let (offset_us, _) = self.exchange.clock().await?;
        let id = &self.registration.id;
        let (mut orders, mut answers) = (self.exchange.connect().await?, self.exchange.connect().await?);
        let (from_job, to_job) = (Lines::to_agent(job, id), Lines::from_agent(job, id));
        let (sender, mut lines) = mpsc::channel(LINES_MAX);
        let reading = async {
            loop {
                if let Some(line) = from_job.next(&mut orders).await? {
                    sender.send(line).await?;
                }
            }
        };
        let running = async {
            while let Some(line) = lines.recv().await {
                let ended = match self.order(&line) {
                    Ok(order) => relay(&order, &mut lines, offset_us, (&to_job, &mut answers)).await,
                    Err(error) => Err(error),
                };
                let ended = ended.unwrap_or_else(|error| format!("{error:#}"));
                to_job.say(&mut answers, &format!("{ENDED}{ended}")).await?;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            ended = reading => ended,
            ended = running => ended,
        }
    }
}

/// One run: passes on what the job and the load generator say. Returns how the generator ended.
async fn relay(
    order: &Order,
    lines: &mut mpsc::Receiver<String>,
    offset_us: i64,
    (to_job, answers): (&Lines, &mut MultiplexedConnection),
) -> anyhow::Result<String> {
    let mut pipe = Pipe::start(Precedence::Equal).await?;
    pipe.send(&serde_json::to_string(order)?).await?;
    loop {
        tokio::select! {
            line = pipe.next_line() => match line? {
                Some(line) => to_job.say(answers, &line).await?,
                None => return pipe.how_it_ended().await,
            },
            line = lines.recv() => {
                let line = line.context("the job has ended")?;
                // A generator that has ended reads no more; its end is told next.
                pipe.send(&on_this_clock(&line, offset_us)?).await.ok();
            }
        }
    }
}

/// Starts of slices are given on the clock of Redis.
fn on_this_clock(line: &str, offset_us: i64) -> anyhow::Result<String> {
    match serde_json::from_str(line).context("the job said no command")? {
        Command::Slice { pids, start_us: Some(start_us) } => {
            let start_us = Some(start_us.saturating_add_signed(-offset_us));
            Ok(serde_json::to_string(&Command::Slice { pids, start_us })?)
        }
        _ => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_come_to_the_clock_of_this_machine_and_other_commands_stay() {
        let slice =
            |start_us| serde_json::to_string(&Command::Slice { pids: vec![7], start_us: Some(start_us) }).unwrap();
        assert_eq!(on_this_clock(&slice(1_000), 300).unwrap(), slice(700));
        assert_eq!(on_this_clock(&slice(1_000), -300).unwrap(), slice(1_300));
        let open = serde_json::to_string(&Command::Open).unwrap();
        assert_eq!(on_this_clock(&open, 300).unwrap(), open);
        assert!(on_this_clock("hello", 0).is_err());
    }
}
