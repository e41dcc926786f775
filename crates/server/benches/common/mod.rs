//! What the benches share: the patient in a process of its own, a crowd of clients in this one, and the machine between them.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod crowd;
pub(crate) mod patient;

use std::io;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The server has a core to itself, and so have its clients.
pub(crate) const PATIENT_CORE: usize = 0;
pub(crate) const CROWD_CORE: usize = 1;

pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Takes all the open files the system gives without asking; the patient inherits them.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// One runtime on one thread, as on both sides.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// `--name value` from the command line.
pub(crate) fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.next().and_then(|_| arguments.next())
}

/// A list of numbers from the command line, or what is measured by default.
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

/// Several measurements of the same thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        let n = self.0.len();
        if n == 0 { f64::NAN } else { f64::midpoint(self.0[(n - 1) / 2], self.0[n / 2]) }
    }

    pub(crate) fn spread(&self) -> (f64, f64) {
        (*self.0.first().unwrap_or(&f64::NAN), *self.0.last().unwrap_or(&f64::NAN))
    }
}

/// A small generator for the order of things (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(u64::from(now.subsec_nanos()) | 1)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let any = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
            items.swap(last, usize::try_from(any).unwrap_or(0) % (last + 1));
        }
    }
}
