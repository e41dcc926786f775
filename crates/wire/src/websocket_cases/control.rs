//! Cases about pings and pongs.

use super::frame::Frame;
use super::{Accepted, Case, Failed, Messages};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bytes in [0, 1, 2, 8, 124, 125] {
        let ping = move |_: &Messages| vec![Frame::ping(vec![b'p'; bytes])];
        cases.push(Case::new(format!("a ping of {bytes} bytes"), "5.5.2", Accepted(0), ping));
        let pong = move |_: &Messages| vec![Frame::pong(vec![b'p'; bytes])];
        cases.push(Case::new(format!("an unsolicited pong of {bytes} bytes"), "5.5.3", Accepted(0), pong));
    }
    for bytes in [126, 127, 65_535, 65_536] {
        let ping = move |_: &Messages| vec![Frame::ping(vec![b'p'; bytes])];
        cases.push(Case::new(format!("a ping of {bytes} bytes"), "5.5", Failed(Some(1002)), ping));
        let pong = move |_: &Messages| vec![Frame::pong(vec![b'p'; bytes])];
        cases.push(Case::new(format!("a pong of {bytes} bytes"), "5.5", Failed(Some(1002)), pong));
    }
    let ok =
        |name: &str, messages, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "5.5.2", Accepted(messages), build);
    cases.extend([
        ok("a ping that is no text", 0, |_| vec![Frame::ping([0x00, 0xff, 0xfe, 0xed, 0xa0, 0x80])]),
        ok("a pong that is no text", 0, |_| vec![Frame::pong([0xff; 125])]),
        ok("ten pings", 0, |_| (0..10_u8).map(|n| Frame::ping([n])).collect()),
        ok("ten pongs", 0, |_| (0..10_u8).map(|n| Frame::pong([n])).collect()),
        ok("a ping, a message, a ping", 1, |m| vec![Frame::ping("1"), m.whole(b"hello"), Frame::ping("2")]),
        ok("a thousand pings and a message", 1, |m| {
            let pings = (0..1000_u16).map(|n| Frame::ping(n.to_be_bytes()));
            pings.chain([m.whole(b"still here")]).collect()
        }),
        ok("five hundred pings of 125 bytes", 0, |_| vec![Frame::ping([b'p'; 125]); 500]),
        ok("a thousand pongs and a message", 1, |m| {
            std::iter::repeat_n(Frame::pong("!"), 1000).chain([m.whole(b"still here")]).collect()
        }),
    ]);
    cases
}
