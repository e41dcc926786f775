//! The agents of a job: found, claimed, watched, and led over Redis.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use redis::Script;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::exchange::{
    CLAIM_EVERY, CLAIM_MAX, ENDED, Exchange, Lines, Registration, SILENT_MAX, alive, build, claim, now_us,
};
use crate::print;

/// Longest wait for agents.
const GATHER_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LINES_MAX: usize = 64;

/// The agents that work for a job. They are free again when this is dropped, or soon after.
pub(crate) struct Crew {
    exchange: Exchange,
    job: String,
    members: Vec<Member>,
    /// Time of Redis minus time of this machine.
    offset_us: i64,
    renewing: AbortHandle,
}

struct Member {
    id: String,
    said: Mutex<mpsc::Receiver<anyhow::Result<String>>>,
    reading: AbortHandle,
    /// It makes a run.
    is_busy: AtomicBool,
}

/// A load generator that an agent has started.
pub(crate) struct AgentLink {
    crew: Arc<Crew>,
    at: usize,
    connection: MultiplexedConnection,
    ended: Option<String>,
}

impl Crew {
    /// Waits for agents of this build and claims as many as a job needs.
    pub(crate) async fn gather(url: &str, count: u32) -> anyhow::Result<Arc<Self>> {
        let exchange = Exchange::new(url)?;
        let mut connection = exchange.connect().await?;
        let job = format!("{}-{:x}", std::process::id(), now_us());
        let chosen = choose(&exchange, &mut connection, &job, count).await?;
        let (offset_us, off_by) = exchange.clock().await?;
        let names: Vec<_> = chosen.iter().map(|agent| agent.id.as_str()).collect();
        print::warn(&format!(
            "{count} agents: {}; they start together by the clock of Redis, which is {} µs away at most",
            names.join(", "),
            off_by.as_micros()
        ));
        let mut members = Vec::new();
        for Registration { id, .. } in chosen {
            let (sender, said) = mpsc::channel(LINES_MAX);
            let reading = tokio::spawn(read(exchange.connect().await?, job.clone(), id.clone(), sender));
            let (reading, said) = (reading.abort_handle(), Mutex::new(said));
            members.push(Member { id, said, reading, is_busy: AtomicBool::new(false) });
        }
        let ids = members.iter().map(|member| member.id.clone()).collect();
        let renewing = tokio::spawn(renew(exchange.clone(), job.clone(), ids)).abort_handle();
        Ok(Arc::new(Self { exchange, job, members, offset_us, renewing }))
    }

    /// Time of Redis, in microseconds since 1970.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(now_us() + self.offset_us).unwrap_or(0)
    }

    /// A conversation with the load generator that an agent starts for a run.
    pub(crate) async fn link(self: &Arc<Self>, at: usize) -> anyhow::Result<AgentLink> {
        let connection = self.exchange.connect().await?;
        let member = &self.members[at];
        ensure!(!member.is_busy.swap(true, Relaxed), "agent {} has not ended its last run", member.id);
        Ok(AgentLink { crew: Arc::clone(self), at, connection, ended: None })
    }

    /// Frees the agents.
    pub(crate) async fn free(&self) {
        self.renewing.abort();
        let Ok(mut connection) = self.exchange.connect().await else { return };
        for member in &self.members {
            let freed: Result<(), _> = redis::cmd("DEL").arg(claim(&member.id)).query_async(&mut connection).await;
            freed.ok();
            Lines::to_agent(&self.job, &member.id).remove(&mut connection).await.ok();
            Lines::from_agent(&self.job, &member.id).remove(&mut connection).await.ok();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.renewing.abort();
        self.members.iter().for_each(|member| member.reading.abort());
    }
}

impl AgentLink {
    /// Name of the agent.
    pub(crate) fn name(&self) -> &str {
        &self.member().id
    }

    fn member(&self) -> &Member {
        &self.crew.members[self.at]
    }

    pub(crate) async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let lines = Lines::to_agent(&self.crew.job, &self.crew.members[self.at].id);
        lines.say(&mut self.connection, line).await
    }

    /// What the load generator says; `None` when it has ended.
    pub(crate) async fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        if self.ended.is_some() {
            return Ok(None);
        }
        let said = self.member().said.lock().await.recv().await;
        match said {
            Some(Ok(line)) => match line.strip_prefix(ENDED) {
                Some(ended) => {
                    self.ended = Some(print::harmless(ended));
                    self.member().is_busy.store(false, Relaxed);
                    Ok(None)
                }
                None => Ok(Some(line)),
            },
            Some(Err(error)) => Err(error),
            None => bail!("it was lost"),
        }
    }

    /// How it has ended, as its agent says.
    pub(crate) fn how_it_ended(&self) -> String {
        self.ended.clone().unwrap_or_default()
    }
}

/// Reads what an agent says, and whether it lives while it says nothing. After an error there is
/// nothing more.
async fn read(
    mut connection: MultiplexedConnection,
    job: String,
    agent: String,
    said: mpsc::Sender<anyhow::Result<String>>,
) {
    let lines = Lines::from_agent(&job, &agent);
    loop {
        let line = match lines.next(&mut connection).await {
            Ok(None) => match lives(&mut connection, &agent).await {
                Ok(true) => continue,
                Ok(false) => Err(anyhow!("agent {agent} was lost: it was silent for {} s", SILENT_MAX.as_secs())),
                Err(error) => Err(error),
            },
            Ok(Some(line)) => Ok(line),
            Err(error) => Err(error),
        };
        let failed = line.is_err();
        if said.send(line).await.is_err() || failed {
            return;
        }
    }
}

async fn lives(connection: &mut MultiplexedConnection, agent: &str) -> anyhow::Result<bool> {
    Ok(redis::cmd("EXISTS").arg(alive(agent)).query_async(connection).await?)
}

/// Keeps the claims while the job lives.
async fn renew(exchange: Exchange, job: String, agents: Vec<String>) {
    let script =
        Script::new("return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0");
    loop {
        if let Ok(mut connection) = exchange.connect().await {
            loop {
                let mut failed = false;
                for agent in &agents {
                    let mut renewed = script.key(claim(agent));
                    renewed.arg(&job).arg(CLAIM_MAX.as_millis() as u64);
                    failed |= renewed.invoke_async::<i64>(&mut connection).await.is_err();
                }
                sleep(CLAIM_EVERY).await;
                if failed {
                    break;
                }
            }
        }
        sleep(CLAIM_EVERY).await;
    }
}

/// Waits until there are so many free agents, and claims them.
async fn choose(
    exchange: &Exchange,
    connection: &mut MultiplexedConnection,
    job: &str,
    count: u32,
) -> anyhow::Result<Vec<Registration>> {
    let (begun, mut told) = (Instant::now(), false);
    loop {
        let mut found = exchange.agents(connection).await?;
        found.sort_by(|a, b| (a.index, &a.id).cmp(&(b.index, &b.id)));
        let mut chosen: Vec<Registration> = Vec::new();
        for agent in &found {
            let is_wanted = agent.build == build()
                && chosen.len() < count as usize
                && agent.index.is_none_or(|index| index < count && chosen.iter().all(|one| one.index != agent.index));
            if is_wanted && claimed(connection, job, &agent.id).await? {
                chosen.push(agent.clone());
            }
        }
        if chosen.len() == count as usize {
            return Ok(chosen);
        }
        for agent in &chosen {
            let () = redis::cmd("DEL").arg(claim(&agent.id)).query_async(connection).await?;
        }
        let missing = missing(&found, &chosen, count);
        ensure!(
            begun.elapsed() < GATHER_MAX,
            "{missing}; waited {} s at {}: start more with pushbench agent --redis URL",
            GATHER_MAX.as_secs(),
            exchange.address()
        );
        if !std::mem::replace(&mut told, true) {
            print::warn(&format!("waiting for agents: {missing}"));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Claims an agent, unless another job has it.
async fn claimed(connection: &mut MultiplexedConnection, job: &str, agent: &str) -> anyhow::Result<bool> {
    let mut set = redis::cmd("SET");
    set.arg(claim(agent)).arg(job).arg("NX").arg("PX").arg(CLAIM_MAX.as_millis() as u64);
    let done: Option<String> = set.query_async(connection).await?;
    Ok(done.is_some())
}

/// What is there, and what is not.
fn missing(found: &[Registration], chosen: &[Registration], count: u32) -> String {
    let mut said = format!("{} of {count} agents are ready", chosen.len());
    let have: BTreeSet<u32> = chosen.iter().filter_map(|agent| agent.index).collect();
    if !have.is_empty() {
        let wanted: Vec<_> = (0..count).filter(|index| !have.contains(index)).map(|index| index.to_string()).collect();
        said += &format!(", without number {}", wanted.join(", "));
    }
    for agent in found.iter().filter(|agent| !chosen.contains(agent)) {
        said += &match agent.build == build() {
            false => format!("; {} is build {}, and this is build {}", agent.id, agent.build, build()),
            true => match agent.index {
                Some(index) if index >= count || have.contains(&index) => format!("; {} is number {index}", agent.id),
                _ => format!("; {} works for another job", agent.id),
            },
        };
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, build: &str, index: Option<u32>) -> Registration {
        Registration { id: id.to_owned(), build: build.to_owned(), index }
    }

    #[test]
    fn what_is_missing_has_its_name_and_its_reason() {
        let own = build();
        let (a, b) = (agent("a", &own, None), agent("b", "0.0.1", None));
        let said = missing(&[a.clone(), b], std::slice::from_ref(&a), 2);
        assert_eq!(said, format!("1 of 2 agents are ready; b is build 0.0.1, and this is build {own}"));
        let all: Vec<_> = [0, 2, 2, 7].map(|index| agent(&format!("n{index}"), &own, Some(index))).into();
        let said = missing(&all, &all[..2], 4);
        assert_eq!(said, "2 of 4 agents are ready, without number 1, 3; n7 is number 7");
        assert_eq!(missing(&[a], &[], 1), "0 of 1 agents are ready; a works for another job");
        assert_eq!(missing(&[], &[], 3), "0 of 3 agents are ready");
    }
}
