//! Memory and CPU time of idle connections, and the time until one message has reached all clients
//! of a full room.
//!
//! `cargo bench -p pushbench-server --bench memory -- [--connections 10000] [--full 15000]
//! [--variants tcp,sse]`

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod common;

use std::io;
use std::time::{Duration, Instant};

use common::bench_server::{BenchServer, ran_as_server};
use common::clients::{Clients, Variant};
use common::machine::{load, number, pin_and_raise_limits};

const IDLE: Duration = Duration::from_secs(5);
const MESSAGES: usize = 5;

fn main() -> io::Result<()> {
    if ran_as_server()? {
        return Ok(());
    }
    pin_and_raise_limits()?;
    let (clients, full) = (number("--connections", 10_000), number("--full", 15_000));
    println!("load {}", load());
    println!(
        "{:<18}{:>16}{:>18}{:>20}{:>34}",
        "", "connections", "bytes each", "idle CPU, 5 s, ms", "to all, ms (first, then median)"
    );
    for variant in Variant::chosen().into_iter().filter(|variant| *variant != Variant::Bare) {
        // A process keeps freed memory: each figure needs a new process.
        for n in [clients, full] {
            common::runtime()?.block_on(measure(variant, n))?;
        }
    }
    Ok(())
}

async fn measure(variant: Variant, n: usize) -> io::Result<()> {
    let server = BenchServer::start(None)?;
    server.stats().await?;
    let before = server.resident_bytes()?;
    let mut clients = Clients::join(&server, variant, n).await?;
    let each = server.resident_bytes()?.saturating_sub(before) / n as u64;
    let cpu_before = server.cpu()?;
    tokio::time::sleep(IDLE).await;
    let idle = server.cpu()? - cpu_before;
    let mut times = Vec::new();
    for _ in 0..if variant == Variant::Polling { 0 } else { MESSAGES } {
        let posted = Instant::now();
        clients.fan_out(1).await?;
        times.push(posted.elapsed().as_millis());
    }
    let first = times.first().copied();
    times.sort_unstable();
    let to_all = first.map_or("–".to_owned(), |first| format!("{first}, {}", times[MESSAGES / 2]));
    println!("{:<18}{n:>16}{each:>18}{:>20.2}{to_all:>34}", variant.name(), idle.as_secs_f64() * 1e3);
    clients.leave().await;
    Ok(())
}
