//! The machine under every bench, of the server and of the load generator: its cores and its load, what the command line asks for, and
//! how figures are told. It does not know what is measured.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fmt::Debug;
use std::io;
use std::str::FromStr;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The server has a core to itself, and so have its clients.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const CROWD_CORE: usize = 1;

/// Puts this thread, and those it starts, on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Takes the clients' core and all the open files the system gives without asking; who is started from here inherits the files.
pub(crate) fn settle_down() -> io::Result<()> {
    pin(CROWD_CORE)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// `--name value` from the command line.
pub(crate) fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.next().and_then(|_| arguments.next())
}

/// A number from the command line, or what is measured by default.
pub(crate) fn number<N: FromStr<Err: Debug>>(name: &str, default: N) -> N {
    argument(name).map_or(default, |text| text.parse().expect("a whole number"))
}

/// The same for a list of numbers.
pub(crate) fn numbers(name: &str, default: &[usize]) -> Vec<usize> {
    argument(name).map_or_else(
        || default.to_vec(),
        |list| list.split(',').map(|number| number.parse().expect("a list of whole numbers")).collect(),
    )
}

/// The load of the machine, to be read beside every figure.
pub(crate) fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// Of several measurements of the same thing; there is at least one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let (values, n) = (sorted(values), values.len());
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

/// `median (least–most)`, or that there is none.
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
