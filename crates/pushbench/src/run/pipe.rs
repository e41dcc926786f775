//! A load generator on this machine: a process of its own, led over its standard input. It never
//! outlives this program.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::output::Output;
use super::server_process::program;
use crate::precedence::Precedence;

const END_MAX: Duration = Duration::from_secs(20);

/// A started load generator.
pub(crate) struct Pipe {
    child: Child,
    /// The process ends when this is closed.
    stdin: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    output: Output,
}

impl Pipe {
    pub(crate) async fn start(precedence: Precedence) -> anyhow::Result<Self> {
        let mut command = Command::new(program()?);
        command.arg("generate").env_remove("PUSHBENCH_TOKEN").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = precedence.spawn(&mut command).await.context("cannot start the load generator")?;
        let mut output = Output::default();
        output.pass_on(child.stderr.take().context("the load generator has no standard error")?);
        let stdout = child.stdout.take().context("the load generator has no standard output")?;
        let stdin = child.stdin.take().context("the load generator has no standard input")?;
        Ok(Self { child, stdin, said: BufReader::new(stdout).lines(), output })
    }

    pub(crate) async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let line = format!("{line}\n");
        Ok(self.stdin.write_all(line.as_bytes()).await?)
    }

    /// What it says; `None` when it has ended.
    pub(crate) async fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        Ok(self.said.next_line().await?)
    }

    /// Its status and its last lines, once it has ended.
    pub(crate) async fn how_it_ended(&mut self) -> anyhow::Result<String> {
        self.output.end().await;
        let (status, last) = (self.child.wait().await?, self.output.last_lines().join("; "));
        Ok(if last.is_empty() { status.to_string() } else { format!("{status}: {last}") })
    }

    /// Waits for its end, and kills it when that takes too long.
    pub(crate) async fn end(mut self) {
        drop(self.stdin);
        if tokio::time::timeout(END_MAX, self.child.wait()).await.is_err() {
            self.child.kill().await.ok();
        }
        self.output.end().await;
    }
}
