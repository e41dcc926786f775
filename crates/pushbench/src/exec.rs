//! `pushbench exec`: starts an external server as a child, pins it to cores, and ends it together
//! with all its children.

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

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// Run a program on some cores until it ends, standard input closes, or a signal asks for its end
#[derive(Parser)]
#[command(hide = true)]
pub(crate) struct Args {
    /// Cores to run on, such as 0 or 0,1 [default: all that the process may use]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cores: Vec<usize>,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Orphaned grandchildren become children of this process, which ends them.
    set_child_subreaper(true).context("cannot become the reaper of orphaned processes")?;
    if !args.cores.is_empty() {
        machine::pin(&args.cores).with_context(|| format!("cannot run on cores {:?}", args.cores))?;
    }
    let (program, arguments) = args.command.split_first().context("no command")?;
    let runtime = runtime()?;
    // Before the child starts: a signal must not end this process and leave the child behind.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let child = command.spawn().with_context(|| match program.contains('=') {
        true => format!("cannot start {program}: no shell is used; write `env {program} …` to set a variable"),
        false => format!("cannot start {program}"),
    })?;
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
            Err(error) => return Err(error).context("cannot wait for the program"),
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
            // The signal did not end this process: report it with a shell's exit code.
            Ok(u8::try_from(128 + signal as i32).map_or(ExitCode::FAILURE, ExitCode::from))
        }
        _ => Ok(ExitCode::FAILURE),
    }
}

/// Ends this process by the signal that ended the program, so that the parent sees it.
fn end_by_signal(end: Signal) {
    // No second core dump: it would show this process and not the program.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).ok();
    #[expect(
        unsafe_code,
        reason = "the default action runs no handler; SIGPIPE and SIGSEGV would not end this process otherwise"
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
