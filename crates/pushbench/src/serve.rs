//! `pushbench serve`: runs the chat server until a signal stops it.

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
use crate::values::whole_number;

/// Time for the runtime to end after the server has shut down.
const RUNTIME_END_MAX: Duration = Duration::from_millis(500);

/// Serve one chat over all transports
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address for HTTP and WebSocket; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Address for raw TCP, the baseline; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    tcp_listen: SocketAddr,

    /// Number of threads [default: one for each core that the process may use]
    #[arg(long, value_name = "N", value_parser = whole_number(1..=256))]
    threads: Option<u64>,

    /// Cores to run on, such as 0 or 0,1 [default: all that the process may use]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cores: Vec<usize>,

    /// Stop when standard input closes, so that the server does not outlive the program that started it
    #[arg(long)]
    exit_with_parent: bool,

    /// Allow addresses that other machines can reach; requires a token
    #[arg(long)]
    allow_remote: bool,

    /// Token that reads, posts and requests for statistics must carry
    #[arg(long, env = "PUSHBENCH_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = parse_token)]
    token: Option<String>,

    /// Origin whose web pages may read and post, such as https://chat.example; may be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    allow_origin: Vec<String>,

    /// Host name that requests may use, such as chat.example; may be repeated. Without a token other names are refused, so that
    /// no web page can reach the server by DNS rebinding. IP addresses, localhost and the hosts of --allow-origin are always
    /// allowed
    #[arg(long, value_name = "NAME", value_parser = parse_host)]
    allow_host: Vec<String>,

    #[command(flatten)]
    limits: LimitArgs,

    /// Make every delivered message more expensive, such as cpu=5us,bytes=64,allocs=2,delay=1ms, to test a comparison. Binary
    /// frames of tcp take bytes in multiples of five; Socket.IO takes cpu and allocs only
    #[arg(long, value_name = "COSTS", requires = "allow_handicap", help_heading = "Testing a comparison")]
    handicap: Option<Handicap>,

    /// Allow --handicap
    #[arg(long, help_heading = "Testing a comparison")]
    allow_handicap: bool,
}

const EXAMPLES: &str = "\
Examples:
  pushbench serve
  pushbench serve --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0
  curl -s --json '{\"author\":1,\"ordinal\":1,\"text\":\"hello\"}' \\
    http://127.0.0.1:8080/rooms/lobby/polling
  curl -N 'http://127.0.0.1:8080/rooms/lobby/sse?after=0'";

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Bytes of text in a message
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().message_bytes_max as u64,
          value_parser = whole_number(1..=wire::TEXT_BYTES_CEILING as u64))]
    message_bytes_max: u64,

    /// Number of rooms. All rooms together keep at most twice this times --log-bytes-max: 1 GiB by default
    #[arg(long, value_name = "N", default_value_t = Limits::default().rooms_max)]
    rooms_max: usize,

    /// Messages that a room keeps for clients with an older cursor
    #[arg(long, value_name = "N", default_value_t = Limits::default().log_messages_max)]
    log_messages_max: usize,

    /// Bytes of messages that a room keeps for clients with an older cursor; their encoded copies take as many again
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().log_bytes_max)]
    log_bytes_max: usize,

    /// Number of connections, on both ports together
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max)]
    connections_max: usize,

    /// Maximum time a long poll is held; also the default when the request has no hold_ms
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().hold_max))]
    hold_max_ms: u64,

    /// Age at which a streaming response is ended
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().stream_age))]
    stream_age_ms: u64,

    /// Bytes after which a streaming response is ended
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().stream_bytes_max)]
    stream_bytes_max: u64,

    /// Age at which a WebSocket of websocket and stomp is closed; the client may reconnect with its cursor
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().websocket_age), value_parser = positive())]
    websocket_age_ms: u64,

    /// Heartbeat interval of streams and WebSockets; a heartbeat is sent when nothing was sent for one interval
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().heartbeat), value_parser = positive())]
    heartbeat_ms: u64,

    /// Time limit for a request head, a request body or a join
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().header_timeout), value_parser = positive())]
    header_timeout_ms: u64,

    /// Time a connection may stay open without another request
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().idle_timeout), value_parser = positive())]
    idle_timeout_ms: u64,

    /// Time after which a connection is closed whose client does not read
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().stall_timeout), value_parser = positive())]
    stall_timeout_ms: u64,

    /// Time after which a room without readers and posts is removed
    #[arg(long, value_name = "MS", default_value_t = ms(Limits::default().room_idle))]
    room_idle_ms: u64,
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn positive() -> impl Fn(&str) -> Result<u64, String> + Clone {
    whole_number(1..=u64::MAX)
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
        machine::pin(&args.cores).with_context(|| format!("cannot run on cores {:?}", args.cores))?;
    }
    let threads = args.threads.map_or_else(default_threads, |threads| threads as usize);
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
        () = stdin_closed(), if exit_with_parent => "standard input was closed",
    };
    tracing::info!(why, "stopping");
    running.shutdown().await;
    Ok(())
}

/// Prints the addresses on standard output as JSON, for programs; nothing else is printed there.
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
            "other machines can reach {address}; listen on a loopback address, or give --allow-remote and a token"
        ),
        (Some(address), true, None) => {
            bail!("other machines can reach {address}; set PUSHBENCH_TOKEN to a token that clients must send")
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

/// Raises the limit of open files, and warns when it is lower than the number of connections.
fn raise_open_files(connections_max: usize) {
    let open_files = machine::raise_open_files().unwrap_or(0);
    if open_files < connections_max as u64 {
        tracing::warn!(
            open_files,
            connections_max,
            "the limit of open files is lower than --connections-max; see ulimit -n"
        );
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
}
