//! A load generator in a process of its own, on this machine or on an agent's: what is said to it, and
//! what it answers.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use loadgen::Progress;
use scenario::Share;

use super::conversation::{Command, Order, Reply};
use super::pipe::Pipe;
use super::totals::RunTotals;
use crate::agents::crew::AgentLink;
use crate::precedence::Precedence;

const FINISH_MAX: Duration = Duration::from_secs(20);

/// A started generator.
pub(crate) struct GeneratorProcess {
    link: Link,
    /// In errors.
    pub(crate) name: String,
}

/// How its lines come and go.
enum Link {
    Pipe(Box<Pipe>),
    Agent(AgentLink),
}

impl Link {
    async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.send(line).await,
            Self::Agent(agent) => agent.send(line).await,
        }
    }

    async fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        match self {
            Self::Pipe(pipe) => pipe.next_line().await,
            Self::Agent(agent) => agent.next_line().await,
        }
    }

    async fn how_it_ended(&mut self) -> anyhow::Result<String> {
        match self {
            Self::Pipe(pipe) => pipe.how_it_ended().await,
            Self::Agent(agent) => Ok(agent.how_it_ended()),
        }
    }

    async fn end(self) {
        match self {
            Self::Pipe(pipe) => pipe.end().await,
            Self::Agent(mut agent) => {
                let ending = async { while let Ok(Some(_)) = agent.next_line().await {} };
                tokio::time::timeout(FINISH_MAX, ending).await.ok();
            }
        }
    }
}

impl GeneratorProcess {
    /// Starts a generator on this machine, or on that of an agent.
    pub(crate) async fn start(
        order: &Order,
        fingerprint: u64,
        agent: Option<AgentLink>,
        precedence: Precedence,
    ) -> anyhow::Result<Self> {
        let Share { index, of } = order.share;
        let name = match &agent {
            Some(agent) => format!("agent {} of {of} ({})", index + 1, agent.name()),
            None if of == 1 => "the load generator".to_owned(),
            None => format!("load generator {} of {of}", index + 1),
        };
        let link = match agent {
            Some(agent) => Link::Agent(agent),
            None => Link::Pipe(Box::new(Pipe::start(precedence).await?)),
        };
        let mut generator = Self { link, name };
        generator.send(&serde_json::to_string(order)?).await?;
        match generator.reply(|_| ()).await? {
            Reply::Ready { fingerprint: made } => {
                ensure!(made == fingerprint, "{} made another plan than the job: this is a bug", generator.name);
                Ok(generator)
            }
            other => bail!("{} began with {other:?}", generator.name),
        }
    }

    /// Says something, and waits for the answer.
    pub(crate) async fn ask(&mut self, command: &Command, on_progress: impl FnMut(Progress)) -> anyhow::Result<Reply> {
        self.send(&serde_json::to_string(command)?).await?;
        self.reply(on_progress).await
    }

    /// Ends the run and the process.
    pub(crate) async fn finish(mut self, command: &Command) -> anyhow::Result<RunTotals> {
        // A generator whose run has failed reads no more.
        self.send(&serde_json::to_string(command)?).await.ok();
        let totals = async {
            loop {
                if let Reply::Finished(totals) = self.reply(|_| ()).await? {
                    return anyhow::Ok(*totals);
                }
            }
        };
        let totals = tokio::time::timeout(FINISH_MAX, totals).await;
        let totals = totals.with_context(|| format!("{} did not end in time", self.name)).flatten();
        self.link.end().await;
        totals
    }

    async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        self.link.send(line).await.with_context(|| format!("{} has ended", self.name))
    }

    async fn reply(&mut self, mut on_progress: impl FnMut(Progress)) -> anyhow::Result<Reply> {
        loop {
            let line = self.link.next_line().await.with_context(|| format!("cannot read from {}", self.name))?;
            let Some(line) = line else {
                bail!("{} has ended, {}", self.name, self.link.how_it_ended().await?);
            };
            match serde_json::from_str(&line).with_context(|| format!("{} said {line}", self.name))? {
                Reply::Progress(progress) => on_progress(progress),
                reply => return Ok(reply),
            }
        }
    }
}
