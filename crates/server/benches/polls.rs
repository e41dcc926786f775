//! CPU time of the server per empty poll, and the same for a loop that only parses the request and
//! answers 204.
//!
//! `cargo bench -p pushbench-server --bench polls -- [--rounds 7] [--connections 100]
//! [--polls 20000]`
//!
//! Slices of both alternate, and their ratio is that of neighbours.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod common;

use std::io;
use std::net::SocketAddr;

use common::bench_server::{BenchServer, ran_as_server};
use common::machine::{load, median, number, pin_and_raise_limits, shown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const REQUEST: &[u8] = b"GET /rooms/lobby/polling?after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n";
const SLICES: usize = 16;

fn main() -> io::Result<()> {
    if ran_as_server()? {
        return Ok(());
    }
    let (rounds, connections) = (number("--rounds", 7), number("--connections", 100));
    let polls_each = number("--polls", 20_000) / connections;
    pin_and_raise_limits()?;
    common::runtime()?.block_on(async {
        // The thread of the clients never sleeps, so that the server spends no time on waking it.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let (mut server_us, mut bare_us, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=rounds {
            println!("round {round} of {rounds}, load {}", load());
            let server = BenchServer::start(None)?;
            let mut slices = [Vec::new(), Vec::new()];
            let mut both = Vec::new();
            for address in [server.at.http, server.at.bare_polls] {
                both.push(connect(address, connections).await?);
            }
            for slice in 0..2 * SLICES {
                // Each goes first as often as the other.
                let which = (slice + slice / 2) % 2;
                let before = server.cpu()?;
                let streams = std::mem::take(&mut both[which]);
                both[which] = poll(streams, polls_each).await?;
                let spent = (server.cpu()? - before).as_secs_f64() * 1e6;
                slices[which].push(spent / (connections * polls_each) as f64);
            }
            let pairs = slices[0].iter().zip(&slices[1]).map(|(server, bare)| server / bare);
            ratios.push(median(&pairs.collect::<Vec<_>>()));
            server_us.push(median(&slices[0]));
            bare_us.push(median(&slices[1]));
        }
        println!("\nserver CPU per empty poll, median of {rounds} rounds (least–most); load {}", load());
        println!("pushbench  {} µs", shown(&server_us, 2));
        println!("bare loop  {} µs", shown(&bare_us, 2));
        println!("ratio      {}", shown(&ratios, 3));
        Ok(())
    })
}

async fn connect(address: SocketAddr, connections: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    poll(streams, 1).await
}

/// Lets each connection poll this many times.
async fn poll(streams: Vec<TcpStream>, times: usize) -> io::Result<Vec<TcpStream>> {
    let mut polling = JoinSet::new();
    for mut stream in streams {
        polling.spawn(async move {
            let mut answer = [0; 512];
            for _ in 0..times {
                stream.write_all(REQUEST).await?;
                let n = stream.read(&mut answer).await?;
                if !answer[..n].starts_with(b"HTTP/1.1 204") || !answer[..n].ends_with(b"\r\n\r\n") {
                    return Err(io::Error::other(String::from_utf8_lossy(&answer[..n]).into_owned()));
                }
            }
            Ok(stream)
        });
    }
    polling.join_all().await.into_iter().collect()
}
