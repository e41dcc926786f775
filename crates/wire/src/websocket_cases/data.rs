//! Cases about data frames: lengths, fragments, reserved bits and opcodes, masks.

use super::frame::{BINARY, Frame, TEXT, in_frames};
use super::{Accepted, Case, CutShort, Failed, Messages, Receiver};

pub(super) fn cases() -> Vec<Case> {
    [lengths(), too_long(), cut_short(), fragments(), wrong_fragments(), reserved(), masks(), kinds()]
        .into_iter()
        .flatten()
        .collect()
}

fn lengths() -> Vec<Case> {
    let right = [124, 125, 126, 127, 128, 255, 256, 1000, 65_534, 65_535, 65_536, 65_537, 100_000].map(|bytes| {
        let build = move |m: &Messages| vec![m.frame(m.long(bytes))];
        Case::new(format!("a message of {bytes} bytes"), "5.2", Accepted(1), build)
    });
    // Section 5.2 demands the shortest form; tungstenite 0.30.0 accepts all.
    let longer = |name: &str, messages, build: fn(&Messages) -> Vec<Frame>| {
        Case::new(name, "5.2", Failed(Some(1002)), build).but(Receiver::is_server, Accepted(messages))
    };
    let wrong = [
        longer("a length of 100 in 16 bits", 1, |m| vec![m.frame(m.long(100)).in_16_bits()]),
        longer("a length of 125 in 16 bits", 1, |m| vec![m.frame(m.long(125)).in_16_bits()]),
        longer("a length of 100 in 64 bits", 1, |m| vec![m.frame(m.long(100)).in_64_bits()]),
        longer("a length of 126 in 64 bits", 1, |m| vec![m.frame(m.long(126)).in_64_bits()]),
        longer("a length of 65,535 in 64 bits", 1, |m| vec![m.frame(m.long(65_535)).in_64_bits()]),
        longer("a fragment's length in 64 bits", 1, |m| {
            vec![m.frame("").not_final().in_64_bits(), Frame::continuation(m.with(b""))]
        }),
        longer("a ping's length in 16 bits", 0, |_| vec![Frame::ping("long").in_16_bits()]),
        longer("a ping's length in 64 bits", 0, |_| vec![Frame::ping("long").in_64_bits()]),
        longer("an empty pong's length in 16 bits", 0, |_| vec![Frame::pong("").in_16_bits()]),
    ];
    right.into_iter().chain(wrong).collect()
}

fn too_long() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, announced) in [
        ("16 MiB and one byte", (1 << 24) + 1),
        ("4 GiB", 1 << 32),
        ("4 GiB and five bytes", (1 << 32) + 5),
        ("1 TiB", 1 << 40),
        ("the largest length of 63 bits", u64::MAX >> 1),
        // The highest bit must be 0 (section 5.2): 1002 would also be correct.
        ("the highest bit alone", 1 << 63),
        ("the highest bit and five bytes", (1 << 63) + 5),
        ("all 64 bits", u64::MAX),
    ] {
        let build = move |m: &Messages| vec![m.frame("some bytes").announcing(announced)];
        cases.push(Case::new(format!("a length of {name}"), "10.4", Failed(Some(1009)), build));
        let build =
            move |m: &Messages| vec![m.frame("").not_final(), Frame::continuation("more").announcing(announced)];
        cases.push(Case::new(format!("a fragment with a length of {name}"), "10.4", Failed(Some(1009)), build));
    }
    let one_more = |m: &Messages| vec![m.frame("some bytes").announcing(m.bytes_max as u64 + 1)];
    cases.push(Case::new("one byte more than is taken", "10.4", Failed(Some(1009)), one_more));
    let in_two = |m: &Messages| in_frames(m.opcode, [m.long(m.bytes_max), b" ".to_vec()]);
    cases.push(Case::new("one byte more than is taken, in two frames", "10.4", Failed(Some(1009)), in_two));
    let in_many = |m: &Messages| in_frames(m.opcode, vec![vec![b'x'; 60_000]; m.bytes_max / 60_000 + 1]);
    cases.push(Case::new("more than is taken, in many frames", "10.4", Failed(Some(1009)), in_many));
    cases
}

fn cut_short() -> Vec<Case> {
    let short = |name: &str, kept: fn(usize) -> usize, build: fn(&Messages) -> Vec<Frame>| {
        Case::new(name, "7.1.5", CutShort, build).cut_short(kept)
    };
    vec![
        short("nothing", |all| all, |_| vec![]),
        short("one byte", |_| 1, |m| vec![m.whole(b"hello")]),
        short("half a length of 16 bits", |_| 3, |m| vec![m.frame(m.long(300))]),
        short("half a length of 64 bits", |_| 6, |m| vec![m.frame(m.long(65_536))]),
        short("a header", |all| all - 10, |_| vec![Frame::ping("ten bytes.")]),
        short("half a payload", |all| all - 3, |m| vec![m.whole(b"hello")]),
        short("the first of two fragments", |all| all, |m| m.cut(b"one two", &[3])[..1].to_vec()),
        short("half of the last fragment", |all| all - 2, |m| m.cut(b"one two", &[3])),
        short("half a close code", |all| all - 1, |_| vec![Frame::close(1000, b"")]),
    ]
}

fn fragments() -> Vec<Case> {
    let ok =
        |name: &str, messages, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "5.4", Accepted(messages), build);
    vec![
        ok("two fragments", 1, |m| m.cut(b"one two", &[3])),
        ok("three fragments", 1, |m| m.cut(b"one two three", &[3, 7])),
        ok("a first fragment without anything in it", 1, |m| in_frames(m.opcode, [vec![], m.with(b"hello")])),
        ok("a last fragment without anything in it", 1, |m| in_frames(m.opcode, [m.with(b"hello"), vec![]])),
        ok("fragments between without anything in them", 1, |m| m.cut(b"one two", &[3, 3, 3])),
        ok("two hundred fragments without anything in them", 1, |m| m.cut(b"one two", &[3; 200])),
        ok("a fragment a byte", 1, |m| in_frames(m.opcode, m.with(b"one").chunks(1).map(<[u8]>::to_vec))),
        ok("fragments of 125 to 128 bytes", 1, |m| m.cut(&[b'x'; 600], &[125, 251, 378, 506])),
        ok("a fragment of 65,535 bytes", 1, |m| in_frames(m.opcode, [m.long(65_535), vec![]])),
        ok("a fragment of 65,536 bytes", 1, |m| in_frames(m.opcode, [m.long(65_536), vec![]])),
        ok("two messages in fragments", 2, |m| [m.cut(b"one two", &[3]), m.cut(b"three four", &[5])].concat()),
        ok("a message whole, one in fragments, one whole", 3, |m| {
            [vec![m.whole(b"one")], m.cut(b"two", &[1]), vec![m.whole(b"three")]].concat()
        }),
        ok("three messages at once", 3, |m| vec![m.whole(b"one"), m.whole(b"two"), m.whole(b"three")]),
        ok("a ping between fragments", 1, |m| between(m, vec![Frame::ping("here?")])),
        ok("an empty ping between fragments", 1, |m| between(m, vec![Frame::ping("")])),
        ok("a pong between fragments", 1, |m| between(m, vec![Frame::pong("here")])),
        ok("pings and pongs between fragments", 1, |m| {
            between(m, vec![Frame::ping("1"), Frame::pong("2"), Frame::ping("3"), Frame::pong("")])
        }),
        ok("a ping between all of many fragments", 1, |m| {
            m.cut(b"one two", &[1, 2, 3, 4, 5, 6]).into_iter().flat_map(|frame| [frame, Frame::ping("?")]).collect()
        }),
        ok("fragments, and a ping at once behind them", 1, |m| [m.cut(b"one", &[1]), vec![Frame::ping("?")]].concat()),
    ]
}

/// A message in two fragments with these frames between them.
pub(super) fn between(m: &Messages, frames: Vec<Frame>) -> Vec<Frame> {
    let mut all = m.cut(b"one two", &[3]);
    all.splice(1..1, frames);
    all
}

fn wrong_fragments() -> Vec<Case> {
    let bad = |name: &str, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "5.4", Failed(Some(1002)), build);
    vec![
        bad("a continuation of nothing", |_| vec![Frame::continuation("hello")]),
        bad("a continuation of nothing that is not final", |_| vec![Frame::continuation("hello").not_final()]),
        bad("an empty continuation of nothing", |_| vec![Frame::continuation("")]),
        bad("a continuation behind a whole message", |m| vec![m.whole(b"one"), Frame::continuation("two")]),
        bad("a continuation behind the final one", |m| {
            [m.cut(b"one two", &[3]), vec![Frame::continuation("three")]].concat()
        }),
        bad("a message inside a message", |m| between(m, vec![m.whole(b"inside")])),
        bad("a fragment that begins inside a message", |m| between(m, vec![m.frame("{").not_final()])),
        bad("a text inside a message", |m| between(m, vec![Frame::new(TEXT, "")])),
        bad("a binary message inside a message", |m| between(m, vec![Frame::new(BINARY, "")])),
        bad("all fragments with the opcode of the first", |m| {
            vec![m.frame(m.head.clone()).not_final(), m.frame("one").not_final(), m.frame("\"}")]
        }),
        bad("a ping in two fragments", |_| vec![Frame::ping("one ").not_final(), Frame::continuation("two")]),
        bad("the first fragment of a ping", |_| vec![Frame::ping("one").not_final()]),
        bad("the first fragment of an empty ping", |_| vec![Frame::ping("").not_final()]),
        bad("the first fragment of a pong", |_| vec![Frame::pong("one").not_final()]),
        bad("the first fragment of a close", |_| vec![Frame::close(1000, b"").not_final()]),
        bad("the first fragment of an empty close", |_| vec![Frame::close_with("").not_final()]),
        bad("the first fragment of a ping inside a message", |m| between(m, vec![Frame::ping("one").not_final()])),
    ]
}

fn reserved() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut bad = |name: String, number, build: fn(&Messages, u8) -> Vec<Frame>| {
        cases.push(Case::new(name, "5.2", Failed(Some(1002)), move |m: &Messages| build(m, number)));
    };
    for bits in 1..8 {
        bad(format!("a message with the reserved bits {bits:03b}"), bits, |m, bits| {
            vec![m.whole(b"hello").reserved(bits)]
        });
    }
    for bits in [1, 2, 4] {
        let with = format!("with the reserved bits {bits:03b}");
        bad(format!("a ping {with}"), bits, |_, bits| vec![Frame::ping("?").reserved(bits)]);
        bad(format!("a pong {with}"), bits, |_, bits| vec![Frame::pong("").reserved(bits)]);
        bad(format!("a close {with}"), bits, |_, bits| vec![Frame::close(1000, b"").reserved(bits)]);
        bad(format!("a first fragment {with}"), bits, |m, bits| vec![m.frame("{").not_final().reserved(bits)]);
        bad(format!("a last fragment {with}"), bits, |m, bits| {
            vec![m.frame("{").not_final(), Frame::continuation("}").reserved(bits)]
        });
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let of = format!("of the reserved opcode {opcode}");
        bad(format!("an empty frame {of}"), opcode, |_, opcode| vec![Frame::new(opcode, "")]);
        bad(format!("a frame {of}"), opcode, |_, opcode| vec![Frame::new(opcode, "hello")]);
        bad(format!("a fragment {of}"), opcode, |_, opcode| vec![Frame::new(opcode, "hello").not_final()]);
        bad(format!("a frame between fragments {of}"), opcode, |m, opcode| {
            between(m, vec![Frame::new(opcode, "hello")])
        });
    }
    cases
}

fn masks() -> Vec<Case> {
    let bad = |name: &str, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "5.1", Failed(Some(1002)), build);
    let ok = |name: &str, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "5.3", Accepted(1), build);
    vec![
        bad("a message masked wrongly", |m| vec![m.whole(b"hello").masked_wrongly()]),
        bad("a second message masked wrongly", |m| vec![m.whole(b"one"), m.whole(b"two").masked_wrongly()]),
        bad("a ping masked wrongly", |_| vec![Frame::ping("?").masked_wrongly()]),
        bad("an empty ping masked wrongly", |_| vec![Frame::ping("").masked_wrongly()]),
        bad("a pong masked wrongly", |_| vec![Frame::pong("!").masked_wrongly()]),
        bad("a close masked wrongly", |_| vec![Frame::close(1000, b"").masked_wrongly()]),
        bad("an empty close masked wrongly", |_| vec![Frame::close_with("").masked_wrongly()]),
        bad("a last fragment masked wrongly", |m| {
            vec![m.frame("{").not_final(), Frame::continuation("}").masked_wrongly()]
        }),
        ok("a mask of zeros", |m| vec![m.whole(b"hello").masked_by([0; 4])]),
        ok("a mask of ones", |m| vec![m.whole(b"hello").masked_by([0xff; 4])]),
    ]
}

fn kinds() -> Vec<Case> {
    let other_kind = |m: &Messages| vec![Frame::new(TEXT + BINARY - m.opcode, m.with(b"hello"))];
    let other_kind_in_two = |m: &Messages| {
        let message = m.with(b"hello");
        in_frames(TEXT + BINARY - m.opcode, [message[..9].to_vec(), message[9..].to_vec()])
    };
    let kind = |name: &str, build: fn(&Messages) -> Vec<Frame>| {
        Case::new(name, "7.4.1", Failed(Some(1003)), build)
            // STOMP 1.2 does not define the WebSocket opcode; clients use both.
            .but(Receiver::is_stomp, Accepted(1))
    };
    vec![
        kind("text for binary, or binary for text", other_kind),
        kind("the same in two fragments", other_kind_in_two),
        // A heartbeat of STOMP is a line end; an empty message is accepted as well.
        Case::new("a message with nothing in it", "5.6", Failed(Some(1008)), |m| vec![m.frame("")])
            .but(Receiver::is_stomp, Accepted(0)),
    ]
}
