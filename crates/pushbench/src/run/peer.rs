//! Somebody else's server: started as the scenario says, on a free port, and held to being ready in time. From then on it is a server
//! process like ours.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::Target;
use scenario::Peer;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};

use super::meter::Meter;
use super::server_process::{ServerProcess, program};
use crate::family;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of what it said last, for an error.
const LAST_CHARS_MAX: usize = 200;

/// Where a target is started, seen from here.
pub(crate) fn folder(peer: &Peer, scenario_file: &str) -> PathBuf {
    let beside = Path::new(scenario_file).parent().unwrap_or(Path::new(""));
    match beside.join(&peer.folder) {
        folder if folder.as_os_str().is_empty() => PathBuf::from("."),
        folder => folder.components().collect(),
    }
}

/// What is not there and has to be: the thing, and what to do.
pub(crate) fn missing(peer: &Peer, scenario_file: &str) -> Option<(String, String)> {
    let folder = folder(peer, scenario_file);
    if !folder.is_dir() {
        return Some((format!("{} is no folder", folder.display()), "correct its folder in the scenario".to_owned()));
    }
    let (needs, prepare) = peer.needs.as_ref()?;
    if folder.join(needs).exists() {
        return None;
    }
    let prepare = prepare.as_ref().map_or("make it".to_owned(), |command| format!("run `{command}`"));
    Some((format!("{} is not there", folder.join(needs).display()), format!("{prepare} in {}", folder.display())))
}

/// Starts it and waits until it is ready.
pub(crate) async fn start(peer: &Peer, scenario_file: &str, cores: &[usize]) -> anyhow::Result<ServerProcess> {
    start_in(peer, &folder(peer, scenario_file), cores).await.with_context(|| format!("target {}", peer.name))
}

/// The same, in this folder.
pub(crate) async fn start_in(peer: &Peer, folder: &Path, cores: &[usize]) -> anyhow::Result<ServerProcess> {
    let port = free_port().context("no free port")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut command = Command::new(program()?);
    command.arg("exec");
    if !cores.is_empty() {
        command.args(["--cores", &cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")]);
    }
    command.arg("--").args(peer.command.iter().map(|word| word.replace("{port}", &port.to_string())));
    command.current_dir(folder).env_remove("PUSHBENCH_TOKEN").process_group(0);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.with_context(|| format!("cannot start it in {}", folder.display()))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().context("it has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut last = String::new();
    let ready = async {
        match &peer.ready_line {
            Some(text) => until_says(&mut lines, text, &mut last).await,
            None => until_accepts(address).await,
        }
    };
    let within = peer.ready_within;
    tokio::select! {
        status = child.wait() => {
            let status = status.context("cannot wait for it")?;
            bail!("it ended before it was ready ({status}); what it said is above");
        }
        ready = tokio::time::timeout(within, ready) => match ready {
            Ok(ready) => ready?,
            Err(_) => {
                drop(stdin);
                child.wait().await.ok();
                bail!("it was not ready within {} s: {}", within.as_secs_f64(), wanted(peer, &last))
            }
        },
    }
    // It must not wait for a reader of what it says.
    let mut rest = lines.into_inner();
    tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
    let pid = family::children(child.id().context("it has ended")?).first().copied();
    let target = Target { http: address, tcp: address, token: None, dialect: peer.dialect.clone() };
    Ok(ServerProcess {
        child,
        stdin,
        target,
        meter: pid.and_then(|pid| Meter::attach(pid).ok()),
        speaks_of_itself: false,
    })
}

async fn until_says(lines: &mut Lines<BufReader<ChildStdout>>, text: &str, last: &mut String) -> anyhow::Result<()> {
    while let Some(line) = lines.next_line().await.context("what it says cannot be read")? {
        if line.contains(text) {
            return Ok(());
        }
        *last = line;
    }
    // Its end is seen by who waits for it; one that closed its output will never say it.
    std::future::pending().await
}

async fn until_accepts(address: SocketAddr) -> anyhow::Result<()> {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn wanted(peer: &Peer, last: &str) -> String {
    let last: String = last.chars().take(LAST_CHARS_MAX).collect();
    match &peer.ready_line {
        None => "its port does not accept; does it listen on {port} of 127.0.0.1?".to_owned(),
        Some(text) if last.is_empty() => format!("no line of its standard output contained {text:?}; there was none"),
        Some(text) => format!("no line of its standard output contained {text:?}; the last was {last:?}"),
    }
}

/// A port nobody listens on at this moment.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
