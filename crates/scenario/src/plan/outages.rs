//! Whether the outages of a scenario can happen in it.

use crate::error::ScenarioError;
use crate::file::{Log, ScenarioFile};
use crate::outage::OutageKind;

/// Checks that each outage can happen in this scenario.
pub(super) fn check(file: &ScenarioFile) -> Result<(), ScenarioError> {
    for (at, outage) in file.outage.iter().enumerate() {
        let conflict = |key: &str, found: String, why: String| {
            Err(ScenarioError::conflict(&format!("outage[{}].{key}", at + 1), found, why))
        };
        let ends_at = outage.at_s + outage.for_s.unwrap_or(0.0);
        if !file.target.is_empty() {
            let why = "outages are of the servers of this program: leave [[target]] out";
            return conflict("what", outage.what.name().to_owned(), why.into());
        }
        if file.slices.is_none() {
            return conflict(
                "at_s",
                outage.at_s.to_string(),
                "an outage needs one long window: write slices = 1".into(),
            );
        }
        if ends_at > file.phases.window_s {
            let why = format!("it would end after phases.window_s = {}: write less", file.phases.window_s);
            return conflict("at_s", outage.at_s.to_string(), why);
        }
        if outage.what.is_of_log() && file.log == Log::Memory {
            return conflict(
                "what",
                outage.what.name().to_owned(),
                "there is no shared log: write log = \"redis\"".into(),
            );
        }
        if !outage.what.is_of_log() && outage.node > file.nodes {
            return conflict("node", outage.node.to_string(), format!("nodes is {}: write at most that", file.nodes));
        }
        match (outage.what, outage.for_s) {
            (OutageKind::KillNode, Some(for_s)) => {
                return conflict(
                    "for_s",
                    for_s.to_string(),
                    "a server that was killed stays away: leave this out".into(),
                );
            }
            (OutageKind::KillNode, None) | (_, Some(_)) => {}
            (_, None) => {
                return conflict("for_s", "missing".into(), "it has to end: write the time until it goes on".into());
            }
        }
    }
    Ok(())
}
