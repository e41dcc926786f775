//! A WebSocket server that sends every text to all clients, or back to its sender only. It is a
//! second process of this test program, which runs only the test `serve`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;

const PORT: &str = "BROADCAST_SERVER_PORT";
const MODE: &str = "BROADCAST_SERVER_MODE";
/// Number of the text that the modes with a fault handle differently. It is sent after the probes.
const FAULTY_TEXT: usize = 10;

/// The command line of the server as a target.
pub(crate) fn command(mode: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap().display().to_string();
    let set = [format!("{PORT}={{port}}"), format!("{MODE}={mode}")];
    let args = ["--exact", "broadcast_server::serve", "--nocapture"].map(str::to_owned);
    std::iter::once("env".to_owned()).chain(set).chain(std::iter::once(program)).chain(args).collect()
}

#[derive(Default)]
struct Room {
    clients: Vec<UnboundedSender<Message>>,
    texts: usize,
}

/// Runs the server if the environment variables are set. Otherwise it does nothing.
#[tokio::test]
async fn serve() {
    let (Ok(port), Ok(mode)) = (std::env::var(PORT), std::env::var(MODE)) else { return };
    let _sigterm_handler = (mode == "ignore-sigterm")
        .then(|| tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    std::io::stdout().write_all(b"listening\n").unwrap();
    let room = Arc::new(Mutex::new(Room::default()));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (room, mode) = (Arc::clone(&room), mode.clone());
        tokio::spawn(async move {
            let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
            let (mut out, mut incoming) = socket.split();
            let (sender, mut texts) = unbounded_channel();
            room.lock().unwrap().clients.push(sender.clone());
            tokio::spawn(async move {
                while let Some(text) = texts.recv().await {
                    if out.send(text).await.is_err() {
                        return;
                    }
                }
            });
            while let Some(Ok(message)) = incoming.next().await {
                if message.is_text() {
                    room.lock().unwrap().broadcast(&message, &sender, &mode);
                }
            }
        });
    }
}

impl Room {
    fn broadcast(&mut self, message: &Message, sender: &UnboundedSender<Message>, mode: &str) {
        self.texts += 1;
        if mode == "exit-early" && self.texts == FAULTY_TEXT {
            std::io::stderr().write_all(b"out of tokens\n    at repeat (broadcast_server)\n").unwrap();
            std::process::exit(1);
        }
        if mode == "others" {
            let others = self.clients.iter().filter(|client| !client.same_channel(sender));
            return others.for_each(|receiver| drop(receiver.send(message.clone())));
        }
        let receivers = match mode {
            "echo-except-one" | "skip-one-post" if self.texts == FAULTY_TEXT => &[],
            "echo" | "echo-except-one" => std::slice::from_ref(sender),
            "skip-one-client" if self.texts == FAULTY_TEXT => &self.clients[1..],
            _ => &self.clients,
        };
        receivers.iter().for_each(|receiver| drop(receiver.send(message.clone())));
    }
}
