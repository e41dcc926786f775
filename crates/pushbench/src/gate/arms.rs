//! Who is compared: a command line that starts a server, or the address of one that runs.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use loadgen::Target;
use scenario::{ExternalServer, Plan, Protocol};
use wire::Transport;

use crate::run::{Foreign, Launch, Patient, ServerProcess, start_in};

/// A server that takes longer to listen is not coming.
const READY_WITHIN_S: f64 = 10.0;

/// As written on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    pub(crate) text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A build of this program; ports and limits follow from the plan, and it says where it listens.
    Ours(Launch),
    /// Any other server: `{port}` in its words becomes a free port.
    Theirs(Box<ExternalServer>),
    /// It runs already, and goes on.
    Running(Target),
}

impl Arm {
    /// This program's own server.
    pub(crate) fn own() -> anyhow::Result<Self> {
        let launch = Launch::own()?;
        Ok(Self { text: launch.words.join(" "), kind: Kind::Ours(launch) })
    }

    /// Whether somebody else has started it, and may use it too.
    pub(crate) const fn is_found(&self) -> bool {
        matches!(self.kind, Kind::Running(_))
    }

    /// Starts it, or points to it.
    pub(crate) async fn patient(&self, plan: &Plan, transport: Transport, cores: &[usize]) -> anyhow::Result<Patient> {
        let started = match &self.kind {
            Kind::Ours(launch) => ServerProcess::launch(launch, plan, transport, cores).await,
            Kind::Theirs(peer) => start_in(peer, Path::new("."), cores).await,
            Kind::Running(target) => {
                let address = if transport.is_http() { target.http } else { target.tcp };
                let answers = tokio::net::TcpStream::connect(address).await;
                answers.with_context(|| format!("{:?}: nobody listens on {address}", self.text))?;
                return Ok(Patient::Found(Foreign { target: target.clone(), meter: None }));
            }
        };
        started.map(|server| Patient::Started(Box::new(server))).with_context(|| match &self.kind {
            Kind::Ours(_) => {
                format!(
                    "cannot measure {:?} as a build of pushbench (another server takes {{port}} in its command)",
                    self.text
                )
            }
            Kind::Theirs(_) | Kind::Running(_) => format!("cannot measure {:?}", self.text),
        })
    }
}

impl std::str::FromStr for Arm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |kind| Ok(Self { text: text.to_owned(), kind });
        if let Some(authority) = text.strip_prefix("http://") {
            let address = authority.trim_end_matches('/').replace("localhost", "127.0.0.1");
            let http: SocketAddr = address
                .parse()
                .map_err(|_| "it is no address with a port; write it as http://127.0.0.1:8080".to_owned())?;
            if !http.ip().is_loopback() {
                return Err("load is only sent to loopback addresses; run the server on this machine".to_owned());
            }
            // Where our own server has it, beside the HTTP port.
            let tcp = SocketAddr::new(http.ip(), http.port().saturating_add(1));
            return named(Kind::Running(Target {
                http,
                tcp,
                token: std::env::var("PUSHBENCH_TOKEN").ok(),
                protocol: Protocol::Pushbench,
            }));
        }
        let launch = Launch::parse(text)?;
        if let Some(program) = launch.words.first().filter(|program| !is_program(program)) {
            return Err(format!("there is no program {program}; build it first, or correct its path"));
        }
        if text.contains("{port}") {
            let server = ExternalServer::new(text.to_owned(), launch.words, Transport::ALL.into(), READY_WITHIN_S);
            return named(Kind::Theirs(Box::new(server)));
        }
        // A build of ours is told to serve, by itself where its words are its path alone; it chooses its ports, and says which.
        if launch.words.iter().skip(1).all(|word| word != "serve") {
            return Err("it lacks {port}, where the server's port goes; only `PUSHBENCH serve …` needs none".to_owned());
        }
        named(Kind::Ours(launch))
    }
}

/// Whether there is such a program: at its path, or by its name in a folder of `PATH`.
fn is_program(word: &str) -> bool {
    let here = |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if word.contains('/') {
        return here(Path::new(word));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| here(&folder.join(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_may_be() {
        let kind = |text: &str| text.parse::<Arm>().map(|arm| arm.kind);
        assert!(matches!(kind("/bin/sh"), Ok(Kind::Ours(launch)) if launch.words == ["/bin/sh", "serve"]));
        let quoted = kind("'sh' serve --allow-slowdown");
        assert!(matches!(quoted, Ok(Kind::Ours(launch)) if launch.words == ["sh", "serve", "--allow-slowdown"]));
        assert!(matches!(kind("sh chat.sh {port}"), Ok(Kind::Theirs(_))));
        assert!(matches!(kind("http://localhost:8080/"), Ok(Kind::Running(_))));
        for (bad, why) in [
            ("", "a command line is needed"),
            ("'open", "has a quote without its other"),
            ("/does/not/exist {port}", "there is no program /does/not/exist; build it first"),
            ("no-such-program-anywhere", "there is no program no-such-program-anywhere"),
            ("/bin", "there is no program /bin"),
            ("sh chat.sh 8080", "it lacks {port}"),
            ("http://example.org:80", "it is no address with a port; write it as http://127.0.0.1:8080"),
            ("http://127.0.0.1", "it is no address with a port"),
            ("http://192.0.2.1:80", "load is only sent to loopback addresses; run the server on this machine"),
        ] {
            let found = kind(bad).unwrap_err();
            assert!(found.contains(why), "{bad}: {found}");
        }
    }
}
