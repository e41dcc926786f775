//! What an idle connection costs, and whether one message reaches everybody in a full room.
//!
//! `cargo bench -p pushbench-server --bench memory -- [--connections 10000] [--full 15000] [--arms tcp,sse]`

#![expect(clippy::print_stdout, reason = "a bench tells its result")]

mod common;

use std::io;
use std::time::{Duration, Instant};

use common::crowd::{Arm, Crowd};
use common::machine::{load, number, settle_down};
use common::patient::{Patient, is_this_process};

const IDLE: Duration = Duration::from_secs(5);
const MESSAGES: usize = 5;

fn main() -> io::Result<()> {
    if is_this_process()? {
        return Ok(());
    }
    settle_down()?;
    let (crowd, full) = (number("--connections", 10_000), number("--full", 15_000));
    println!("load {}", load());
    println!(
        "{:<18}{:>16}{:>18}{:>20}{:>34}",
        "", "connections", "bytes each", "idle CPU, 5 s, ms", "to all, ms (first, then median)"
    );
    for arm in Arm::chosen().into_iter().filter(|arm| *arm != Arm::Bare) {
        // Memory that a process has freed is still its own: every figure needs a new one.
        for n in [crowd, full] {
            common::runtime()?.block_on(measure(arm, n))?;
        }
    }
    Ok(())
}

async fn measure(arm: Arm, n: usize) -> io::Result<()> {
    let patient = Patient::start(None)?;
    patient.usage().await?;
    let before = patient.resident_bytes()?;
    let mut crowd = Crowd::join(&patient, arm, n).await?;
    let each = patient.resident_bytes()?.saturating_sub(before) / n as u64;
    let cpu_before = patient.cpu()?;
    tokio::time::sleep(IDLE).await;
    let idle = patient.cpu()? - cpu_before;
    let mut times = Vec::new();
    for _ in 0..MESSAGES {
        let posted = Instant::now();
        crowd.fan_out(1).await?;
        times.push(posted.elapsed().as_millis());
    }
    let first = times[0];
    times.sort_unstable();
    let median = times[MESSAGES / 2];
    println!(
        "{:<18}{n:>16}{each:>18}{:>20.2}{:>34}",
        arm.name(),
        idle.as_secs_f64() * 1e3,
        format!("{first}, {median}")
    );
    crowd.leave().await;
    Ok(())
}
