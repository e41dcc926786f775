//! External servers in a scenario: the plans that they give, and their error messages.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use scenario::{Job, parse};
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
fn an_external_server_is_a_subject() {
    let job = read(&format!("budget_s = 3\n{HEAD}needs = 'node_modules'\nprepare = 'npm ci'\n"));
    let subjects: Vec<_> = job.plans[0].subjects().iter().map(ToString::to_string).collect();
    assert_eq!(subjects, ["tcp", "websocket", "websocket @ node-ws"]);
    let server = &job.plans[0].external_servers[0];
    assert_eq!(
        (server.command.0.len(), server.folder.as_str(), server.ready_within()),
        (3, ".", Duration::from_secs(10))
    );
    assert_eq!((server.needs.as_deref(), server.prepare.as_deref()), (Some("node_modules"), Some("npm ci")));
}

#[test]
fn a_command_is_words_or_a_list_of_them() {
    let job = read(&HEAD.replace("'node server.js {port}'", "['my server', '--port={port}']"));
    let server = &job.plans[0].external_servers[0];
    assert_eq!(server.command.0, ["my server", "--port={port}"]);
    assert_eq!((&server.protocol, &server.transports[..]), (&None, &[Transport::Websocket][..]));
    assert_eq!(
        without("'node server.js {port}'", "[]"),
        "f.toml:9: target[1].command is []; it takes a program and its arguments, in one string or a list of strings"
    );
    assert_eq!(
        without("'node server.js {port}'", "'node server.js 8080'"),
        "f.toml:9: target[1].command is node server.js 8080, but it does not contain {port}: the server has to listen on the port that it is given"
    );
}

#[test]
fn missing_and_unknown_keys_are_named() {
    assert_eq!(
        without("command = 'node server.js {port}'\n", ""),
        "f.toml:7: target[1].command is missing; it takes a program and its arguments, in one string or a list of strings"
    );
    assert_eq!(
        with("colour = 'red'"),
        "f.toml:11: there is no key target[1].colour; target[] has name, command, folder, needs, prepare, ready, ready_within_s, \
         transports, protocol"
    );
    let tcp = error(&HEAD.replace("{port}'\ntransports = ['websocket']", "{port}'\ntransports = ['tcp']"));
    assert!(
        tcp.starts_with(
            "f.toml:10: target[1].transports is [\"tcp\"]; it takes a list of one or more transports other than"
        ),
        "{tcp}"
    );
}

#[test]
fn names_of_servers_are_unique() {
    assert_eq!(
        without("'node-ws'", "'pushbench'"),
        "f.toml:8: target[1].name is pushbench, but another target has this name: choose a different one"
    );
    let again = "[[target]]\nname = 'node-ws'\ncommand = 'x {port}'\ntransports = ['sse']\n";
    assert_eq!(
        with(again),
        "f.toml:12: target[2].name is node-ws, but another target has this name: choose a different one"
    );
}

#[test]
fn a_way_to_prepare_belongs_to_what_is_needed() {
    assert_eq!(
        with("prepare = 'make'"),
        "f.toml:11: target[1].prepare is without needs, but it makes what needs names: write needs too"
    );
}

#[test]
fn limits_apply_to_the_transports_of_external_servers() {
    let polling = HEAD.replace("{port}'\ntransports = ['websocket']", "{port}'\ntransports = ['polling']");
    let quiet = error(&polling.replace("posts.per", "phases.drain_idle_s = 0.5\nposts.per"));
    assert!(quiet.contains("phases.drain_idle_s is 0.5, but clients poll only every 1 s"), "{quiet}");
    let full = error(&polling.replace("posts.per", "limits.connections_max = 5\nposts.per"));
    assert!(full.contains("limits.connections_max is 5, but tcp needs 10 sockets"), "{full}");
}
