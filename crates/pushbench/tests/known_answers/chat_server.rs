//! A chat over HTTP that knows nothing of pushbench: a login, rooms, a log with `since`, streams. It is
//! a second process of this test program, which runs only the test `serve`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, Sse};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::broadcast;

const PORT: &str = "CHAT_SERVER_PORT";
/// Longest time that a request is held.
const HELD_MAX: Duration = Duration::from_secs(2);

/// The command line of the server as a target.
pub(crate) fn command() -> Vec<String> {
    let program = std::env::current_exe().unwrap().display().to_string();
    let args = ["--exact", "chat_server::serve", "--nocapture"].map(str::to_owned);
    ["env".to_owned(), format!("{PORT}={{port}}"), program].into_iter().chain(args).collect()
}

struct Room {
    log: Vec<Value>,
    sender: broadcast::Sender<Value>,
}

impl Default for Room {
    fn default() -> Self {
        Self { log: Vec::new(), sender: broadcast::channel(1000).0 }
    }
}

type Rooms = Arc<Mutex<HashMap<String, Room>>>;

/// Runs the server if the environment variable is set. Otherwise it does nothing.
#[tokio::test]
async fn serve() {
    let Ok(port) = std::env::var(PORT) else { return };
    let rooms = Router::new()
        .route("/rooms/{room}/members/{name}", post(|| async { StatusCode::NO_CONTENT }))
        .route("/rooms/{room}/poll", get(poll))
        .route("/rooms/{room}/hold", get(hold))
        .route("/rooms/{room}/events", get(events))
        .route("/rooms/{room}/stream", get(lines))
        .route("/rooms/{room}/say", post(say))
        .layer(from_fn(only_after_login))
        .with_state(Rooms::default());
    let app = rooms.route("/login", post(login));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    std::io::stdout().write_all(b"listening\n").unwrap();
    axum::serve(listener, app).await.unwrap();
}

async fn login(Json(body): Json<Value>) -> impl IntoResponse {
    let cookie = AppendHeaders([(header::SET_COOKIE, "sid=42; HttpOnly")]);
    (cookie, Json(json!({ "user": { "token": format!("token of {}", body["user"].as_str().unwrap()) } })))
}

async fn only_after_login(request: Request, next: Next) -> Response {
    if is_logged_in(&request) { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() }
}

fn is_logged_in(request: &Request) -> bool {
    let begins = |name, with: &str| {
        request.headers().get(name).is_some_and(|value| value.as_bytes().starts_with(with.as_bytes()))
    };
    begins(header::AUTHORIZATION, "Bearer token of client-") && begins(header::COOKIE, "sid=42")
}

fn after(rooms: &Rooms, room: &str, since: usize) -> Value {
    let mut rooms = rooms.lock().unwrap();
    let log = &rooms.entry(room.to_owned()).or_default().log;
    json!({ "messages": log.get(since..).unwrap_or_default(), "page": { "next": log.len().to_string() } })
}

fn since(query: &HashMap<String, String>) -> usize {
    query.get("since").and_then(|since| since.parse().ok()).unwrap_or(0)
}

async fn poll(
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    Json(after(&rooms, &room, since(&query)))
}

async fn hold(
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let mut messages = subscribe(&rooms, &room);
    if after(&rooms, &room, since(&query))["messages"] == json!([]) {
        tokio::time::timeout(HELD_MAX, messages.recv()).await.ok();
    }
    Json(after(&rooms, &room, since(&query)))
}

async fn events(
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(messages(&rooms, &room).map(|message| Ok(Event::default().event("message").json_data(message).unwrap())))
}

async fn lines(State(rooms): State<Rooms>, Path(room): Path<String>) -> Body {
    Body::from_stream(messages(&rooms, &room).map(|message| Ok::<_, Infallible>(format!("{message}\n"))))
}

async fn say(
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Json(message): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut rooms = rooms.lock().unwrap();
    let room = rooms.entry(room).or_default();
    // The text is in the message twice, as in servers that render it too.
    let message =
        json!({ "id": room.log.len() + 1, "text": message["text"], "html": format!("<p>{}</p>", message["text"]) });
    room.log.push(message.clone());
    room.sender.send(message).ok();
    (StatusCode::CREATED, Json(json!({ "id": room.log.len() })))
}

fn subscribe(rooms: &Rooms, room: &str) -> broadcast::Receiver<Value> {
    rooms.lock().unwrap().entry(room.to_owned()).or_default().sender.subscribe()
}

fn messages(rooms: &Rooms, room: &str) -> impl Stream<Item = Value> + use<> {
    let joined = json!({ "joined": room });
    let receiver = subscribe(rooms, room);
    let rest = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await.ok()?, receiver)));
    stream::once(async { joined }).chain(rest)
}
