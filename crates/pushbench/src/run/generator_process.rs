//! A load generator in a process of its own: how it is started, led and ended. It never outlives
//! this program.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use loadgen::Progress;
use scenario::Share;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};

use super::conversation::{Command, Order, Reply};
use super::output::Output;
use super::server_process::program;
use super::totals::RunTotals;
use crate::precedence::Precedence;

const FINISH_MAX: Duration = Duration::from_secs(20);

/// A started generator.
pub(crate) struct GeneratorProcess {
    child: Child,
    /// The process ends when this is closed.
    stdin: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
    output: Output,
    /// In errors.
    pub(crate) name: String,
}

impl GeneratorProcess {
    /// Starts a generator, which makes its plan; `fingerprint` is that of the plan it has to make.
    pub(crate) async fn start(order: &Order, fingerprint: u64, precedence: Precedence) -> anyhow::Result<Self> {
        let mut command = Program::new(program()?);
        command.arg("generate").env_remove("PUSHBENCH_TOKEN").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = precedence.spawn(&mut command).await.context("cannot start the load generator")?;
        let mut output = Output::default();
        output.pass_on(child.stderr.take().context("the load generator has no standard error")?);
        let stdout = child.stdout.take().context("the load generator has no standard output")?;
        let stdin = child.stdin.take().context("the load generator has no standard input")?;
        let name = match order.share {
            Share::ALL => "the load generator".to_owned(),
            Share { index, of } => format!("load generator {} of {of}", index + 1),
        };
        let mut generator = Self { child, stdin, replies: BufReader::new(stdout).lines(), output, name };
        generator.send(&serde_json::to_string(order)?).await?;
        match generator.reply(|_| ()).await? {
            Reply::Ready { fingerprint: made } => {
                ensure!(made == fingerprint, "the load generator made another plan than the job: this is a bug");
                Ok(generator)
            }
            other => bail!("the load generator began with {other:?}"),
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
        drop(self.stdin);
        if tokio::time::timeout(FINISH_MAX, self.child.wait()).await.is_err() {
            self.child.kill().await.ok();
        }
        self.output.end().await;
        totals.with_context(|| format!("{} did not end in time", self.name))?
    }

    async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let line = format!("{line}\n");
        self.stdin.write_all(line.as_bytes()).await.with_context(|| format!("{} has ended", self.name))
    }

    async fn reply(&mut self, mut on_progress: impl FnMut(Progress)) -> anyhow::Result<Reply> {
        loop {
            let line = self.replies.next_line().await.with_context(|| format!("cannot read from {}", self.name))?;
            let Some(line) = line else {
                self.output.end().await;
                let how = self.child.wait().await?;
                bail!("{} has ended, {how}: {}", self.name, self.output.last_lines().join("; "));
            };
            match serde_json::from_str(&line).with_context(|| format!("{} said {line}", self.name))? {
                Reply::Progress(progress) => on_progress(progress),
                reply => return Ok(reply),
            }
        }
    }
}
