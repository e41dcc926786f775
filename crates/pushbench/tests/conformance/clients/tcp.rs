//! `tcp`: a plain socket and the codec of `wire`, which is all there is of that protocol.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::{Ack, ClientItem, Join, Post, ServerItem, decode_down, encode_up, push_frame, split_frame};

use super::{End, Heard, Refused, Wish, heard, owned};
use crate::house::House;

const FRAME_BYTES_MAX: usize = 1 << 24;

pub(crate) struct Client {
    pub(super) cursor: u64,
    socket: TcpStream,
    author: u32,
    ordinal: u64,
    unread: Vec<u8>,
    heard: VecDeque<Heard>,
}

impl Client {
    pub(super) async fn join(house: &House, wish: &Wish) -> Result<Self, Refused> {
        let socket = TcpStream::connect(house.tcp).await.unwrap();
        let (unread, heard) = (Vec::new(), VecDeque::new());
        let mut client = Self { cursor: 0, socket, author: wish.author, ordinal: 0, unread, heard };
        let (start, token) = (wish.start, wish.token.clone());
        // A bad name cannot be written with our own types: the tests of bad bytes do that by hand.
        client.send(&ClientItem::Join(Join { room: wish.room.parse().unwrap(), start, token })).await;
        client.read_frame().await.map_err(|end| refused(&end))?;
        match client.take_frame() {
            Some(ServerItem::Joined(joined)) => client.cursor = joined.after,
            Some(ServerItem::Error(problem)) => return Err(refused(&End::Problem(problem))),
            other => panic!("the answer to a join is {other:?}"),
        }
        Ok(client)
    }

    async fn send(&mut self, item: &ClientItem<'_>) {
        let mut out = Vec::new();
        push_frame(&mut out, |out| encode_up(item, out));
        self.socket.write_all(&out).await.unwrap();
    }

    /// Reads until there is a whole frame. Safe to give up half way.
    async fn read_frame(&mut self) -> Result<(), End> {
        while split_frame(&self.unread, FRAME_BYTES_MAX).unwrap().is_none() {
            match self.socket.read_buf(&mut self.unread).await {
                Ok(0) => return Err(End::Broken("closed without a word".to_owned())),
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
                Some(ServerItem::Error(problem)) => return Err(refused(&End::Problem(problem))),
                Some(item) => self.heard.extend(heard(item, &mut self.cursor)),
                None => unreachable!("a whole frame was read"),
            }
        }
    }

    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            if let Err(end) = self.read_frame().await {
                return Heard::Ended(end);
            }
            let item = self.take_frame();
            self.heard.extend(item.and_then(|item| heard(item, &mut self.cursor)));
        }
    }
}

fn refused(end: &End) -> Refused {
    match end {
        End::Problem(problem) => Refused { status: None, retry_after: None, problem: problem.clone() },
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
        ServerItem::Error(problem) => ServerItem::Error(problem),
        ServerItem::Heartbeat => ServerItem::Heartbeat,
        ServerItem::Bye => ServerItem::Bye,
    }
}
