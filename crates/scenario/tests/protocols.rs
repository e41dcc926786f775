//! Protocols of external servers in a scenario, and their error messages.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use scenario::{Plan, parse};

const HEAD: &str = "name = 'x'
question = 'What?'
transports = ['websocket']
clients = 10
rooms = 2
posts.per_client_per_s = 1
[[target]]
name = 'chat'
command = 'node server.js {port}'
transports = ['TRANSPORT']
[target.protocol]
";

fn plan(transport: &str, protocol: &str) -> Result<Plan, String> {
    let text = format!("{}{protocol}", HEAD.replace("TRANSPORT", transport));
    parse("f.toml", &text, &[]).map(|mut job| job.plans.remove(0)).map_err(|error| error.to_string())
}

fn error(transport: &str, protocol: &str) -> String {
    plan(transport, protocol).unwrap_err()
}

#[test]
fn a_protocol_may_be_one_line() {
    let plan = plan("websocket", "post.send = '{\"room\":\"{room}\",\"say\":\"{text}\"}'").unwrap();
    let protocol = plan.external_servers[0].protocol.as_ref().unwrap();
    assert!(protocol.author_receives && protocol.read.path.is_none());
    assert_eq!(protocol.post.send.as_ref().unwrap().names().collect::<Vec<_>>(), ["room", "text"]);
}

#[test]
fn a_whole_protocol() {
    let text = "author_receives = false
login.request = { path = '/login', body = 'user={client}', headers = { content-type = 'application/x-www-form-urlencoded' } }
login.values = { token = 'json:/token' }
read = { path = '/rooms/{room}/messages?since={since}', headers = { authorization = 'Bearer {token}', if-none-match = '{etag}' } }
cursor = { since = 'json:/messages/-/id', etag = 'header:ETag' }
[[target.protocol.join]]
request = { method = 'PUT', path = '/rooms/{room}/members/{client}' }
[target.protocol.post]
request = { path = '/rooms/{room}/messages', body = '{\"text\":\"{text}\",\"n\":{ordinal}}' }
";
    let plan = plan("long-polling", text).unwrap();
    let written = serde_json::to_value(&plan.external_servers[0].protocol).unwrap();
    assert_eq!(written["cursor"], serde_json::json!({"since": "json:/messages/-/id", "etag": "header:etag"}));
    let again: scenario::TargetProtocol = serde_json::from_value(written).unwrap();
    assert_eq!(Some(again), plan.external_servers[0].protocol);
}

#[test]
fn errors_name_the_key_and_what_to_do() {
    for (transport, protocol, expected) in [
        ("websocket", "", "f.toml:11: target[1].protocol.post is missing"),
        ("websocket", "post = {}", "f.toml:12: target[1].protocol.post is empty, but websocket needs send or request"),
        (
            "sse",
            "post.send = '{text}'",
            "f.toml:12: target[1].protocol.post.send is there, but sse needs request in its place",
        ),
        (
            "websocket",
            "post = { send = '{text}', request = { path = '/' } }",
            "f.toml:12: target[1].protocol.post.request is there too, but post has send: write another step",
        ),
        (
            "websocket",
            "post.send = '{room} {txt}'",
            "f.toml:12: target[1].protocol.post.send is {room} {txt}, but {txt} has no value there; {author}, {client}, {ordinal}, {room}, {text} have",
        ),
        (
            "websocket",
            "post.send = '{room}{text}'\njoin = [{ send = '{text}' }]",
            "f.toml:13: target[1].protocol.join[1].send is {text}, but {text} has no value there; {client}, {room} have",
        ),
        (
            "websocket",
            "post.send = '{text}'",
            "f.toml:11: target[1].protocol is without {room}, but such a server has one room for all clients, or one for each: write rooms = 1 or rooms = 10",
        ),
        (
            "websocket",
            "post = { send = '{room}{text}', ack = true }",
            "f.toml:12: target[1].protocol.post.ack is true, but only an event of Socket.IO (emit) is acknowledged",
        ),
        (
            "sse",
            "post.request.path = 'rooms/{room}'",
            "f.toml:12: target[1].protocol.post.request.path is \"rooms/{room}\"; it takes a path that begins with /, with names in braces such as {room}",
        ),
        (
            "sse",
            "post.request = { path = '/{room}', headers = { Host = 'x' } }",
            "f.toml:12: target[1].protocol.post.request.headers is { Host = \"x\" }; it takes a table of headers, each with a text on one line; not host, connection, content-length or transfer-encoding",
        ),
        (
            "polling",
            "post.request.path = '/{room}'\ncursor.since = 'body'",
            "f.toml:13: target[1].protocol.cursor is { since = \"body\" }; it takes a table of names, each with \"json:/pointer\", \"header:name\" or \"event-id\"",
        ),
        (
            "stomp",
            "post.request.path = '/{room}'",
            "f.toml:11: target[1].protocol is there, but it cannot describe stomp: leave out one of them",
        ),
    ] {
        let found = error(transport, protocol);
        assert!(found.starts_with(expected), "{protocol}\n  {found}\n  {expected}");
    }
    let small = HEAD.replace("posts.per", "posts.payload_bytes = 20\nposts.per").replace("TRANSPORT", "websocket");
    let found = parse("f.toml", &format!("{small}post.send = '{{room}}{{text}}'"), &[]).unwrap_err().to_string();
    assert_eq!(
        found,
        "f.toml:12: target[1].protocol is there, but each text begins with a marker: write posts.payload_bytes = 32 or more"
    );
}
