//! How late posts are sent, compared with a bare loop that only sleeps until each of the same
//! instants with `clock_nanosleep` and a timer slack of 1 ns. The rounds of the two alternate.
//!
//! `cargo build --release && cargo bench -p pushbench-loadgen --bench lateness -- [--rate 5000] [--seconds 4] [--rounds 7]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod common;

use std::io;
use std::time::Duration;

use common::machine::{load, number, pin_and_raise_limits, shown};
use common::{plan, run};
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use results::Series;
use scenario::Plan;
use wire::Transport;

const CLIENTS: u64 = 50;
const TARGET: f64 = 2.0;
/// Time from the start of the bare loop to T0.
const LEAD: Duration = Duration::from_millis(10);

fn main() -> io::Result<()> {
    pin_and_raise_limits()?;
    let (rate, seconds) = (number("--rate", 5_000_u64), number("--seconds", 4));
    let each = rate as f64 / CLIENTS as f64;
    let plan = plan(&format!(
        "name = \"b\"\nquestion = \"?\"\nclients = {CLIENTS}\nrooms = {}\ntransports = [\"tcp\"]\n[posts]\nper_client_per_s = {each:?}\n\
         [phases]\nramp_up_s = 0.2\nsettle_s = 0.1\nwarm_up_s = 1.0\nwindow_s = {seconds}.0\n",
        CLIENTS / 2
    ))?;
    println!("load {}", load());
    let (mut bare, mut pushbench, mut busy) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()], Vec::new());
    for round in 0..number("--rounds", 7) {
        let (sleeping, measured) = if round % 2 == 0 {
            (sleep_through(&plan)?, run(&plan, Transport::Tcp)?.0)
        } else {
            let measured = run(&plan, Transport::Tcp)?.0;
            (sleep_through(&plan)?, measured)
        };
        let lateness = measured.of(Series::SendDelay);
        for (at, quantile) in [0.5, 0.99].into_iter().enumerate() {
            bare[at].push(sleeping.value_at_quantile(quantile) as f64);
            pushbench[at].push(lateness.value_at_quantile(quantile) as f64);
        }
        busy.push(measured.core_usage_max * 100.0);
        println!(
            "round {round}: p99 of the bare loop {} µs, of pushbench {} µs with its core {:.0} % busy",
            sleeping.value_at_quantile(0.99),
            lateness.value_at_quantile(0.99),
            measured.core_usage_max * 100.0
        );
    }
    let ratio: Vec<f64> =
        pushbench[1].iter().zip(&bare[1]).map(|(pushbench, bare)| pushbench / bare.max(1.0)).collect();
    println!("\n{rate} posts/s, lateness in µs, median (least–most) of the rounds");
    println!("{:<28}{:>24}{:>24}", "", "p50", "p99");
    println!("{:<28}{:>24}{:>24}", "bare clock_nanosleep", shown(&bare[0], 0), shown(&bare[1], 0));
    println!("{:<28}{:>24}{:>24}", "pushbench", shown(&pushbench[0], 0), shown(&pushbench[1], 0));
    println!("{:<28}{:>24}{:>24}   target: at most {TARGET}", "ratio per round", "", shown(&ratio, 2));
    println!("{:<28}{:>24}   % of its core (the target is for less than 50)", "pushbench busy", shown(&busy, 0));
    println!("load {}", load());
    Ok(())
}

/// Sleeps until every instant of the plan, and records how late it wakes for those in the window.
fn sleep_through(plan: &Plan) -> io::Result<Histogram<u64>> {
    nix::sys::prctl::set_timerslack(1)?;
    let mut late = Histogram::new_with_bounds(1, 60_000_000, 3).map_err(io::Error::other)?;
    let mut due: Vec<_> = (0..plan.posts_total()).map(|at| plan.due_us(at as usize)).collect();
    due.sort_unstable();
    let clock = ClockId::CLOCK_MONOTONIC;
    let begun = Duration::from(clock_gettime(clock)?) + LEAD;
    for due in due.into_iter().map(|us| Duration::from_micros(us.into())) {
        let until = TimeSpec::from_duration(begun + due);
        match clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &until) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let now = Duration::from(clock_gettime(clock)?);
        if plan.slicing.window_of(due.as_micros() as u32).is_some() {
            late.saturating_record(now.saturating_sub(begun + due).as_micros() as u64);
        }
    }
    Ok(late)
}
