//! Progress of a round, and how its runs ended.

use std::path::PathBuf;

use loadgen::Progress;
use results::{Folder, RunRecord, VerdictKind};

use super::progress::ProgressLine;
use super::round::{BlockSlice, RoundObserver};
use crate::watch::Watch;

/// Shows a round, and says where its files are.
pub(super) struct RoundProgress<'a> {
    folder: &'a Folder,
    progress: &'a mut ProgressLine,
    watch: Option<&'a mut Watch>,
    blocks: u32,
    /// Kind, subject and reasons of every verdict.
    verdicts: Vec<(VerdictKind, String, String)>,
}

impl<'a> RoundProgress<'a> {
    pub(super) fn new(folder: &'a Folder, progress: &'a mut ProgressLine, watch: Option<&'a mut Watch>) -> Self {
        Self { folder, progress, watch, blocks: 0, verdicts: Vec::new() }
    }

    /// The runs of the round: how many are valid, and why the others are not.
    pub(super) fn summary(&self) -> String {
        match (self.blocks, self.verdicts.as_slice()) {
            (0, [(kind, _, reasons)]) => format!("{kind}{reasons}"),
            (blocks, all) => {
                let (valid, others): (Vec<_>, Vec<_>) = all.iter().partition(|(kind, ..)| *kind == VerdictKind::Valid);
                let others: String =
                    others.iter().map(|(kind, name, reasons)| format!("; {name} {kind}{reasons}")).collect();
                format!("{blocks} blocks, {} of {} runs valid{others}", valid.len(), all.len())
            }
        }
    }
}

impl RoundObserver for RoundProgress<'_> {
    fn log_path(&mut self, run: u32) -> anyhow::Result<Option<PathBuf>> {
        Ok(Some(self.folder.log_path(run)?))
    }

    fn subject(&mut self, name: &str, doing: &str, progress: Option<Progress>) {
        let doing = format!("{name} {doing}");
        match progress {
            Some(progress) => self.progress.show_load(&doing, progress),
            None => self.progress.show(&doing, &[]),
        }
    }

    fn idle(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.idle();
        }
    }

    fn block(&mut self, block: u32, slices: &[BlockSlice<'_>]) {
        self.blocks = block;
        self.progress.show(&format!("block {block}"), &[]);
        if let Some(watch) = &mut self.watch {
            watch.block(&format!("{}, block {block}", self.progress.title()), self.progress.left(), slices);
        }
    }

    fn run(&mut self, record: &RunRecord) {
        if let Some(watch) = &mut self.watch {
            watch.run(record);
        }
        let verdict = &record.verdict;
        let reasons =
            if verdict.reasons.is_empty() { String::new() } else { format!(": {}", verdict.reasons.join("; ")) };
        self.verdicts.push((verdict.kind, record.subject().to_string(), reasons));
    }
}
