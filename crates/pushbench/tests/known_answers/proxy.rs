//! Between generator and server: passes everything on, but does something to one message on its way to one client.
//!
//! It understands length-prefixed frames and WebSocket's, both with binary items, so that a test says what is wrong with a message and
//! not with which byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use wire::{ClientItem, Message, ServerItem, decode_down, decode_up, encode_down, push_frame, split_frame};

/// What happens to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    Drop,
    Repeat,
    /// Comes after the one that follows it.
    Swap,
    /// Says something else.
    Garble,
    /// Says that it is the author's next one.
    Renumber,
    /// Comes from an author nobody planned.
    Forge,
}

impl Mischief {
    pub(crate) const ALL: [Self; 6] = [Self::Drop, Self::Repeat, Self::Swap, Self::Garble, Self::Renumber, Self::Forge];
}

/// What was done to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) mischief: Mischief,
    pub(crate) seat: u32,
    pub(crate) seq: u64,
}

/// How items stand in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Tcp,
    Websocket,
}

/// Who is picked: the connection of this author, once it has posted, and the next message of anybody else's after that.
pub(crate) const SEAT: u32 = 6;

pub(crate) struct Proxy {
    pub(crate) at: SocketAddr,
    done: Arc<Mutex<Vec<Done>>>,
}

impl Proxy {
    /// Listens; each run of the job takes its turn in [`Mischief::ALL`].
    pub(crate) async fn start(framing: Framing, server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, done) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&done);
        tokio::spawn(async move {
            loop {
                let (down, _) = listener.accept().await.unwrap();
                let up = TcpStream::connect(server).await.unwrap();
                let (from_client, to_client) = down.into_split();
                let (from_server, to_server) = up.into_split();
                let picked = Arc::new(Mutex::new(false));
                tokio::spawn(up_stream(framing, from_client, to_server, Arc::clone(&picked)));
                let wrong = Wrong { picked, done: Arc::clone(&kept), held: None, finished: false };
                tokio::spawn(down_stream(framing, from_server, to_client, wrong));
            }
        });
        Self { at, done }
    }

    /// What was done, run by run.
    pub(crate) fn done(&self) -> Vec<Done> {
        self.done.lock().unwrap().clone()
    }
}

/// Passes on what the client sends, and looks who it is.
async fn up_stream(framing: Framing, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, picked: Arc<Mutex<bool>>) {
    let mut seen = Vec::new();
    let mut behind_head = framing == Framing::Tcp;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        seen.extend_from_slice(&buffer[..n]);
        behind_head = behind_head || skip_head(&mut seen);
        while behind_head && let Some((item, taken)) = first_item(framing, &seen) {
            if let Ok(ClientItem::Post(post)) = decode_up(&item)
                && post.author == SEAT
            {
                *picked.lock().unwrap() = true;
            }
            seen.drain(..taken);
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    to.shutdown().await.ok();
}

/// Passes on what the server sends, item by item once the head is through. What has no upgrade is passed on as it is.
async fn down_stream(framing: Framing, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wrong: Wrong) {
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
                    wrong.pass(&message).iter().for_each(|message| push_item(framing, message, &mut out));
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

/// What one connection does to its messages.
struct Wrong {
    picked: Arc<Mutex<bool>>,
    done: Arc<Mutex<Vec<Done>>>,
    held: Option<Message<'static>>,
    finished: bool,
}

impl Wrong {
    /// What goes on in place of a message.
    fn pass(&mut self, message: &Message<'_>) -> Vec<Message<'static>> {
        let mut message = Message { text: message.text.clone().into_owned().into(), ..*message };
        if let Some(held) = self.held.take() {
            return vec![message, held];
        }
        let turn = *self.picked.lock().unwrap() && !self.finished && message.author != SEAT;
        if !turn {
            return vec![message];
        }
        self.finished = true;
        let mut done = self.done.lock().unwrap();
        let Some(mischief) = Mischief::ALL.get(done.len()).copied() else { return vec![message] };
        done.push(Done { mischief, seat: SEAT, seq: message.seq });
        match mischief {
            Mischief::Drop => return Vec::new(),
            Mischief::Repeat => return vec![message.clone(), message],
            Mischief::Swap => {
                self.held = Some(message);
                return Vec::new();
            }
            Mischief::Garble => message.text.to_mut().replace_range(3..4, "!"),
            Mischief::Renumber => message.ordinal += 1,
            Mischief::Forge => message.author = 4_000_000,
        }
        vec![message]
    }
}

/// Drops an HTTP head from the front; false while it is not complete.
fn skip_head(bytes: &mut Vec<u8>) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    bytes.drain(..end + 4);
    true
}

/// The first whole item and how many bytes it takes with its framing.
fn first_item(framing: Framing, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    match framing {
        Framing::Tcp => split_frame(bytes, 1 << 20).unwrap().map(|frame| (frame.item.to_vec(), frame.taken)),
        Framing::Websocket => first_frame(bytes),
    }
}

/// RFC 6455, section 5.2. Lengths beyond 64 KiB do not come up here.
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
