//! The chat of pushbench on axum, written the way axum's documentation shows each transport: a
//! WebSocket with a broadcast channel, `Sse` with keep-alive, and requests that wait for a `Notify`.
//! It speaks the protocol of `crates/wire/PROTOCOL.md`, without tokens, limits and statistics.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio_stream::wrappers::BroadcastStream;

const LOG_MESSAGES_MAX: usize = 10_000;
const CHANNEL_MESSAGES_MAX: usize = 1_024;
const HOLD_MAX: Duration = Duration::from_secs(25);

type Rooms = Arc<Mutex<HashMap<String, Arc<Room>>>>;

struct Room {
    log: Mutex<Log>,
    messages: broadcast::Sender<Arc<ChatMessage>>,
    posted: Notify,
}

#[derive(Default)]
struct Log {
    head: u64,
    messages: VecDeque<Arc<ChatMessage>>,
}

struct ChatMessage {
    seq: u64,
    json: Utf8Bytes,
}

#[derive(Deserialize)]
struct Post {
    author: u32,
    ordinal: u64,
    text: String,
}

#[derive(Serialize)]
struct Ack {
    ordinal: u64,
    seq: u64,
}

#[derive(Deserialize)]
struct Cursor {
    after: Option<u64>,
    hold_ms: Option<u64>,
}

impl Room {
    fn new() -> Self {
        Self { log: Mutex::default(), messages: broadcast::channel(CHANNEL_MESSAGES_MAX).0, posted: Notify::new() }
    }

    fn publish(&self, post: Post) -> Ack {
        let mut log = self.log.lock().unwrap();
        log.head += 1;
        let seq = log.head;
        let Post { author, ordinal, text } = post;
        let json = json!({"seq": seq, "author": author, "ordinal": ordinal, "text": text});
        let message = Arc::new(ChatMessage { seq, json: json.to_string().into() });
        log.messages.push_back(Arc::clone(&message));
        if log.messages.len() > LOG_MESSAGES_MAX {
            log.messages.pop_front();
        }
        self.messages.send(message).ok();
        drop(log);
        self.posted.notify_waiters();
        Ack { ordinal, seq }
    }

    /// The messages after a cursor, and those that follow.
    fn subscribe(&self, after: Option<u64>) -> (u64, Vec<Arc<ChatMessage>>, broadcast::Receiver<Arc<ChatMessage>>) {
        let log = self.log.lock().unwrap();
        let after = after.unwrap_or(log.head);
        (after, log.after(after), self.messages.subscribe())
    }
}

impl Log {
    fn after(&self, cursor: u64) -> Vec<Arc<ChatMessage>> {
        let new = self.head.saturating_sub(cursor) as usize;
        let kept = self.messages.len();
        self.messages.range(kept - new.min(kept)..).cloned().collect()
    }
}

fn room(rooms: &Rooms, name: String) -> Arc<Room> {
    let mut rooms = rooms.lock().unwrap();
    Arc::clone(rooms.entry(name).or_insert_with(|| Arc::new(Room::new())))
}

async fn post(State(rooms): State<Rooms>, Path(name): Path<String>, Json(post): Json<Post>) -> Json<Ack> {
    Json(room(&rooms, name).publish(post))
}

async fn polling(State(rooms): State<Rooms>, Path(name): Path<String>, Query(cursor): Query<Cursor>) -> Response {
    answer(&room(&rooms, name), cursor.after, Duration::ZERO).await
}

async fn long_polling(State(rooms): State<Rooms>, Path(name): Path<String>, Query(cursor): Query<Cursor>) -> Response {
    let hold = cursor.hold_ms.map_or(HOLD_MAX, Duration::from_millis);
    answer(&room(&rooms, name), cursor.after, hold.min(HOLD_MAX)).await
}

/// A response with the messages after a cursor, or without any when the hold time is over.
async fn answer(room: &Room, after: Option<u64>, hold: Duration) -> Response {
    let mut cursor = after;
    let new = tokio::time::timeout(hold, async {
        loop {
            let posted = room.posted.notified();
            {
                let log = room.log.lock().unwrap();
                let after = *cursor.get_or_insert(log.head);
                let new = log.after(after);
                if !new.is_empty() || hold.is_zero() {
                    return new;
                }
            }
            posted.await;
        }
    })
    .await
    .unwrap_or_default();
    let mut response = if new.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let lines = new.iter().map(|message| format!("{}\n", message.json));
        let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
        (headers, lines.collect::<String>()).into_response()
    };
    if after.is_none() {
        let cursor = new.last().map_or(cursor.unwrap_or(0), |message| message.seq);
        response.headers_mut().insert("pushbench-cursor", cursor.into());
    }
    response
}

async fn sse(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    Query(cursor): Query<Cursor>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (after, backlog, live) = room(&rooms, name).subscribe(cursor.after);
    let joined = Event::default().event("joined").id(after.to_string()).json_data(json!({"joined": {"after": after}}));
    // A reader that falls behind the channel loses its connection, and resumes from the log.
    let live = BroadcastStream::new(live).take_while(|message| std::future::ready(message.is_ok()));
    let messages = stream::iter(backlog).chain(live.filter_map(|message| std::future::ready(message.ok())));
    let events = messages.map(|message| Event::default().id(message.seq.to_string()).data(&*message.json));
    Sse::new(stream::iter(joined).chain(events).map(Ok)).keep_alive(KeepAlive::default())
}

async fn websocket(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    Query(cursor): Query<Cursor>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| chat(socket, room(&rooms, name), cursor.after))
}

async fn chat(mut socket: WebSocket, room: Arc<Room>, after: Option<u64>) {
    let (after, backlog, mut live) = room.subscribe(after);
    let joined = json!({"joined": {"after": after}}).to_string().into();
    for text in std::iter::once(joined).chain(backlog.iter().map(|message| message.json.clone())) {
        if socket.send(Message::Text(text)).await.is_err() {
            return;
        }
    }
    loop {
        let answer = tokio::select! {
            message = live.recv() => match message {
                Ok(message) => message.json.clone(),
                Err(_) => return,
            },
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(post) => json!({"ack": room.publish(post)}).to_string().into(),
                    Err(_) => return,
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                _ => return,
            },
        };
        if socket.send(Message::Text(answer)).await.is_err() {
            return;
        }
    }
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("usage: axum-chat PORT");
    let app = Router::new()
        .route("/rooms/{room}/polling", get(polling).post(post))
        .route("/rooms/{room}/long-polling", get(long_polling).post(post))
        .route("/rooms/{room}/sse", get(sse).post(post))
        .route("/rooms/{room}/websocket", get(websocket).post(post))
        .with_state(Rooms::default());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("the port is free");
    println!("listening on {}", listener.local_addr().unwrap());
    // Without it the second of two writes waits for an acknowledgement, up to 40 ms.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, app).await.unwrap();
}
