//! The servers that a gate compares: a command line that starts one, or the URL of one that is
//! running.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use loadgen::{Node, Target};
use scenario::ExternalServer;
use wire::Transport;

use crate::machine::is_program;
use crate::run::{AttachedServer, ServerCommand, ServerSource};
use crate::values::loopback_url;

/// Time within which an external server has to accept connections.
const READY_WITHIN_S: f64 = 10.0;

/// The base or the head of a gate.
#[derive(Debug, Clone)]
pub(crate) struct GateServer {
    /// As written on the command line.
    pub(crate) text: String,
    pub(crate) source: ServerSource,
}

impl GateServer {
    /// The server inside this program.
    pub(crate) fn own() -> anyhow::Result<Self> {
        let command = ServerCommand::own()?;
        Ok(Self { text: command.words.join(" "), source: ServerSource::BuiltIn(command) })
    }

    /// The same server with the protocol of a target, and ready as that one is. A build of pushbench has
    /// its own.
    pub(crate) fn like(mut self, target: &ExternalServer) -> Self {
        if let ServerSource::External { server, .. } = &mut self.source {
            let command = server.command.clone();
            let like =
                ExternalServer { name: server.name.clone(), command, needs: None, prepare: None, ..target.clone() };
            *server = Arc::new(like);
        }
        self
    }

    /// Whether a command line with {port} starts it.
    pub(crate) const fn is_started(&self) -> bool {
        matches!(self.source, ServerSource::External { .. })
    }

    /// Whether it was running already, so that other clients may use it too.
    pub(crate) const fn is_attached(&self) -> bool {
        matches!(self.source, ServerSource::Attached(_))
    }
}

impl std::str::FromStr for GateServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |source| Ok(Self { text: text.to_owned(), source });
        if text.starts_with("http://") || text.starts_with("https://") {
            let http = loopback_url(text)?;
            // The built-in server's default: raw TCP on the port after HTTP.
            let tcp = SocketAddr::new(http.ip(), http.port().saturating_add(1));
            let token = std::env::var("PUSHBENCH_TOKEN").ok();
            let target = Target { token, ..Target::of(Node { http, tcp }) };
            return named(ServerSource::Attached(AttachedServer { target, process: None }));
        }
        let command = ServerCommand::parse(text)?;
        if let Some(program) = command.words.first().filter(|program| !is_program(program)) {
            return Err(format!("there is no program {program}; build it first, or correct its path"));
        }
        if text.contains("{port}") {
            let server = ExternalServer::new(text.to_owned(), command.words, Transport::ALL.into(), READY_WITHIN_S);
            return named(ServerSource::External { server: Arc::new(server), folder: PathBuf::from(".") });
        }
        if command.words.iter().skip(1).all(|word| word != "serve") {
            return Err(
                "it has no {port}, which becomes the server's port; only `PUSHBENCH serve …` needs none".to_owned()
            );
        }
        named(ServerSource::BuiltIn(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_build_a_command_line_with_a_port_or_a_url() {
        let kind = |text: &str| text.parse::<GateServer>().map(|server| server.source);
        assert!(matches!(kind("/bin/sh"), Ok(ServerSource::BuiltIn(command)) if command.words == ["/bin/sh", "serve"]));
        let quoted = kind("'sh' serve --allow-remote");
        assert!(
            matches!(quoted, Ok(ServerSource::BuiltIn(command)) if command.words == ["sh", "serve", "--allow-remote"])
        );
        assert!(matches!(kind("sh chat.sh {port}"), Ok(ServerSource::External { .. })));
        assert!(matches!(kind("http://localhost:8080/"), Ok(ServerSource::Attached(_))));
        for (bad, why) in [
            ("", "a command line is needed"),
            ("'open", "has an unclosed quote"),
            ("/does/not/exist {port}", "there is no program /does/not/exist; build it first"),
            ("no-such-program-anywhere", "there is no program no-such-program-anywhere"),
            ("/bin", "there is no program /bin"),
            ("sh chat.sh 8080", "it has no {port}"),
            ("http://example.org:80", "only loopback addresses are measured"),
            ("http://127.0.0.1", "it has no port"),
            ("http://192.0.2.1:80", "only loopback addresses are measured"),
        ] {
            let found = kind(bad).unwrap_err();
            assert!(found.contains(why), "{bad}: {found}");
        }
    }
}
