//! Posts as Socket.IO packets: as WebSocket frames, and as packets in the body of a polling
//! request.

use std::io::Write;

use wire::{ClientItem, Post, encode_post_json, encode_up};

use super::is_binary;
use crate::client::Client;
use crate::protocol::socketio_packet::{PLACEHOLDER, SEPARATOR, push_attachment};
use crate::run_context::RunContext;
use crate::transports::foreign::packets::post_packet;
use crate::transports::in_band::Encode;
use crate::transports::ws_connection::{push_binary, push_text};

/// Posts as WebSocket frames.
pub(super) struct Frames;

impl Encode for Frames {
    fn encode(&self, run: &RunContext, client: &Client, post: &Post<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        let (text, item) = packet(run, client, post);
        push_text(text, out);
        let item_bytes = item.bytes();
        if let Item::Attached(bytes) = item {
            push_binary(bytes, out);
        }
        count(run, post, item_bytes, out.len() - start);
    }
}

/// Appends a post to the body of a polling request.
pub(super) fn push_packets(run: &RunContext, client: &Client, post: &Post<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if !out.is_empty() {
        out.push(SEPARATOR);
    }
    let (text, item) = packet(run, client, post);
    out.extend_from_slice(&text);
    let item_bytes = item.bytes();
    if let Item::Attached(bytes) = item {
        out.push(SEPARATOR);
        push_attachment(&bytes, out);
    }
    count(run, post, item_bytes, out.len() - start);
}

/// The item of a post: in its packet (its length), or attached to it.
enum Item {
    Within(usize),
    Attached(Vec<u8>),
}

impl Item {
    const fn bytes(&self) -> usize {
        match self {
            Self::Within(bytes) => *bytes,
            Self::Attached(bytes) => bytes.len(),
        }
    }
}

/// The packet of a post. Its acknowledgement id is the ordinal plus 1, because the join has 0.
fn packet(run: &RunContext, client: &Client, post: &Post<'_>) -> (Vec<u8>, Item) {
    if let Some(protocol) = &run.protocol {
        let text = post_packet(run, client, protocol, post);
        let item = Item::Within(text.len());
        return (text, item);
    }
    let ack = post.ordinal + 1;
    let mut text = Vec::with_capacity(post.text.len() + 96);
    let write = |text: &mut Vec<u8>, head: std::fmt::Arguments<'_>| {
        text.write_fmt(head).expect("writing to memory does not fail");
    };
    if is_binary(run) {
        write(&mut text, format_args!("451-{ack}[\"post\",{PLACEHOLDER}]"));
        let mut item = Vec::with_capacity(post.text.len() + 16);
        encode_up(&ClientItem::Post(post.clone()), &mut item);
        return (text, Item::Attached(item));
    }
    write(&mut text, format_args!("42{ack}[\"post\","));
    let start = text.len();
    encode_post_json(post, &mut text);
    let item = text.len() - start;
    text.push(b']');
    (text, Item::Within(item))
}

fn count(run: &RunContext, post: &Post<'_>, item: usize, all: usize) {
    let payload = post.text.len().min(item);
    run.count_post(payload, item - payload, all - item);
}
