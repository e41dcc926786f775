//! The chat page: its files, which are compiled in, and the policy under which browsers run it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;

use crate::access::without_port;
use crate::counters::TransportSlot;
use crate::http::{RequestHead, connection_of, json};
use crate::state::ServerState;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The ports to which the page may connect, as JSON.
const PORTS_PATH: &str = "/page/ports";

struct PageFile {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

macro_rules! page_file {
    ($path:literal, $content_type:expr, $file:literal) => {
        PageFile { path: $path, content_type: $content_type, content: include_str!(concat!("../../page/", $file)) }
    };
}

const FILES: &[PageFile] = &[
    page_file!("/", HTML, "index.html"),
    page_file!("/page/page.css", "text/css; charset=utf-8", "page.css"),
    page_file!("/page/icon.svg", "image/svg+xml", "icon.svg"),
    page_file!("/page/main.js", SCRIPT, "main.js"),
    page_file!("/page/chat.js", SCRIPT, "chat.js"),
    page_file!("/page/columns.js", SCRIPT, "columns.js"),
    page_file!("/page/element.js", SCRIPT, "element.js"),
    page_file!("/page/presence.js", SCRIPT, "presence.js"),
    page_file!("/page/room_client.js", SCRIPT, "room_client.js"),
    page_file!("/page/server.js", SCRIPT, "server.js"),
    page_file!("/page/transports.js", SCRIPT, "transports.js"),
    page_file!("/page/user.js", SCRIPT, "user.js"),
    page_file!("/page/stomp.js", SCRIPT, "vendor/stomp.umd.min.js"),
    page_file!("/socket.io/socket.io.js", SCRIPT, "vendor/socket.io.min.js"),
];

/// The routes of the page. Its files are the same for everybody and need no token.
pub(super) fn routes(state: &Arc<ServerState>) -> Router {
    let router = FILES.iter().fold(Router::new(), |router, file| {
        let state = Arc::clone(state);
        router.route(file.path, get(move |request: Request| async move { answer(&state, file, &request) }))
    });
    let state = Arc::clone(state);
    router.route(
        PORTS_PATH,
        get(move |request: Request| async move {
            connection_of(&request).begin_request(TransportSlot::OTHER);
            json(StatusCode::OK, &state.access.page_ports)
        }),
    )
}

fn answer(state: &ServerState, file: &PageFile, request: &Request) -> Response {
    connection_of(request).begin_request(TransportSlot::OTHER);
    let policy = content_security_policy(RequestHead::of(request).host.unwrap_or(""), &state.access.page_ports);
    let mut response = Response::new(Body::from(file.content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Scripts and styles come from the server only; connections go to it and to its other ports.
fn content_security_policy(host: &str, page_ports: &[u16]) -> HeaderValue {
    // Only hosts of a known form: the header is a list.
    let is_plain = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte));
    let host = Some(host).filter(|host| is_plain(host)).unwrap_or("");
    let mut policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; connect-src 'self'"
        .to_owned();
    if !host.is_empty() {
        policy.push_str(&format!(" ws://{host} wss://{host}"));
        for port in page_ports {
            let name = without_port(host);
            policy.push_str(&format!(" http://{name}:{port} ws://{name}:{port}"));
        }
    }
    HeaderValue::from_str(&policy).expect("a plain host fits into a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_extend_the_policy() {
        let policy = |host| content_security_policy(host, &[8080, 8082]).to_str().unwrap().to_owned();
        let connects = |host| policy(host).split("connect-src ").nth(1).unwrap().to_owned();
        assert_eq!(
            connects("localhost:8080"),
            "'self' ws://localhost:8080 wss://localhost:8080 http://localhost:8080 ws://localhost:8080 \
             http://localhost:8082 ws://localhost:8082"
        );
        assert_eq!(connects("[::1]:8080").split(' ').next_back(), Some("ws://[::1]:8082"));
        for hostile in ["x; script-src *", "x 'unsafe-inline'", "a,b", "ä"] {
            assert_eq!(connects(hostile), "'self'", "{hostile}");
        }
    }
}
