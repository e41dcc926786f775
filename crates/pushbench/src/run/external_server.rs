//! Somebody else's server: started as the scenario says, on a free port, and held to being ready in time. From then on it is a server
//! process like ours.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::Target;
use scenario::ExternalServer;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::oneshot;

use super::process_usage::ProcessUsageReader;
use super::server_process::{BEFORE_READY, ServerProcess, crash, not_ready, program, spawn};
use crate::process_tree;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Where a target is started, seen from here.
pub(crate) fn folder(server: &ExternalServer, scenario_file: &str) -> PathBuf {
    let beside = Path::new(scenario_file).parent().unwrap_or(Path::new(""));
    match beside.join(&server.folder) {
        folder if folder.as_os_str().is_empty() => PathBuf::from("."),
        folder => folder.components().collect(),
    }
}

/// What is not there and has to be: the thing, and what to do.
pub(crate) fn missing(server: &ExternalServer, scenario_file: &str) -> Option<(String, String)> {
    let folder = folder(server, scenario_file);
    if !folder.is_dir() {
        return Some((format!("{} is no folder", folder.display()), "correct its folder in the scenario".to_owned()));
    }
    let needs = server.needs.as_ref()?;
    if folder.join(needs).exists() {
        return None;
    }
    let prepare = server.prepare.as_ref().map_or("make it".to_owned(), |command| format!("run `{command}`"));
    Some((format!("{} is not there", folder.join(needs).display()), format!("{prepare} in {}", folder.display())))
}

/// Starts it and waits until it is ready.
pub(crate) async fn start(
    server: &ExternalServer,
    scenario_file: &str,
    cores: &[usize],
) -> anyhow::Result<ServerProcess> {
    start_in(server, &folder(server, scenario_file), cores).await.with_context(|| format!("target {}", server.name))
}

/// The same, in this folder.
pub(crate) async fn start_in(server: &ExternalServer, folder: &Path, cores: &[usize]) -> anyhow::Result<ServerProcess> {
    let port = free_port().context("no free port")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut command = Command::new(program()?);
    command.arg("exec");
    if !cores.is_empty() {
        command.args(["--cores", &cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")]);
    }
    command.arg("--").args(server.command.0.iter().map(|word| word.replace("{port}", &port.to_string())));
    command.current_dir(folder).env_remove("PUSHBENCH_TOKEN").process_group(0);
    let spawned = spawn(command).with_context(|| format!("cannot start it in {}", folder.display()));
    let (mut child, stdout, mut output) = spawned?;
    let stdin = child.stdin.take();
    let said = match &server.ready {
        Some(text) => Some(output.follow_until(stdout, text)),
        None => {
            output.follow(stdout);
            None
        }
    };
    let within = server.ready_within();
    tokio::select! {
        _ = child.wait() => bail!(crash(&mut child, &mut output, BEFORE_READY).await),
        ready = tokio::time::timeout(within, until_ready(said, address)) => if ready.is_err() {
            drop(stdin);
            child.wait().await.ok();
            output.end().await;
            bail!(not_ready(within, &wanted(server), &output));
        },
    }
    let pid = process_tree::children(child.id().context("it has ended")?).first().copied();
    let target = Target { http: address, tcp: address, token: None, protocol: server.protocol() };
    Ok(ServerProcess {
        child,
        stdin,
        target,
        process: pid.and_then(|pid| ProcessUsageReader::attach(pid).ok()),
        reports_stats: false,
        output,
    })
}

/// Until it has said that it is ready, or, where it does not say so, until its port accepts.
async fn until_ready(said: Option<oneshot::Receiver<()>>, address: SocketAddr) {
    match said {
        Some(said) => {
            if said.await.is_err() {
                // Who closed its output will never say it; its end is seen by who waits for that.
                std::future::pending::<()>().await;
            }
        }
        None => {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }
}

fn wanted(server: &ExternalServer) -> String {
    match &server.ready {
        None => "its port does not accept; does it listen on {port} of 127.0.0.1?".to_owned(),
        Some(text) => format!("its standard output did not contain {text:?}"),
    }
}

/// A port nobody listens on at this moment.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
