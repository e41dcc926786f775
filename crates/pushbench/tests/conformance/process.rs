//! The `pushbench serve` process: its output, its end, and the arguments it refuses.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use wire::{ServerAddresses, Transport};

use crate::clients::{ClientOptions, End};
use crate::raw::Raw;
use crate::test_server::{TestServer, within};

const FREE_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"];
/// The maximum time of a shutdown.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

fn pushbench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushbench"));
    command.args(arguments).env_remove("PUSHBENCH_TOKEN").env_remove("RUST_LOG").env_remove("COLUMNS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn serve(more: &[&str]) -> Command {
    pushbench(&[&["serve"], &FREE_PORTS[..], more].concat())
}

async fn output(mut command: Command) -> Output {
    within("the program to end", command.output()).await.unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

struct Program {
    child: Child,
    line: String,
    listening: ServerAddresses,
}

impl Program {
    async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        within("the line with the addresses of the server", stdout.read_line(&mut line)).await.unwrap();
        let listening = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        child.stdout = Some(stdout.into_inner());
        Self { child, line, listening }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.listening.pid).unwrap()), signal).unwrap();
    }

    /// Waits for a successful exit in the maximum time, without further standard output. Returns
    /// the log.
    async fn ends(mut self) -> String {
        let start = Instant::now();
        let status = within("the server to end", self.child.wait()).await.unwrap();
        assert!(start.elapsed() < SHUTDOWN_MAX, "the shutdown took {:?}", start.elapsed());
        let (mut more, mut log) = (String::new(), String::new());
        self.child.stdout.unwrap().read_to_string(&mut more).await.unwrap();
        self.child.stderr.unwrap().read_to_string(&mut log).await.unwrap();
        assert_eq!((status.code(), more.as_str()), (Some(0), ""), "{log}");
        log
    }
}

#[tokio::test]
async fn one_json_line_has_the_addresses() {
    let program = Program::start(serve(&[])).await;
    let ServerAddresses { http, tcp, page: _, pid, version } = &program.listening;
    assert_eq!((Some(*pid), version.as_str()), (program.child.id(), env!("CARGO_PKG_VERSION")));
    assert!(http.port() != 0 && tcp.port() != 0 && http != tcp);
    let expected = format!("{{\"http\":\"{http}\",\"tcp\":\"{tcp}\",\"pid\":{pid},\"version\":\"{version}\"}}\n");
    assert_eq!(program.line, expected);
    let server = TestServer::at(&program.listening);
    assert_eq!(server.stats().await.pid, *pid);
}

#[tokio::test]
async fn signals_end_it_and_clients_get_the_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let program = Program::start(serve(&[])).await;
        let server = TestServer::at(&program.listening);
        let mut websocket = ClientOptions::new(Transport::Websocket, "lobby").join(&server).await;
        let mut stream = ClientOptions::new(Transport::Sse, "lobby").join(&server).await;
        program.signal(signal);
        assert_eq!((websocket.end().await, stream.end().await), (End::Close(1001), End::Complete));
        program.ends().await;
    }
}

/// As under `nohup`.
#[tokio::test]
async fn an_ignored_hang_up_stays_ignored() {
    let ignoring = format!("trap '' HUP; exec '{}' \"$@\"", env!("CARGO_BIN_EXE_pushbench"));
    let mut command = Command::new("sh");
    command.args(["-c", &ignoring, "sh", "serve"]).args(FREE_PORTS).env_remove("PUSHBENCH_TOKEN");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = Program::start(command).await;
    program.signal(Signal::SIGHUP);
    // Pending signals are delivered in the order of their numbers. If SIGHUP were not ignored, it
    // would be logged.
    program.signal(Signal::SIGTERM);
    let log = program.ends().await;
    assert!(log.contains("SIGTERM") && !log.contains("SIGHUP"), "{log}");
}

#[tokio::test]
async fn it_exits_in_time_when_a_client_stays_connected() {
    let program = Program::start(serve(&[])).await;
    let mut raw = Raw::connect(program.listening.tcp).await;
    let join = b"\x10{\"room\":\"lobby\"}";
    raw.send([&(join.len() as u32).to_be_bytes()[..], join].concat()).await;
    TestServer::at(&program.listening).until_readers(1).await;
    program.signal(Signal::SIGTERM);
    program.ends().await;
}

#[tokio::test]
async fn it_exits_with_its_parent() {
    let mut command = serve(&["--exit-with-parent"]);
    command.stdin(Stdio::piped());
    let mut program = Program::start(command).await;
    TestServer::at(&program.listening).stats().await;
    drop(program.child.stdin.take());
    program.ends().await;
}

#[tokio::test]
async fn other_machines_need_a_token() {
    let everywhere = ["serve", "--listen", "0.0.0.0:0", "--tcp-listen", "127.0.0.1:0"];
    let cases: [(&[&str], &str); 3] = [
        (
            &[],
            "pushbench: other machines can reach 0.0.0.0:0; listen on a loopback address, or give --allow-remote and a token\n",
        ),
        (
            &["--token", "a-secret-token"],
            "pushbench: other machines can reach 0.0.0.0:0; listen on a loopback address, or give --allow-remote and a token\n",
        ),
        (
            &["--allow-remote"],
            "pushbench: other machines can reach 0.0.0.0:0; set PUSHBENCH_TOKEN to a token that clients must send\n",
        ),
    ];
    for (more, expected) in cases {
        let output = output(pushbench(&[&everywhere[..], more].concat())).await;
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), expected));
        assert_eq!(output.stdout, b"");
    }
    let mut command = pushbench(&[&everywhere[..], &["--allow-remote"]].concat());
    command.env("PUSHBENCH_TOKEN", "a-secret-token");
    let program = Program::start(command).await;
    let mut raw = Raw::connect(([127, 0, 0, 1], program.listening.http.port()).into()).await;
    assert_eq!(raw.ask("GET", "/stats", "", "").await.status, 401);
    let bearer = "authorization: Bearer a-secret-token\r\n";
    assert_eq!(raw.ask("GET", "/stats", bearer, "").await.status, 200);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for arguments in
        [["--listen", &taken, "--tcp-listen", "127.0.0.1:0"], ["--listen", "127.0.0.1:0", "--tcp-listen", &taken]]
    {
        let output = output(pushbench(&[&["serve"][..], &arguments].concat())).await;
        let expected = format!("pushbench: cannot listen on {taken}: Address already in use (os error 98)\n");
        assert_eq!((output.status.code(), stderr(&output)), (Some(1), expected));
    }
}

#[tokio::test]
async fn bad_arguments_say_what_is_allowed() {
    let cases: [(&[&str], &str); 10] = [
        (&["serve", "--token", "short"], "a token needs at least 8 characters"),
        (&["serve", "--allow-origin", "chat.example"], "an origin is a scheme and a host"),
        (&["serve", "--allow-origin", "https://chat.example/"], "an origin is a scheme and a host"),
        (&["serve", "--allow-origin", "null"], "an origin is a scheme and a host"),
        (&["serve", "--allow-origin", "*"], "an origin is a scheme and a host"),
        (&["serve", "--allow-host", ""], "a host name has neither a scheme nor a port"),
        (&["serve", "--allow-host", "chat.example:80"], "a host name has neither a scheme nor a port"),
        (&["serve", "--allow-host", "https://chat.example"], "a host name has neither a scheme nor a port"),
        (&["serve", "--heartbeat-ms", "0"], "0 is not in 1.."),
        (&["serve", "--listen", "8080"], "invalid socket address syntax"),
    ];
    for (arguments, expected) in cases {
        let output = output(pushbench(arguments)).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

/// Updated by `BLESS=1 cargo test -p pushbench`.
#[tokio::test]
async fn help_is_as_it_was() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/serve-help.txt");
    let help = String::from_utf8(output(pushbench(&["serve", "--help"])).await.stdout).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &help).unwrap();
    }
    assert_eq!(help, std::fs::read_to_string(golden).unwrap(), "the help differs; BLESS=1 accepts it");
}
