//! `pushbench exec`: somebody else's server as a child, so that it is pinned, ends when it is told to, and outlives nobody.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{self, SigHandler, Signal, kill, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::signals::{Signals, runtime, stdin_closed};
use crate::{machine, process_tree};

/// Between asking it to end and ending it.
const GRACE: Duration = Duration::from_secs(3);

/// Run a program on some cores until it ends, standard input closes, or a signal asks for its end
#[derive(Parser)]
#[command(hide = true)]
pub(crate) struct Args {
    /// Cores to stay on, as in 0 or 0,1 [default: all the process may use]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cores: Vec<usize>,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What its children leave behind when they end is ours to end.
    set_child_subreaper(true).context("cannot look after a program's children")?;
    if !args.cores.is_empty() {
        machine::pin(&args.cores).with_context(|| format!("cannot stay on cores {:?}", args.cores))?;
    }
    let (program, arguments) = args.command.split_first().context("no command")?;
    let runtime = runtime()?;
    // Before there is a child: it must not be left behind by a signal that ends us.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let child = Pid::from_raw(child.id().cast_signed());
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = signals.next() => {}
                () = stdin_closed() => {}
            }
            killpg(child, Signal::SIGTERM).ok();
            tokio::time::sleep(GRACE).await;
            kill_descendants();
        });
    });
    let ended = loop {
        match waitpid(None, None) {
            Ok(ended @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))) if pid == child => break ended,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for it"),
        }
    };
    kill_descendants();
    while matches!(waitpid(None, None), Ok(_) | Err(Errno::EINTR)) {
        kill_descendants();
    }
    match ended {
        WaitStatus::Exited(_, code) => Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)),
        WaitStatus::Signaled(_, signal, _) => {
            end_by_signal(signal);
            // Still here: this system did not end us by it. A shell's code for the signal says the same.
            Ok(u8::try_from(128 + signal as i32).map_or(ExitCode::FAILURE, ExitCode::from))
        }
        _ => Ok(ExitCode::FAILURE),
    }
}

/// Ends this process as the program's ended, for its parent to see.
fn end_by_signal(end: Signal) {
    // A second core dump would show nothing of the program.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).ok();
    #[expect(
        unsafe_code,
        reason = "the default action runs no code of ours; SIGPIPE and SIGSEGV would not end us otherwise"
    )]
    // SAFETY: no handler is installed.
    unsafe { signal::signal(end, SigHandler::SigDfl) }.ok();
    signal::raise(end).ok();
}

fn kill_descendants() {
    for pid in process_tree::descendants(std::process::id()) {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).ok();
    }
}
