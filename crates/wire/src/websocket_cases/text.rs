//! Cases about UTF-8: complete, split over frames, and invalid.

use super::data::between;
use super::frame::{Frame, in_frames};
use super::{Accepted, Case, Failed, Messages};

const RIGHT: [(&str, &str); 10] = [
    ("Greek", "κόσμε"),
    ("two bytes, the first and the last", "\u{80}\u{7ff}"),
    ("three bytes, the first and the last", "\u{800}\u{ffff}"),
    ("four bytes, the first and the last", "\u{10000}\u{10ffff}"),
    ("the neighbours of the surrogates", "\u{d7ff}\u{e000}"),
    ("what is no character but may be sent", "\u{fdd0}\u{fffe}\u{1ffff}"),
    ("a byte order mark", "\u{feff}text"),
    ("the mark for what could not be read", "\u{fffd}"),
    ("a face of several", "👩\u{200d}🔬"),
    ("all planes", "a\u{e9}\u{20ac}\u{1f600}"),
];

const WRONG: [(&str, &[u8]); 25] = [
    ("the first byte that goes on", b"\x80"),
    ("the last byte that goes on", b"\xbf"),
    ("two bytes that go on", b"\x80\xbf"),
    ("a first byte of two alone", b"\xc3 "),
    ("a first byte of three alone", b"\xe2 "),
    ("a first byte of four alone", b"\xf0 "),
    ("two bytes of three", b"\xe2\x82 "),
    ("three bytes of four", b"\xf0\x9f\x98 "),
    ("FE", b"\xfe"),
    ("FF", b"\xff"),
    ("UTF-16", b"\xff\xfeh\x01"),
    ("Latin-1", b"caf\xe9 au lait"),
    ("an overlong slash in two bytes", b"\xc0\xaf"),
    ("an overlong slash in three bytes", b"\xe0\x80\xaf"),
    ("an overlong slash in four bytes", b"\xf0\x80\x80\xaf"),
    ("the longest of one byte in two", b"\xc1\xbf"),
    ("the longest of two bytes in three", b"\xe0\x9f\xbf"),
    ("the longest of three bytes in four", b"\xf0\x8f\xbf\xbf"),
    ("five bytes", b"\xf8\x88\x80\x80\x80"),
    ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("the first surrogate", b"\xed\xa0\x80"),
    ("the last surrogate", b"\xed\xbf\xbf"),
    ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
    ("the first place beyond U+10FFFF", b"\xf4\x90\x80\x80"),
    ("a first byte beyond all places", b"\xf5\x80\x80\x80"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, text) in RIGHT {
        cases.push(Case::new(format!("{name} in a text"), "8.1", Accepted(1), move |m: &Messages| {
            vec![m.whole(text.as_bytes())]
        }));
    }
    for (name, text) in [("κ", "κ"), ("€", "€"), ("😀", "😀"), ("κόσμε", "κόσμε")] {
        for cut in (1..text.len()).filter(|cut| !text.is_char_boundary(*cut)) {
            let build = move |m: &Messages| m.cut(text.as_bytes(), &[cut]);
            cases.push(Case::new(format!("{name} cut over two frames at byte {cut}"), "5.6", Accepted(1), build));
        }
    }
    cases.push(Case::new("a character cut over four frames", "5.6", Accepted(1), |m| {
        m.cut("😀".as_bytes(), &[1, 2, 3])
    }));
    cases.push(Case::new("a character cut around a frame with nothing in it", "5.6", Accepted(1), |m| {
        m.cut("€".as_bytes(), &[1, 1, 2])
    }));
    for (name, text) in WRONG {
        let whole = move |m: &Messages| vec![m.whole(text)];
        cases.push(Case::new(format!("{name} in a text"), "8.1", Failed(Some(1007)), whole));
    }
    for (name, text) in WRONG.into_iter().filter(|(_, text)| text.len() > 2) {
        let cut = move |m: &Messages| m.cut(text, &[1, text.len() - 1]);
        cases.push(Case::new(format!("{name} cut over three frames"), "8.1", Failed(Some(1007)), cut));
    }
    let bad = |name: &str, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "8.1", Failed(Some(1007)), build);
    cases.extend([
        bad("half a character at the end of a message", |m| vec![m.frame([&m.head[..], b"\xce"].concat())]),
        bad("three bytes of four at the end of a message", |m| vec![m.frame([&m.head[..], b"\xf0\x9f\x98"].concat())]),
        bad("half a character at the end of the last fragment", |m| {
            in_frames(m.opcode, [m.head.clone(), b"one \xce".to_vec()])
        }),
        bad("half a character and a last fragment with nothing in it", |m| {
            in_frames(m.opcode, [[&m.head[..], b"\xce"].concat(), vec![]])
        }),
        bad("a ping within a character that is none", |m| {
            let mut frames = m.cut(b"one \xce!", &[5]);
            frames.insert(1, Frame::ping("?"));
            frames
        }),
        bad("a second message that is no text", |m| vec![m.whole(b"one"), m.whole(b"\xff")]),
        bad("no text behind fragments of one", |m| [between(m, vec![]), vec![m.whole(b"\xc3\x28")]].concat()),
    ]);
    cases
}
