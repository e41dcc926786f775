//! `pushbench serve`: the chat server, until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use server::{Access, Config, Handicap, Limits};
use wire::ServerAddresses;

use crate::machine;
use crate::signals::{Signals, stdin_closed};

/// Cut off whatever still runs on the runtime when the server has said goodbye.
const RUNTIME_END_MAX: Duration = Duration::from_millis(500);

/// Serve one chat over every transport
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where HTTP and WebSocket are served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where raw TCP, the floor, is served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    tcp_listen: SocketAddr,

    /// Threads that serve [default: one per core the process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,

    /// Cores to stay on, as in 0 or 0,1 [default: all the process may use]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cores: Vec<usize>,

    /// End when standard input closes, so that no server outlives the program that started it
    #[arg(long)]
    exit_with_parent: bool,

    /// Listen on addresses others can reach; needs a token
    #[arg(long)]
    allow_remote: bool,

    /// Secret that reads, posts and control requests must then carry
    #[arg(long, env = "PUSHBENCH_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = parse_token)]
    token: Option<String>,

    /// Origin whose web pages may read and post besides the server's own, as in `https://chat.example`; may be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    allow_origin: Vec<String>,

    /// Host name that requests may be sent to, as in chat.example; may be repeated. Without a token any other name is refused,
    /// so that no web page can reach the server by DNS rebinding. IP addresses, localhost and the hosts of --allow-origin are
    /// always allowed
    #[arg(long, value_name = "NAME", value_parser = parse_host)]
    allow_host: Vec<String>,

    #[command(flatten)]
    limits: LimitArgs,

    /// Make every delivered message dearer, as in cpu=5us,bytes=64,allocs=2,delay=1ms: what a comparison is tried on. Binary
    /// frames of tcp take bytes in fives; Socket.IO takes cpu and allocs only
    #[arg(long, value_name = "COSTS", requires = "allow_handicap", help_heading = "Trying a comparison")]
    handicap: Option<Handicap>,

    /// Yes, worse on purpose
    #[arg(long, help_heading = "Trying a comparison")]
    allow_handicap: bool,
}

const EXAMPLES: &str = "\
Examples:
  pushbench serve
  pushbench serve --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0   # free ports, printed as JSON
  curl -s --json '{\"author\":1,\"ordinal\":1,\"text\":\"hello\"}' http://127.0.0.1:8080/rooms/lobby/polling
  curl -N 'http://127.0.0.1:8080/rooms/lobby/sse?after=0'";

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Bytes of text in one message
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().message_bytes_max as u64,
          value_parser = clap::value_parser!(u64).range(1..=wire::TEXT_BYTES_CEILING as u64))]
    message_bytes_max: u64,

    /// Rooms at once. All rooms together keep at most 2 times this times --log-bytes-max: 1 GiB by default
    #[arg(long, value_name = "N", default_value_t = Limits::default().rooms_max)]
    rooms_max: usize,

    /// Messages a room keeps for those who come late
    #[arg(long, value_name = "N", default_value_t = Limits::default().log_messages_max)]
    log_messages_max: usize,

    /// Bytes of messages a room keeps for those who come late, and as many again written for several readers at once
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().log_bytes_max)]
    log_bytes_max: usize,

    /// Connections at once, on both ports together
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max)]
    connections_max: usize,

    /// Longest hold of a long poll, and what it gets when it asks for none
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().hold_max))]
    hold_max_ms: u64,

    /// Age at which a streamed response is ended
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().stream_age))]
    stream_age_ms: u64,

    /// Bytes after which a streamed response is ended
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().stream_bytes_max)]
    stream_bytes_max: u64,

    /// Age at which a WebSocket (of websocket, stomp) is closed; the client may come back with its cursor
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().websocket_age), value_parser = positive())]
    websocket_age_ms: u64,

    /// Beat of streams and sockets: one that was silent for a whole beat says that it is alive
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().heartbeat), value_parser = positive())]
    heartbeat_ms: u64,

    /// How long a request head, a request body or a join may take
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().header_timeout), value_parser = positive())]
    header_timeout_ms: u64,

    /// How long a connection may stay open after its last answer without another request
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().idle_timeout), value_parser = positive())]
    idle_timeout_ms: u64,

    /// How long a client may leave its socket unread
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().stall_timeout), value_parser = positive())]
    stall_timeout_ms: u64,

    /// How long a room without readers and posts is remembered
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().room_idle))]
    room_idle_ms: u64,
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn positive() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

fn parse_token(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if text.len() >= 8 && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("a token has at least 8 characters of A-Z a-z 0-9 - . _ ~, so that it fits into a URL".to_owned())
}

fn parse_origin(text: &str) -> Result<String, String> {
    let authority = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, authority)| authority);
    if authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' '])) {
        return Ok(text.to_owned());
    }
    Err("an origin is a scheme and a host, with a port where it has one and without a path: https://chat.example"
        .to_owned())
}

fn parse_host(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if !text.is_empty() && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("a host name has neither a scheme nor a port: chat.example".to_owned())
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self {
            message_bytes_max: usize::try_from(args.message_bytes_max).unwrap_or(usize::MAX),
            rooms_max: args.rooms_max,
            log_messages_max: args.log_messages_max,
            log_bytes_max: args.log_bytes_max,
            connections_max: args.connections_max,
            hold_max: Duration::from_millis(args.hold_max_ms),
            stream_age: Duration::from_millis(args.stream_age_ms),
            stream_bytes_max: args.stream_bytes_max,
            websocket_age: Duration::from_millis(args.websocket_age_ms),
            heartbeat: Duration::from_millis(args.heartbeat_ms),
            header_timeout: Duration::from_millis(args.header_timeout_ms),
            idle_timeout: Duration::from_millis(args.idle_timeout_ms),
            stall_timeout: Duration::from_millis(args.stall_timeout_ms),
            room_idle: Duration::from_millis(args.room_idle_ms),
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    check_exposure(&args)?;
    if !args.cores.is_empty() {
        machine::pin(&args.cores).with_context(|| format!("cannot stay on cores {:?}", args.cores))?;
    }
    let threads = args.threads.map_or_else(default_threads, usize::from);
    raise_open_files(args.limits.connections_max);
    let exit_with_parent = args.exit_with_parent;
    let config = Config {
        listen: args.listen,
        tcp_listen: args.tcp_listen,
        access: Access { token: args.token, origins: args.allow_origin, hosts: args.allow_host },
        limits: args.limits.into(),
        handicap: args.handicap,
    };
    let runtime = runtime(threads).context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(config, exit_with_parent));
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config, exit_with_parent: bool) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let running = server::start(config).await?;
    announce(&ServerAddresses {
        http: running.http,
        tcp: running.tcp,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    tracing::info!(http = %running.http, tcp = %running.tcp, "serving");
    let why = tokio::select! {
        why = signals.next() => why,
        () = stdin_closed(), if exit_with_parent => "the parent is gone",
    };
    tracing::info!(why, "stopping");
    running.shutdown().await;
    Ok(())
}

/// Tells programs, on standard output, where the server is. Nothing else is ever written there.
fn announce(listening: &ServerAddresses) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, listening).context("cannot write the addresses to standard output")?;
    writeln!(out).and_then(|()| out.flush()).context("cannot write the addresses to standard output")
}

fn check_exposure(args: &Args) -> anyhow::Result<()> {
    let exposed = [args.listen, args.tcp_listen].into_iter().find(|address| !address.ip().is_loopback());
    match (exposed, args.allow_remote, &args.token) {
        (None, ..) | (Some(_), true, Some(_)) => Ok(()),
        (Some(address), false, _) => bail!(
            "{address} can be reached by others; listen on a loopback address, or give --allow-remote and a token"
        ),
        (Some(address), true, None) => {
            bail!("{address} can be reached by others; set PUSHBENCH_TOKEN to a secret they must know")
        }
    }
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

/// Takes as many open files as the system gives without asking, and says so when that is less than may be needed.
fn raise_open_files(connections_max: usize) {
    let open_files = machine::raise_open_files().unwrap_or(0);
    if open_files < connections_max as u64 {
        tracing::warn!(open_files, connections_max, "fewer open files than connections allowed; see ulimit -n");
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
}
