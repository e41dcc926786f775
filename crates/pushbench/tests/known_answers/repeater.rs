//! A WebSocket server that sends every text to everybody, or back to its sender alone: this test program, started once more for one test that serves.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;

const PORT: &str = "REPEATER_PORT";
const DOES: &str = "REPEATER_DOES";
/// The text that is not sent to everybody: well behind the probe, which an echo hears from every client.
const ODD: usize = 10;

/// What starts it as a target.
pub(crate) fn command(does: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap().display().to_string();
    let set = [format!("{PORT}={{port}}"), format!("{DOES}={does}")];
    let words = ["--exact", "repeater::serve", "--nocapture"].map(str::to_owned);
    std::iter::once("env".to_owned()).chain(set).chain(std::iter::once(program)).chain(words).collect()
}

#[derive(Default)]
struct Room {
    clients: Vec<UnboundedSender<Message>>,
    texts: usize,
}

/// Serves when it is started for that, and is no test otherwise.
#[tokio::test]
async fn serve() {
    let (Ok(port), Ok(does)) = (std::env::var(PORT), std::env::var(DOES)) else { return };
    let _deaf = (does == "all-for-ever")
        .then(|| tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    std::io::stdout().write_all(b"listening\n").unwrap();
    let room = Arc::new(Mutex::new(Room::default()));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (room, does) = (Arc::clone(&room), does.clone());
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
                    room.lock().unwrap().tell(&message, &sender, &does);
                }
            }
        });
    }
}

impl Room {
    fn tell(&mut self, message: &Message, sender: &UnboundedSender<Message>, does: &str) {
        self.texts += 1;
        if does == "all-until-it-exits" && self.texts == ODD {
            std::io::stderr().write_all(b"out of tokens\n    at repeat (repeater)\n").unwrap();
            std::process::exit(1);
        }
        let hearers = match does {
            "echo-all-but-one" | "all-but-one-for-all" if self.texts == ODD => &[],
            "echo" | "echo-all-but-one" => std::slice::from_ref(sender),
            "all-but-one" if self.texts == ODD => &self.clients[1..],
            _ => &self.clients,
        };
        hearers.iter().for_each(|hearer| drop(hearer.send(message.clone())));
    }
}
