//! Other people's servers in a scenario: what they come to, and what is said when they are wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::Duration;

use scenario::{Dialect, Job, parse};
use wire::Transport;

const HEAD: &str = "name = 'x'
question = 'What?'
transports = ['websocket']
clients = 10
rooms = 1
posts.per_client_per_s = 1
[[target]]
name = 'node-ws'
command = 'node server.js {port}'
transports = ['websocket']
";

fn read(text: &str) -> Job {
    parse("f.toml", text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    parse("f.toml", text, &[]).unwrap_err().to_string()
}

fn with(lines: &str) -> String {
    error(&format!("{HEAD}{lines}"))
}

fn without(line: &str, instead: &str) -> String {
    assert!(HEAD.contains(line), "{line}");
    error(&HEAD.replace(line, instead))
}

#[test]
fn a_target_runs_beside_ours_in_every_round() {
    let job = read(&format!(
        "repetitions = 3\n{HEAD}dialect = 'broadcast'\npath = '/chat?r={{room}}'\nneeds = 'node_modules'\nprepare = 'npm ci'\n"
    ));
    let lanes: Vec<_> = job.plans[0].lanes().iter().map(ToString::to_string).collect();
    assert_eq!(lanes, ["tcp", "websocket", "websocket @ node-ws"]);
    assert_eq!(job.runs(), 9);
    for round in 0..3 {
        let mut order: Vec<_> = job.order(round).into_iter().map(|(_, lane)| lane.to_string()).collect();
        order.sort();
        assert_eq!(order, lanes);
    }
    let peer = &job.plans[0].peers[0];
    assert_eq!((peer.command.len(), peer.folder.as_str(), peer.ready_within), (3, ".", Duration::from_secs(10)));
    assert_eq!(peer.needs, Some(("node_modules".to_owned(), Some("npm ci".to_owned()))));
    assert_eq!(peer.dialect, Dialect::Repeated { path: "/chat?r={room}".to_owned() });
}

#[test]
fn a_command_is_words_or_a_list_of_them() {
    let job = read(&HEAD.replace("'node server.js {port}'", "['my server', '--port={port}']"));
    let peer = &job.plans[0].peers[0];
    assert_eq!(peer.command, ["my server", "--port={port}"]);
    assert_eq!((&peer.dialect, &peer.transports[..]), (&Dialect::Pushbench, &[Transport::Websocket][..]));
    assert_eq!(
        without("'node server.js {port}'", "[]"),
        "f.toml:9: target[1].command is []; it takes a program and its arguments, in one string or a list of strings"
    );
    assert_eq!(
        without("'node server.js {port}'", "'node server.js 8080'"),
        "f.toml:9: target[1].command is node server.js 8080, but {port} does not stand in it: the server has to listen where it is told to"
    );
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    assert_eq!(
        without("command = 'node server.js {port}'\n", ""),
        "f.toml:7: target[1].command is missing; it takes a program and its arguments, in one string or a list of strings"
    );
    assert_eq!(
        with("colour = 'red'"),
        "f.toml:11: there is no key target[1].colour; target[] knows name, command, folder, needs, prepare, ready, ready_within_s, \
         transports, dialect, path"
    );
    assert_eq!(
        with("dialect = 'latin'"),
        "f.toml:11: target[1].dialect is \"latin\"; it takes one of \"pushbench\", \"broadcast\", \"echo\""
    );
    let tcp = error(&HEAD.replace("{port}'\ntransports = ['websocket']", "{port}'\ntransports = ['tcp']"));
    assert!(tcp.starts_with("f.toml:10: target[1].transports is [\"tcp\"]; it takes a list of one or more"), "{tcp}");
}

#[test]
fn names_are_their_own() {
    assert_eq!(
        without("'node-ws'", "'pushbench'"),
        "f.toml:8: target[1].name is pushbench, but that is the name of another target: choose one of its own"
    );
    let again = "[[target]]\nname = 'node-ws'\ncommand = 'x {port}'\ntransports = ['sse']\n";
    assert_eq!(
        with(again),
        "f.toml:12: target[2].name is node-ws, but that is the name of another target: choose one of its own"
    );
}

#[test]
fn a_server_that_only_repeats_has_one_room_or_one_for_each() {
    let rooms = |rooms: &str, dialect: &str| {
        error(&format!("{}dialect = '{dialect}'\n", HEAD.replace("rooms = 1", &format!("rooms = {rooms}"))))
    };
    assert_eq!(
        rooms("2", "broadcast"),
        "f.toml:11: target[1].dialect is broadcast, but everybody is in one room of it: write rooms = 1"
    );
    assert_eq!(
        rooms("2", "echo"),
        "f.toml:11: target[1].dialect is echo, but everybody is alone with it: write rooms = 10, one for each seat"
    );
    let echo = read(&format!("{}dialect = 'echo'\n", HEAD.replace("rooms = 1", "rooms = 10")));
    assert_eq!(echo.plans[0].peers[0].dialect, Dialect::Repeated { path: "/".to_owned() });
}

#[test]
fn a_server_that_only_repeats_speaks_text_over_websocket() {
    assert_eq!(
        error(&format!(
            "{}dialect = 'broadcast'\n",
            HEAD.replace("{port}'\ntransports = ['websocket']", "{port}'\ntransports = ['sse']")
        )),
        "f.toml:10: target[1].transports is sse, but broadcast is spoken over websocket: leave out the others"
    );
    assert_eq!(
        error(&format!("encoding = 'binary'\n{HEAD}dialect = 'broadcast'\n")),
        "f.toml:12: target[1].dialect is broadcast, but it sends texts: leave out encoding = \"binary\""
    );
    assert_eq!(
        with("path = '/chat'"),
        "f.toml:11: target[1].path is /chat, but a server that speaks like ours has our paths: leave it out, or write another dialect"
    );
    assert_eq!(
        with("prepare = 'make'"),
        "f.toml:11: target[1].prepare is without needs, but it makes what needs names: write that too"
    );
}

#[test]
fn its_transports_count_like_ours() {
    let polling = HEAD.replace("{port}'\ntransports = ['websocket']", "{port}'\ntransports = ['polling']");
    let quiet = error(&polling.replace("posts.per", "phases.drain_quiet_s = 0.5\nposts.per"));
    assert!(quiet.contains("phases.drain_quiet_s is 0.5, but polling asks only every 1 s"), "{quiet}");
    let full = error(&polling.replace("posts.per", "limits.connections_max = 5\nposts.per"));
    assert!(full.contains("limits.connections_max is 5, but tcp needs 10 sockets"), "{full}");
}
