//! `tcp`: a plain socket and the codec of `wire`.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::{Ack, ClientItem, Join, Post, ServerItem, decode_down, encode_up, push_frame, split_frame};

use super::{ClientOptions, End, Received, Refused, owned, received};
use crate::test_server::{Node, TestServer};

const FRAME_BYTES_MAX: usize = 1 << 24;

pub(crate) struct Client {
    pub(super) cursor: u64,
    socket: TcpStream,
    author: u32,
    ordinal: u64,
    unread: Vec<u8>,
    received: VecDeque<Received>,
}

impl Client {
    pub(super) async fn join(server: &TestServer, options: &ClientOptions) -> Result<Self, Refused> {
        let [Node { tcp, .. }, _] = server.next_nodes();
        let socket = TcpStream::connect(tcp).await.unwrap();
        let (unread, received) = (Vec::new(), VecDeque::new());
        let mut client = Self { cursor: 0, socket, author: options.author, ordinal: 0, unread, received };
        let (start, token) = (options.start, options.token.clone());
        // An invalid name cannot be expressed with these types: `bad_bytes` sends it as bytes.
        client.send(&ClientItem::Join(Join { room: options.room.parse().unwrap(), start, token })).await;
        client.read_frame().await.map_err(|end| refused(&end))?;
        match client.take_frame() {
            Some(ServerItem::Joined(joined)) => client.cursor = joined.after,
            Some(ServerItem::Error(error_body)) => return Err(refused(&End::Problem(error_body))),
            other => panic!("the answer to a join is {other:?}"),
        }
        Ok(client)
    }

    async fn send(&mut self, item: &ClientItem<'_>) {
        let mut out = Vec::new();
        push_frame(&mut out, |out| encode_up(item, out));
        self.socket.write_all(&out).await.unwrap();
    }

    /// Reads until there is a whole frame. Cancel safe.
    async fn read_frame(&mut self) -> Result<(), End> {
        while split_frame(&self.unread, FRAME_BYTES_MAX).unwrap().is_none() {
            match self.socket.read_buf(&mut self.unread).await {
                Ok(0) => return Err(End::Broken("closed without Bye".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(End::Broken(error.to_string())),
            }
        }
        Ok(())
    }

    fn take_frame(&mut self) -> Option<ServerItem<'static>> {
        let frame = split_frame(&self.unread, FRAME_BYTES_MAX).unwrap()?;
        let item = kept(decode_down(frame.item).unwrap());
        let taken = frame.taken;
        self.unread.drain(..taken);
        Some(item)
    }

    pub(super) async fn post(&mut self, text: &str) -> Result<Ack, Refused> {
        self.ordinal += 1;
        let post = Post { author: self.author, ordinal: self.ordinal, text: text.to_owned().into() };
        self.send(&ClientItem::Post(post)).await;
        loop {
            self.read_frame().await.map_err(|end| refused(&end))?;
            match self.take_frame() {
                Some(ServerItem::Ack(ack)) if ack.ordinal == self.ordinal => return Ok(ack),
                Some(ServerItem::Error(error_body)) => return Err(refused(&End::Problem(error_body))),
                Some(item) => self.received.extend(received(item, &mut self.cursor)),
                None => unreachable!("a whole frame was read"),
            }
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            if let Err(end) = self.read_frame().await {
                return Received::Ended(end);
            }
            let item = self.take_frame();
            self.received.extend(item.and_then(|item| received(item, &mut self.cursor)));
        }
    }
}

fn refused(end: &End) -> Refused {
    match end {
        End::Problem(error_body) => Refused { status: None, retry_after: None, error_body: error_body.clone() },
        other => panic!("a refusal has a reason, this one is {other:?}"),
    }
}

/// The item without the buffer it was read from.
fn kept(item: ServerItem<'_>) -> ServerItem<'static> {
    match item {
        ServerItem::Message(message) => ServerItem::Message(owned(message)),
        ServerItem::Joined(joined) => ServerItem::Joined(joined),
        ServerItem::Gap(gap) => ServerItem::Gap(gap),
        ServerItem::Reset(reset) => ServerItem::Reset(reset),
        ServerItem::Ack(ack) => ServerItem::Ack(ack),
        ServerItem::Error(error_body) => ServerItem::Error(error_body),
        ServerItem::Heartbeat => ServerItem::Heartbeat,
        ServerItem::Bye => ServerItem::Bye,
    }
}
