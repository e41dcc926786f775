//! `tcp`: a plain socket and the codec of `wire`, which is all there is of that protocol.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::{Ack, Down, Join, Post, Up, decode_down, encode_up, push_frame, split_frame};

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
        client.send(&Up::Join(Join { room: wish.room.parse().unwrap(), start, token })).await;
        client.read_frame().await.map_err(|end| refused(&end))?;
        match client.take_frame() {
            Some(Down::Joined(joined)) => client.cursor = joined.after,
            Some(Down::Problem(problem)) => return Err(refused(&End::Problem(problem))),
            other => panic!("the answer to a join is {other:?}"),
        }
        Ok(client)
    }

    async fn send(&mut self, item: &Up<'_>) {
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

    fn take_frame(&mut self) -> Option<Down<'static>> {
        let frame = split_frame(&self.unread, FRAME_BYTES_MAX).unwrap()?;
        let item = kept(decode_down(frame.item).unwrap());
        let taken = frame.taken;
        self.unread.drain(..taken);
        Some(item)
    }

    pub(super) async fn post(&mut self, text: &str) -> Result<Ack, Refused> {
        self.ordinal += 1;
        let post = Post { author: self.author, ordinal: self.ordinal, text: text.to_owned().into() };
        self.send(&Up::Post(post)).await;
        loop {
            self.read_frame().await.map_err(|end| refused(&end))?;
            match self.take_frame() {
                Some(Down::Ack(ack)) if ack.ordinal == self.ordinal => return Ok(ack),
                Some(Down::Problem(problem)) => return Err(refused(&End::Problem(problem))),
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
fn kept(item: Down<'_>) -> Down<'static> {
    match item {
        Down::Message(message) => Down::Message(owned(message)),
        Down::Joined(joined) => Down::Joined(joined),
        Down::Gap(gap) => Down::Gap(gap),
        Down::Reset(reset) => Down::Reset(reset),
        Down::Ack(ack) => Down::Ack(ack),
        Down::Problem(problem) => Down::Problem(problem),
        Down::Heartbeat => Down::Heartbeat,
        Down::Bye => Down::Bye,
    }
}
