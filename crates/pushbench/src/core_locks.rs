//! Locks on CPU cores: jobs that measure on the same cores take turns. The kernel releases the
//! locks of a job that has ended, however it ended.
//!
//! The locks are `flock`s on files in a folder that only this user can enter: no other user can
//! hold a lock, remove its file or replace it with a link. A folder of another user, or one that
//! others can enter, is not used: the job continues and reports that it could not check. Jobs of
//! other users, jobs with another TMPDIR and jobs that use `--anyway` are not seen.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{geteuid, mkdir};

use crate::run::{Finding, Level, command_line};
use crate::{machine, print};

/// Longest description of a job that is read from its lock file.
const ABOUT_BYTES_MAX: u64 = 1_000;

/// What to do when another job measures on the same cores.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct LockArgs {
    /// Measure at once, even while another job of yours measures on the same cores; the jobs then
    /// distort each other's results, which the results say. Without it the job waits for the other
    /// one to end
    #[arg(long, env = "PUSHBENCH_ANYWAY", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) anyway: bool,
}

/// The locked cores of a job; dropping it releases them.
pub(crate) struct CoreLocks {
    _files: Vec<File>,
}

/// Other jobs by their description, with their cores.
type Holders = BTreeMap<String, Vec<usize>>;

/// Locks the cores of a plan, and waits until they are free; with `--anyway` reports the other jobs
/// instead.
pub(crate) fn take(cores: Option<&scenario::Cores>, args: LockArgs) -> (CoreLocks, Vec<Finding>) {
    let (server, generator) = machine::share_cores(cores, &machine::cores());
    let folder = std::env::temp_dir().join(format!("pushbench-{}", geteuid()));
    take_in(&folder, &[server, generator].concat(), args)
}

fn take_in(folder: &Path, cores: &[usize], args: LockArgs) -> (CoreLocks, Vec<Finding>) {
    let finding = |found| Finding {
        level: Level::Doubtful,
        what: "other jobs",
        found,
        advice: "the jobs distort each other's results".into(),
    };
    match lock_all(folder, cores, args) {
        Ok((files, others)) => {
            let found = others.into_iter().map(|(other, cores)| format!("{other} measures on cores {cores:?}"));
            (CoreLocks { _files: files }, found.map(finding).collect())
        }
        Err(error) => (CoreLocks { _files: Vec::new() }, vec![finding(format!("not known: {error:#}"))]),
    }
}

/// The locks that were taken, and the holders of the others.
fn lock_all(folder: &Path, cores: &[usize], args: LockArgs) -> anyhow::Result<(Vec<File>, Holders)> {
    let opened = open_folder(folder)?;
    let (mut files, mut others) = (Vec::new(), Holders::new());
    let mut cores = cores.to_vec();
    // Every job locks in ascending order, so that no two wait for each other.
    cores.sort_unstable();
    cores.dedup();
    for core in cores {
        let mut file = open_lock(&opened, core).with_context(|| format!("{} cannot be used", folder.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if args.anyway => {
                others.entry(holder(&mut file)).or_default().push(core);
                continue;
            }
            Err(TryLockError::WouldBlock) => {
                let other = holder(&mut file);
                print::warn(&format!(
                    "waiting for {other}, which measures on core {core}; --anyway measures at the same time"
                ));
                file.lock().context("cannot wait for the lock of a core")?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock a core"),
        }
        // Only a description for jobs that wait; the lock holds without it.
        let about = format!("pid {} ({})", std::process::id(), command_line().join(" "));
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(about.as_bytes())).ok();
        files.push(file);
    }
    Ok((files, others))
}

/// Opens the folder once and without following a link, so that the folder that was checked is the
/// one that is used.
fn open_folder(folder: &Path) -> anyhow::Result<OwnedFd> {
    let unusable = || format!("{} cannot be used", folder.display());
    match mkdir(folder, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error).with_context(unusable),
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = open(folder, flags, Mode::empty()).with_context(unusable)?;
    let stat = fstat(&opened).with_context(unusable)?;
    let is_private = stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o077 == 0;
    ensure!(
        is_private,
        "{} belongs to another user or is open to others; set TMPDIR to a folder of your own",
        folder.display()
    );
    Ok(opened)
}

fn open_lock(folder: &OwnedFd, core: usize) -> nix::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, PathBuf::from(format!("core-{core}")).as_path(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map(File::from)
}

/// Description of the job that holds a lock.
fn holder(file: &mut File) -> String {
    let mut about = Vec::new();
    file.take(ABOUT_BYTES_MAX).read_to_end(&mut about).ok();
    let about: String = String::from_utf8_lossy(&about).chars().filter(|c| !c.is_control()).collect();
    // A job that took the lock this instant has not written its description yet.
    if about.is_empty() { "another job".to_owned() } else { about }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

    use super::*;

    const ANYWAY: LockArgs = LockArgs { anyway: true };

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pushbench-test-{}-{name}", std::process::id()));
            std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_core_is_locked_once_and_the_other_job_is_named() {
        let scratch = Scratch::new("taken");
        let folder = scratch.0.join("locks");
        let (first, found) = take_in(&folder, &[1, 0, 1], ANYWAY);
        assert!(found.is_empty(), "{found:?}");
        let (second, found) = take_in(&folder, &[0, 1, 2], ANYWAY);
        let [found] = found.as_slice() else { panic!("one job was there: {found:?}") };
        assert!(found.found.starts_with(&format!("pid {} (", std::process::id())), "{found:?}");
        assert!(found.found.ends_with(" measures on cores [0, 1]"), "{found:?}");
        drop(first);
        let (third, found) = take_in(&folder, &[0, 1], ANYWAY);
        assert!(found.is_empty(), "the locks end with their job: {found:?}");
        drop((second, third));
    }

    #[test]
    fn a_job_waits_until_the_cores_are_free() {
        let scratch = Scratch::new("waits");
        let folder = scratch.0.clone();
        let (first, _) = take_in(&folder, &[0], ANYWAY);
        let waiting = std::thread::spawn({
            let folder = folder.clone();
            move || take_in(&folder, &[0], LockArgs { anyway: false })
        });
        // The kernel marks waiting locks with an arrow.
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(folder.join("core-0")).unwrap());
        let waits = |line: &str| line.contains("->") && line.contains(&format!(":{inode} "));
        while !std::fs::read_to_string("/proc/locks").unwrap().lines().any(waits) {
            assert!(!waiting.is_finished(), "it does not wait");
            std::thread::yield_now();
        }
        drop(first);
        let (_, found) = waiting.join().unwrap();
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn lock_folders_that_others_can_change_are_not_used() {
        let scratch = Scratch::new("others");
        let not_known = |folder: &Path, why: &str| {
            let (locks, found) = take_in(folder, &[0], LockArgs { anyway: false });
            assert!(locks._files.is_empty() && found[0].found.starts_with("not known: "), "{found:?}");
            assert!(found[0].found.contains(why), "{found:?}");
        };
        let (open, link, file) = (scratch.0.join("open"), scratch.0.join("link"), scratch.0.join("file"));
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        not_known(&open, "open belongs to another user or is open to others; set TMPDIR to a folder of your own");
        assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0, "nothing is written there");
        symlink(&scratch.0, &link).unwrap();
        not_known(&link, "link cannot be used: ENOTDIR");
        std::fs::write(&file, "precious").unwrap();
        not_known(&file, "file cannot be used: ENOTDIR");
        symlink(&file, scratch.0.join("core-0")).unwrap();
        not_known(&scratch.0, "cannot be used: ELOOP");
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    }
}
