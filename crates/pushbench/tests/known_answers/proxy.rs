//! A proxy between load generator and server that alters one message to one client per run.
//!
//! It parses the frames of raw TCP and of WebSocket, both with binary items, so that tests choose
//! which field of a message is altered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use wire::{ClientItem, Message, ServerItem, decode_down, decode_up, encode_down, push_frame, split_frame};

/// How a message is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alteration {
    Drop,
    Repeat,
    /// It is sent after the next message.
    Swap,
    ChangeText,
    /// It gets the ordinal of the author's next post.
    ChangeOrdinal,
    /// It gets an author that is not in the plan.
    ChangeAuthor,
}

impl Alteration {
    pub(crate) const ALL: [Self; 6] =
        [Self::Drop, Self::Repeat, Self::Swap, Self::ChangeText, Self::ChangeOrdinal, Self::ChangeAuthor];
}

/// An altered message and its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Altered {
    pub(crate) alteration: Alteration,
    pub(crate) client: u32,
    pub(crate) seq: u64,
}

/// The framing of items on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Tcp,
    Websocket,
}

/// The receiver of the altered message. It is the next message of another author after this
/// client's first post, by which the proxy identifies its connection.
pub(crate) const CLIENT: u32 = 6;

pub(crate) struct Proxy {
    pub(crate) at: SocketAddr,
    altered: Arc<Mutex<Vec<Altered>>>,
}

impl Proxy {
    /// Starts the proxy. Each run of the job uses the next of [`Alteration::ALL`].
    pub(crate) async fn start(framing: Framing, server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, altered) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let shared = Arc::clone(&altered);
        tokio::spawn(async move {
            loop {
                let (down, _) = listener.accept().await.unwrap();
                let up = TcpStream::connect(server).await.unwrap();
                let (from_client, to_client) = down.into_split();
                let (from_server, to_server) = up.into_split();
                let is_receiver = Arc::new(Mutex::new(false));
                tokio::spawn(forward_from_client(framing, from_client, to_server, Arc::clone(&is_receiver)));
                let alterer = Alterer { is_receiver, altered: Arc::clone(&shared), held: None, finished: false };
                tokio::spawn(forward_from_server(framing, from_server, to_client, alterer));
            }
        });
        Self { at, altered }
    }

    /// The altered messages, one per run.
    pub(crate) fn altered(&self) -> Vec<Altered> {
        self.altered.lock().unwrap().clone()
    }
}

/// Forwards the bytes of a client, and checks whether it is [`CLIENT`].
async fn forward_from_client(
    framing: Framing,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_receiver: Arc<Mutex<bool>>,
) {
    let mut seen = Vec::new();
    let mut after_head = framing == Framing::Tcp;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        seen.extend_from_slice(&buffer[..n]);
        after_head = after_head || skip_head(&mut seen);
        while after_head && let Some((item, taken)) = first_item(framing, &seen) {
            if let Ok(ClientItem::Post(post)) = decode_up(&item)
                && post.author == CLIENT
            {
                *is_receiver.lock().unwrap() = true;
            }
            seen.drain(..taken);
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    to.shutdown().await.ok();
}

/// Forwards the items of the server after the HTTP head. Responses without an upgrade are forwarded
/// unchanged.
async fn forward_from_server(framing: Framing, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut alterer: Alterer) {
    let mut unread = Vec::new();
    let mut head = framing == Framing::Websocket;
    let mut plain = false;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        unread.extend_from_slice(&buffer[..n]);
        let mut out = Vec::new();
        if head && unread.len() >= 12 {
            plain = plain || !unread.starts_with(b"HTTP/1.1 101");
            let before = unread.clone();
            if !plain && skip_head(&mut unread) {
                out.extend_from_slice(&before[..before.len() - unread.len()]);
                head = false;
            }
        }
        if plain {
            out.append(&mut unread);
        }
        while !head && let Some((item, taken)) = first_item(framing, &unread) {
            match decode_down(&item) {
                Ok(ServerItem::Message(message)) => {
                    alterer.alter(&message).iter().for_each(|message| push_item(framing, message, &mut out));
                }
                _ => out.extend_from_slice(&unread[..taken]),
            }
            unread.drain(..taken);
        }
        if to.write_all(&out).await.is_err() {
            break;
        }
    }
    to.shutdown().await.ok();
}

/// Alters the messages of one connection.
struct Alterer {
    is_receiver: Arc<Mutex<bool>>,
    altered: Arc<Mutex<Vec<Altered>>>,
    held: Option<Message<'static>>,
    finished: bool,
}

impl Alterer {
    /// The messages that are sent in place of this one.
    fn alter(&mut self, message: &Message<'_>) -> Vec<Message<'static>> {
        let mut message = Message { text: message.text.clone().into_owned().into(), ..*message };
        if let Some(held) = self.held.take() {
            return vec![message, held];
        }
        let applies = *self.is_receiver.lock().unwrap() && !self.finished && message.author != CLIENT;
        if !applies {
            return vec![message];
        }
        self.finished = true;
        let mut altered = self.altered.lock().unwrap();
        let Some(alteration) = Alteration::ALL.get(altered.len()).copied() else { return vec![message] };
        altered.push(Altered { alteration, client: CLIENT, seq: message.seq });
        match alteration {
            Alteration::Drop => return Vec::new(),
            Alteration::Repeat => return vec![message.clone(), message],
            Alteration::Swap => {
                self.held = Some(message);
                return Vec::new();
            }
            Alteration::ChangeText => message.text.to_mut().replace_range(3..4, "!"),
            Alteration::ChangeOrdinal => message.ordinal += 1,
            Alteration::ChangeAuthor => message.author = 4_000_000,
        }
        vec![message]
    }
}

/// Removes an HTTP head from the front. Returns false while the head is incomplete.
fn skip_head(bytes: &mut Vec<u8>) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    bytes.drain(..end + 4);
    true
}

/// The first complete item, and its number of bytes with framing.
fn first_item(framing: Framing, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    match framing {
        Framing::Tcp => split_frame(bytes, 1 << 20).unwrap().map(|frame| (frame.item.to_vec(), frame.taken)),
        Framing::Websocket => first_frame(bytes),
    }
}

/// The payload of the first complete frame (RFC 6455, section 5.2) and its number of bytes. Frames
/// beyond 64 KiB are not needed.
fn first_frame(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (masked, short) = (bytes.get(1)? & 0x80 != 0, usize::from(bytes[1] & 0x7f));
    let (len, mut at) = match short {
        126 => (usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => panic!("a frame beyond 64 KiB"),
        len => (len, 2),
    };
    let mask: [u8; 4] = if masked {
        at += 4;
        bytes.get(at - 4..at)?.try_into().unwrap()
    } else {
        [0; 4]
    };
    let data = bytes.get(at..at + len)?;
    Some((data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(), at + len))
}

fn push_item(framing: Framing, message: &Message<'static>, out: &mut Vec<u8>) {
    let item = ServerItem::Message(message.clone());
    match framing {
        Framing::Tcp => push_frame(out, |out| encode_down(&item, out)),
        Framing::Websocket => {
            let mut data = Vec::new();
            encode_down(&item, &mut data);
            out.push(0x82);
            match u8::try_from(data.len()) {
                Ok(len @ ..126) => out.push(len),
                _ => {
                    out.push(126);
                    out.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
                }
            }
            out.extend_from_slice(&data);
        }
    }
}
