//! External servers: started with the command line of a `[[target]]` or a gate, on free ports, and
//! expected to be ready in time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::{Node, Target};
use scenario::ExternalServer;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::oneshot;

use super::process_usage::ProcessUsageReader;
use super::server_process::{BEFORE_READY, ServerProcess, crash, not_ready, program, spawn};
use crate::precedence::Precedence;
use crate::process_tree;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Working directory of a target, relative to the current one.
pub(crate) fn folder(server: &ExternalServer, scenario_file: &str) -> PathBuf {
    let beside = Path::new(scenario_file).parent().unwrap_or(Path::new(""));
    match beside.join(&server.folder) {
        folder if folder.as_os_str().is_empty() => PathBuf::from("."),
        folder => folder.components().collect(),
    }
}

/// What the target needs and does not exist, and what to do about it.
pub(crate) fn missing(server: &ExternalServer, scenario_file: &str) -> Option<(String, String)> {
    let folder = folder(server, scenario_file);
    if !folder.is_dir() {
        return Some((format!("{} is not a folder", folder.display()), "correct `folder` in the scenario".to_owned()));
    }
    let needs = server.needs.as_ref()?;
    if folder.join(needs).exists() {
        return None;
    }
    let prepare = server.prepare.as_ref().map_or("create it".to_owned(), |command| format!("run `{command}`"));
    Some((format!("{} does not exist", folder.join(needs).display()), format!("{prepare} in {}", folder.display())))
}

/// Starts a server in `folder` and waits until it is ready. `{port}` and `{tcp_port}` in its
/// command become free ports.
pub(crate) async fn start_in(
    server: &ExternalServer,
    folder: &Path,
    cores: &[usize],
    precedence: Precedence,
) -> anyhow::Result<ServerProcess> {
    let [http, tcp] = free_addresses().context("no free port")?;
    let mut command = Command::new(program()?);
    command.arg("exec");
    if !cores.is_empty() {
        command.args(["--cores", &cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")]);
    }
    command.arg("--").args(server.command.0.iter().map(|word| with_ports(word, http, tcp)));
    command.current_dir(folder).env_remove("PUSHBENCH_TOKEN");
    let spawned = spawn(command, precedence).await.with_context(|| format!("cannot start it in {}", folder.display()));
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
        ready = tokio::time::timeout(within, until_ready(said, http)) => if ready.is_err() {
            drop(stdin);
            child.wait().await.ok();
            output.end().await;
            bail!(not_ready(within, &wanted(server), &output));
        },
    }
    let pid = process_tree::children(child.id().context("it has ended")?).first().copied();
    // A server without {tcp_port} has one port for everything.
    let tcp = if server.command.0.iter().any(|word| word.contains("{tcp_port}")) { tcp } else { http };
    let target = Target { protocol: server.protocol.clone().map(Box::new), ..Target::of(Node { http, tcp }) };
    Ok(ServerProcess {
        child,
        stdin,
        target,
        process: pid.and_then(|pid| ProcessUsageReader::attach(pid).ok()),
        reports_stats: false,
        output,
    })
}

/// Waits for the line that says it is ready, or without one until its port accepts connections.
async fn until_ready(said: Option<oneshot::Receiver<()>>, address: SocketAddr) {
    match said {
        Some(said) => {
            if said.await.is_err() {
                // Its output is closed, so the line cannot come; the caller sees the process end.
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
        None => "its port refuses connections; it must listen on {port} of 127.0.0.1".to_owned(),
        Some(text) => format!("its standard output did not contain {text:?}"),
    }
}

/// Two loopback addresses that no process is listening on at this moment.
fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // Both are bound at once, so that they differ.
    let (one, other) = (listen()?, listen()?);
    Ok([one.local_addr()?, other.local_addr()?])
}

fn with_ports(word: &str, http: SocketAddr, tcp: SocketAddr) -> String {
    word.replace("{port}", &http.port().to_string()).replace("{tcp_port}", &tcp.port().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ports_of_a_command_are_free_and_differ() {
        let [http, tcp] = free_addresses().unwrap();
        assert_ne!(http, tcp);
        let word = with_ports("--listen=127.0.0.1:{port},{tcp_port}", http, tcp);
        assert_eq!(word, format!("--listen=127.0.0.1:{},{}", http.port(), tcp.port()));
        TcpListener::bind(tcp).unwrap();
    }
}
