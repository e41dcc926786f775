//! `pushbench try`: two clients that join a target of a scenario and exchange messages, with every
//! byte in plain view.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use loadgen::{Attempt, Traced};
use scenario::ExternalServer;

use crate::print;
use crate::run::{missing, target_folder, try_target};
use crate::scenarios;
use crate::signals::runtime;

/// Lines and letters of one message that are shown.
const LINES_MAX: usize = 20;
const LETTERS_MAX: usize = 160;

/// Try the targets of a scenario: two clients join and post; shows what is sent and received
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench try mine.toml
  pushbench try mine.toml my-server")]
pub(crate) struct Args {
    /// Scenario file, or the name of a shipped scenario
    scenario: std::path::PathBuf,
    /// Name of a target; without it, all of them
    target: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let job = scenarios::load(&args.scenario, &[])?;
    let plan = Arc::new(job.plans.first().context("the scenario has no plan")?.clone());
    let targets = &plan.external_servers;
    if targets.is_empty() {
        bail!("{} has no [[target]] to try", args.scenario.display());
    }
    let is_asked = |server: &&Arc<ExternalServer>| args.target.as_ref().is_none_or(|name| server.name == *name);
    let servers: Vec<_> = targets.iter().filter(is_asked).collect();
    if let (Some(asked), true) = (&args.target, servers.is_empty()) {
        let names: Vec<_> = targets.iter().map(|server| server.name.as_str()).collect();
        bail!("{} has no target {asked}; it has {}", args.scenario.display(), names.join(", "));
    }
    let mut failed = false;
    for server in servers {
        for transport in &server.transports {
            say(&format!("{transport} @ {}: {}", server.name, server.command.0.join(" ")));
            let folder = target_folder(server, &job.file);
            let tried = match missing(server, &job.file) {
                Some((found, advice)) => Err(anyhow::anyhow!("{found}: {advice}")),
                None => runtime()?.block_on(try_target(&plan, server, &folder, *transport, &mut show)),
            };
            match tried {
                Ok(()) => say("  works: both posts were delivered and acknowledged\n"),
                Err(error) => {
                    failed = true;
                    say(&format!("  stopped: {error:#}\n"));
                }
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints a line; a reader that has gone needs none.
fn say(line: &str) {
    print::out(&format!("{line}\n")).ok();
}

fn show(attempt: Attempt) {
    match attempt {
        Attempt::Step(step) => say(&format!("  {step}")),
        Attempt::Done(after) => say(&format!("    done {after}")),
        Attempt::Traced(traced) => say(&shown(&traced)),
    }
}

/// A write or read as lines.
fn shown(traced: &Traced) -> String {
    let (arrow, client) = (if traced.sent { "→" } else { "←" }, traced.client + 1);
    if traced.total == 0 {
        return format!("    client {client} {arrow} (the connection has ended)");
    }
    let mut text = String::new();
    let messages = frames(&traced.bytes).unwrap_or_else(|| vec![String::from_utf8_lossy(&traced.bytes).into_owned()]);
    let lines: Vec<_> = messages.iter().flat_map(|message| message.lines()).collect();
    for line in lines.iter().take(LINES_MAX) {
        let begin = if text.is_empty() { format!("    client {client} {arrow} ") } else { "             ".to_owned() };
        let line: String = line.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
        let cut = if line.chars().count() > LETTERS_MAX { "…" } else { "" };
        let line: String = line.chars().take(LETTERS_MAX).collect();
        writeln!(text, "{begin}{line}{cut}").expect("writing to memory does not fail");
    }
    if lines.len() > LINES_MAX || traced.total > traced.bytes.len() {
        writeln!(text, "             … {} bytes in all", traced.total).expect("writing to memory does not fail");
    }
    text.trim_end().to_owned()
}

/// The WebSocket frames that some bytes consist of; `None` if they are something else.
fn frames(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let kind = match first {
            0x81 => "text",
            0x82 => "binary",
            0x88 => "close",
            0x89 => "ping",
            0x8a => "pong",
            _ => return None,
        };
        let (length, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), rest.get(2..)?),
            127 => (usize::try_from(u64::from_be_bytes(rest.get(..8)?.try_into().ok()?)).ok()?, rest.get(8..)?),
            length => (usize::from(length), rest),
        };
        let (mask, rest) =
            if second & 0x80 == 0 { ([0; 4], rest) } else { (rest.get(..4)?.try_into().ok()?, rest.get(4..)?) };
        let payload = rest.get(..length).unwrap_or(rest);
        let plain: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        found.push(format!("[{kind}] {}", String::from_utf8_lossy(&plain)));
        bytes = &rest[payload.len()..];
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_and_plain_frames_are_readable() {
        let masked = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
        assert_eq!(frames(&masked).unwrap(), ["[text] hi"]);
        assert_eq!(frames(&[&masked[..], &[0x8a, 0]].concat()).unwrap(), ["[text] hi", "[pong] "]);
        assert_eq!(frames(b"HTTP/1.1 200 OK"), None);
    }

    #[test]
    fn long_messages_are_shortened() {
        let bytes = format!("{}\r\n{}", "x".repeat(300), "line\n".repeat(30));
        let traced = Traced { client: 0, sent: true, total: bytes.len(), bytes: bytes.into_bytes() };
        let text = shown(&traced);
        assert!(text.starts_with("    client 1 → xxx") && text.lines().count() == LINES_MAX + 1, "{text}");
        assert!(text.ends_with(" bytes in all") && text.contains('…'), "{text}");
    }
}
