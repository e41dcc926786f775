//! Parts of all benches, of the server and of the load generator: cores, machine load, command line
//! arguments and the format of figures. Does not know what is measured.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fmt::Debug;
use std::io;
use std::str::FromStr;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The server has a core of its own, and so have the clients.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const CLIENT_CORE: usize = 1;

/// Pins this thread and the threads it starts to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Pins this process to the core of the clients and raises its limit of open files. Child processes
/// inherit the limit.
pub(crate) fn pin_and_raise_limits() -> io::Result<()> {
    pin(CLIENT_CORE)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// `--name value` from the command line.
pub(crate) fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.next().and_then(|_| arguments.next())
}

/// A number from the command line, or the default.
pub(crate) fn number<N: FromStr<Err: Debug>>(name: &str, default: N) -> N {
    argument(name).map_or(default, |text| text.parse().expect("a whole number"))
}

/// A list of numbers from the command line, or the default.
pub(crate) fn numbers(name: &str, default: &[usize]) -> Vec<usize> {
    argument(name).map_or_else(
        || default.to_vec(),
        |list| list.split(',').map(|number| number.parse().expect("a list of whole numbers")).collect(),
    )
}

/// The load of the machine, to be printed beside the figures.
pub(crate) fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// The median of at least one value.
pub(crate) fn median(values: &[f64]) -> f64 {
    let (values, n) = (sorted(values), values.len());
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

/// `median (least–most)`, or a dash if there is no value.
pub(crate) fn shown(values: &[f64], decimals: usize) -> String {
    let values = sorted(values);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return "–".to_owned() };
    format!("{:.decimals$} ({least:.decimals$}–{most:.decimals$})", median(&values))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}
