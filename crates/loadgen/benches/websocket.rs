//! CPU time per delivered WebSocket message of the load generator, which parses, checks and records
//! it, compared with a bare loop that reads as many sockets of the same server and counts messages.
//! The rounds of the two alternate.
//!
//! `cargo build --release && cargo bench -p pushbench-loadgen --bench websocket -- [--clients 500] [--rate 40] [--seconds 4] [--rounds 7]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod common;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::machine::{load, number, pin_and_raise_limits, shown};
use common::{Server, plan, run};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use scenario::Plan;
use wire::{Post, Transport, encode_post_json};

/// A byte that is once in every text of the bare loop, and in nothing else that the server sends.
const MARK: u8 = b'@';
const POLL_MS: u8 = 50;
const TARGET: f64 = 1.15;

fn main() -> io::Result<()> {
    pin_and_raise_limits()?;
    let (clients, rate, seconds) = (number("--clients", 500), number("--rate", 40), number("--seconds", 4));
    let plan = plan(&format!(
        "name = \"b\"\nquestion = \"?\"\nclients = {clients}\nrooms = 1\n[posts]\nper_client_per_s = {rate}.0\nauthors = 1\n\
         arrivals = \"uniform\"\n[phases]\nwarm_up_s = 1.0\nwindow_s = {seconds}.0\n"
    ))?;
    println!("load {}", load());
    let (mut bare, mut pushbench, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..number("--rounds", 7) {
        let measure_ours = || -> io::Result<f64> {
            let slice = run(&plan, Transport::Websocket)?.1;
            Ok(slice.generator_cpu.total_us() as f64 / slice.traffic.delivered as f64)
        };
        // The order changes, so that neither always meets the machine in the same state.
        let (bare_us, pushbench_us) = if round % 2 == 0 {
            (bare_loop(&plan)?, measure_ours()?)
        } else {
            let pushbench_us = measure_ours()?;
            (bare_loop(&plan)?, pushbench_us)
        };
        println!("round {round}: bare loop {bare_us:.2}, pushbench {pushbench_us:.2} µs of CPU a message");
        bare.push(bare_us);
        pushbench.push(pushbench_us);
        ratio.push(pushbench_us / bare_us);
    }
    println!("\n{clients} sockets, {} messages/s, median (least–most)", clients * rate);
    println!("{:<28}{:>28}", "", "CPU, µs/message");
    println!("{:<28}{:>28}", "bare epoll, read and count", shown(&bare, 2));
    println!("{:<28}{:>28}", "pushbench", shown(&pushbench, 2));
    println!("{:<28}{:>28}   target: at most {TARGET}", "ratio per round", shown(&ratio, 3));
    println!("load {}", load());
    Ok(())
}

/// Joins with all sockets, reads and counts during warm-up and window. Returns the CPU time per
/// message of the window, in µs.
fn bare_loop(plan: &Arc<Plan>) -> io::Result<f64> {
    let server = Server::start()?;
    let http = server.target.first().http;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut sockets = (0..plan.clients).map(|_| join(http, plan)).collect::<io::Result<Vec<_>>>()?;
    for (at, socket) in sockets.iter().enumerate() {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
    }
    let poster = {
        let plan = Arc::clone(plan);
        std::thread::spawn(move || post_all(http, &plan))
    };
    let (begun, mut start) = (Instant::now(), None);
    let (mut scratch, mut events) = (vec![0; 64 << 10], vec![EpollEvent::empty(); 1024]);
    let mut seen = 0_u64;
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::from(POLL_MS))?;
        for event in &events[..ready] {
            let n = sockets[event.data() as usize].read(&mut scratch)?;
            seen += memchr::memchr_iter(MARK, &scratch[..n]).count() as u64;
        }
        let elapsed = begun.elapsed();
        if elapsed >= plan.phases.posting() {
            break;
        }
        if start.is_none() && elapsed >= plan.phases.warm_up() {
            start = Some((thread_cpu()?, seen));
        }
    }
    let (cpu_before, seen_before) = start.ok_or_else(|| io::Error::other("the window never began"))?;
    let cpu = thread_cpu()? - cpu_before;
    poster.join().map_err(|_| io::Error::other("the poster panicked"))??;
    let messages = seen - seen_before;
    let expected = plan.deliveries_in_window();
    // A post and its deliveries may be on different sides of an edge.
    if messages.abs_diff(expected) > expected / 20 {
        return Err(io::Error::other(format!("received {messages} messages in the window instead of {expected}")));
    }
    Ok(cpu.as_secs_f64() * 1e6 / messages as f64)
}

/// CPU time of this thread.
fn thread_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(Duration::from_micros((micros(usage.user_time()) + micros(usage.system_time())).unsigned_abs()))
}

/// Opens a WebSocket and joins the room.
fn join(http: SocketAddr, plan: &Plan) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(http)?;
    socket.set_nodelay(true)?;
    write!(
        socket,
        "GET /rooms/{}/websocket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        plan.room_name(0)
    )?;
    let mut head = [0; 4096];
    let n = socket.read(&mut head)?;
    if !head[..n].starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(String::from_utf8_lossy(&head[..n]).into_owned()));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sends the posts of the plan when they are due, on a connection of their own.
fn post_all(http: SocketAddr, plan: &Plan) -> io::Result<()> {
    let mut socket = TcpStream::connect(http)?;
    socket.set_nodelay(true)?;
    let (begun, mut answer) = (Instant::now(), [0; 4096]);
    let text = format!("{}{}", "x".repeat(plan.payload_bytes - 1), char::from(MARK));
    for ordinal in 1..=plan.posts_of(0) {
        let due = plan.due(0, ordinal).unwrap_or_default();
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let mut body = Vec::new();
        encode_post_json(&Post { author: 0, ordinal, text: text.as_str().into() }, &mut body);
        let head = format!(
            "POST /rooms/{}/polling HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            plan.room_name(0),
            body.len()
        );
        socket.write_all(&[head.as_bytes(), &body].concat())?;
        if socket.read(&mut answer)? == 0 || !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
        }
    }
    Ok(())
}
