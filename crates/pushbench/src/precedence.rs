//! Precedence: the processes that are measured run before the other programs of the machine, where
//! the kernel allows it. Without that, a compiler on both cores leaves a round one or two slices.

use std::io::ErrorKind::WouldBlock;
use std::time::Duration;

use nix::libc::{PRIO_PROCESS, SYS_sched_setattr, getpriority, setpriority, syscall};
use nix::unistd::setsid;
use tokio::process::{Child, Command};

/// The most that the kernel gives.
const NICE: i32 = -20;
/// The least.
const NICE_LAST: i32 = 19;
/// Without all privileges, the kernel lets one session in so much time have it.
const SESSION_PAUSE: Duration = Duration::from_millis(110);
const SESSION_TRIES: u32 = 5;
const TURN: Duration = Duration::from_micros(100);

/// How a child process stands among the programs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// Before the others, if the kernel allows it.
    First,
    /// Like the others.
    Equal,
}

impl Precedence {
    /// Starts a program, which Ctrl-C in a terminal does not reach.
    pub(crate) async fn spawn(self, command: &mut Command) -> std::io::Result<Child> {
        if self == Self::Equal {
            return command.process_group(0).spawn();
        }
        #[expect(unsafe_code, reason = "a session is begun between fork and exec; both calls may be made there")]
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                set_nice();
                Ok(())
            });
        }
        let child = command.spawn()?;
        if let Some(pid) = child.id() {
            prefer_session(pid).await;
        }
        Ok(child)
    }

    /// Whether the kernel allows [`Precedence::First`].
    pub(crate) fn is_allowed() -> bool {
        // The niceness is that of the thread, which ends.
        std::thread::spawn(set_nice).join().unwrap_or(false)
    }
}

fn set_nice() -> bool {
    set_niceness(NICE)
}

/// Lets all other threads run before this one.
pub(crate) fn stand_back() {
    set_niceness(NICE_LAST);
}

/// Sets the niceness of this thread, and of the threads and processes it will start.
fn set_niceness(niceness: i32) -> bool {
    #[expect(unsafe_code, reason = "the call takes three numbers and has no safe form in nix")]
    let failed = unsafe { setpriority(PRIO_PROCESS, 0, niceness) };
    failed == 0
}

/// Lets this thread, and those that it will start, use a core for the shortest time that the kernel
/// (6.12 or later) allows before another one on it gets its turn: 0.1 ms instead of the usual
/// milliseconds, for which a post that is due would wait.
pub(crate) fn take_short_turns() {
    let attributes =
        Attributes { size: size_of::<Attributes>() as u32, run_ns: TURN.as_nanos() as u64, ..own_niceness() };
    #[expect(unsafe_code, reason = "the call has no safe form in nix; it reads as many bytes as the structure says")]
    let done = unsafe { syscall(SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done != 0 {
        tracing::debug!("the kernel does not take the length of a turn");
    }
}

/// The first fields of the kernel's `struct sched_attr`. Policy 0 is that of ordinary programs.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    niceness: i32,
    priority: u32,
    run_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

/// The call sets the niceness too.
fn own_niceness() -> Attributes {
    #[expect(unsafe_code, reason = "the call takes two numbers and has no safe form in nix")]
    let niceness = unsafe { getpriority(PRIO_PROCESS, 0) };
    Attributes { niceness, ..Attributes::default() }
}

/// Kernels with groups by session (autogroup) look at the niceness of a session first.
async fn prefer_session(pid: u32) {
    for _ in 0..SESSION_TRIES {
        match std::fs::write(format!("/proc/{pid}/autogroup"), NICE.to_string()) {
            Err(error) if error.kind() == WouldBlock => tokio::time::sleep(SESSION_PAUSE).await,
            Ok(()) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// Process group, session and niceness of a new process, and its number.
    async fn started(precedence: Precedence) -> ([i64; 3], i64) {
        let mut command = Command::new("cat");
        let mut child = precedence.spawn(command.stdin(Stdio::piped()).kill_on_drop(true)).await.unwrap();
        let pid = child.id().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        child.kill().await.unwrap();
        ([2, 3, 16].map(|at| fields[at].parse().unwrap()), i64::from(pid))
    }

    #[tokio::test]
    async fn the_first_has_a_session_and_if_allowed_the_least_niceness() {
        let ([group, session, nice], pid) = started(Precedence::First).await;
        assert_eq!([group, session], [pid, pid]);
        assert_eq!(nice == i64::from(NICE), Precedence::is_allowed());
        let ([group, session, nice], pid) = started(Precedence::Equal).await;
        assert!(group == pid && session != pid && nice > i64::from(NICE), "{group} {session} {nice}");
    }
}
