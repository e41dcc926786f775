//! A subject: a transport of a server, one row of every table.

use std::fmt;

use wire::{BUILTIN_SERVER, Transport};

use crate::RunRecord;

/// A transport of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Name of an external server; `None` is the built-in server, which comes first.
    pub target: Option<String>,
    /// Transport.
    pub transport: Transport,
}

impl Subject {
    /// The baseline: raw TCP on the built-in server.
    pub const BASELINE: Self = Self::builtin(Transport::Tcp);

    /// A transport of the built-in server.
    pub const fn builtin(transport: Transport) -> Self {
        Self { target: None, transport }
    }

    /// A transport of a server by its name.
    pub fn new(transport: Transport, target: &str) -> Self {
        Self { target: (target != BUILTIN_SERVER).then(|| target.to_owned()), transport }
    }

    /// Name of the server.
    pub fn target_name(&self) -> &str {
        self.target.as_deref().unwrap_or(BUILTIN_SERVER)
    }

    /// All subjects of these runs: the built-in server in the order of [`Transport::ALL`], then
    /// external servers by name.
    pub fn all<'a>(records: impl Iterator<Item = &'a RunRecord>) -> Vec<Self> {
        let all: std::collections::BTreeSet<_> = records.map(RunRecord::subject).collect();
        all.into_iter().collect()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            None => self.transport.fmt(f),
            Some(target) => f.pad(&format!("{} @ {target}", self.transport)),
        }
    }
}

impl RunRecord {
    /// The subject of the run.
    pub fn subject(&self) -> Subject {
        Subject::new(self.transport, &self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_the_built_in_server_come_first() {
        let mut records: Vec<_> =
            crate::invented::results_folder(&[10]).runs.into_iter().map(|run| run.record).collect();
        records[0].target = "node-ws".to_owned();
        let (external, transport) = (records[0].subject(), records[0].transport);
        let all = Subject::all(records.iter());
        assert_eq!(all.last(), Some(&external));
        assert_eq!(all[..all.len() - 1], Transport::ALL.map(Subject::builtin));
        assert_eq!(external.to_string(), format!("{transport} @ node-ws"));
        assert_eq!(Subject::BASELINE.to_string(), "tcp");
    }
}
