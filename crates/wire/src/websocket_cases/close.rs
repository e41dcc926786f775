//! Cases about close frames: codes, reasons, and data after them.

use super::data::between;
use super::frame::Frame;
use super::{Case, Closed, Failed, Messages, Receiver};

/// Valid close codes: section 7.4, and later registrations at IANA.
const CODES: [u16; 16] =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4500, 4999];
const FORBIDDEN: [u16; 16] =
    [0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 32_768, u16::MAX];
/// A reason of the maximum length.
const REASON_BYTES_MAX: usize = 123;

pub(super) fn cases() -> Vec<Case> {
    [codes(), reasons(), behind()].into_iter().flatten().collect()
}

fn codes() -> Vec<Case> {
    let close = |code| move |_: &Messages| vec![Frame::close(code, b"")];
    let allowed = CODES.map(|code| Case::new(format!("close code {code}"), "7.4", Closed(Some(code)), close(code)));
    // Here tungstenite answers, also under engineioxide.
    let forbidden = FORBIDDEN.map(|code| {
        Case::new(format!("close code {code}"), "7.4", Failed(Some(1002)), close(code))
            .but(Receiver::is_socketio_server, Failed(Some(1002)))
    });
    // Bad gateway, registered with IANA; tungstenite 0.30.0 does not know it.
    let gateway = Case::new("close code 1014", "7.4.2", Closed(Some(1014)), close(1014))
        .but(Receiver::is_server, Failed(Some(1002)));
    allowed.into_iter().chain(forbidden).chain([gateway]).collect()
}

fn reasons() -> Vec<Case> {
    let longest = vec![b'r'; REASON_BYTES_MAX];
    let mut cases = vec![
        Case::new("a close without a code", "5.5.1", Closed(None), |_| vec![Frame::close_with("")]),
        Case::new("a close of one byte", "5.5.1", Failed(Some(1002)), |_| vec![Frame::close_with([3])]),
        Case::new("a close of 126 bytes", "5.5", Failed(Some(1002)), |_| {
            vec![Frame::close(1000, &[b'r'; REASON_BYTES_MAX + 1])]
        }),
        Case::new("a close of 65,536 bytes", "5.5", Failed(Some(1002)), |_| vec![Frame::close(1000, &[b'r'; 65_534])]),
        Case::new("a reason in the middle of a message", "5.4", Closed(Some(1000)), |m| {
            between(m, vec![Frame::close(1000, b"enough")])
        }),
    ];
    for (name, reason) in [
        ("a reason", "goodbye".as_bytes()),
        ("a reason in Greek", "αντίο".as_bytes()),
        ("the longest reason", &longest),
    ] {
        let reason = reason.to_vec();
        let build = move |_: &Messages| vec![Frame::close(1000, &reason)];
        cases.push(Case::new(name, "5.5.1", Closed(Some(1000)), build));
    }
    for (name, reason) in [
        ("an overlong slash", &b"a\xc0\xafb"[..]),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a place beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("half a character", b"goodbye \xce"),
        ("no character at all", b"\xff"),
    ] {
        let build = move |_: &Messages| vec![Frame::close(1000, reason)];
        cases.push(Case::new(format!("a reason with {name}"), "8.1", Failed(Some(1007)), build));
    }
    cases
}

fn behind() -> Vec<Case> {
    let ok = |name: &str, build: fn(&Messages) -> Vec<Frame>| Case::new(name, "5.5.1", Closed(Some(1000)), build);
    vec![
        ok("a message behind a close", |m| vec![Frame::close(1000, b""), m.whole(b"too late")]),
        ok("a ping behind a close", |_| vec![Frame::close(1000, b""), Frame::ping("here?")]),
        ok("a close behind a close", |_| vec![Frame::close(1000, b""), Frame::close(1001, b"")]),
        ok("what is wrong behind a close", |_| vec![Frame::close(1000, b""), Frame::new(3, "").reserved(7)]),
        ok("a great deal behind a close", |m| vec![Frame::close(1000, b""), m.frame(m.long(100_000))]),
        ok("a close behind a ping", |_| vec![Frame::ping(""), Frame::close(1000, b"")]),
    ]
}
