//! Engine.IO v4 and Socket.IO v5 packets, client side: what is on the wire, told apart. One namespace, `/`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Fault;
use results::FaultKind;

/// Between two packets of a poll's answer, or of a post's body.
pub(crate) const SEPARATOR: u8 = 0x1e;
/// Stands for an attachment in the JSON of its packet.
pub(crate) const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;
/// Largest packet a client takes.
pub(crate) const PACKET_BYTES_MAX: usize = 8 << 20;

/// What a server says when a session begins.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Open {
    pub(crate) sid: String,
    pub(crate) upgrades: Vec<String>,
}

/// One packet that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The session begins; JSON.
    Open(&'a [u8]),
    Close,
    Ping,
    /// The answer to our probe.
    Probed,
    Noop,
    /// The namespace took us.
    Connected,
    Disconnected,
    /// The namespace did not take us; JSON.
    Refused(&'a [u8]),
    /// An event with one argument; JSON.
    Event {
        name: &'a [u8],
        data: &'a [u8],
    },
    /// An event whose argument comes next.
    Announced {
        name: &'a [u8],
    },
    /// An acknowledgement with one argument; JSON.
    Ack {
        id: u64,
        data: &'a [u8],
    },
    /// An attachment in base64, as it comes on polling.
    Encoded(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// Reads a packet that came as text.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let (kind, rest) = bytes.split_first().ok_or_else(|| bad(bytes))?;
        Ok(match (kind, rest) {
            (b'4', rest) => return Self::message(rest).ok_or_else(|| bad(bytes)),
            (b'0', open) => Self::Open(open),
            (b'1', b"") => Self::Close,
            (b'2', _) => Self::Ping,
            (b'3', b"probe") => Self::Probed,
            (b'6', b"") => Self::Noop,
            (b'b', data) => Self::Encoded(data),
            _ => return Err(bad(bytes)),
        })
    }

    fn message(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        Some(match kind {
            b'2' => {
                let (name, data) = event(rest)?;
                Self::Event { name, data }
            }
            b'5' => {
                let (name, data) = event(rest.strip_prefix(b"1-")?)?;
                (data == PLACEHOLDER.as_bytes()).then_some(Self::Announced { name })?
            }
            b'3' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (id, data) = rest.split_at(digits);
                let id = std::str::from_utf8(id).ok()?.parse().ok()?;
                Self::Ack { id, data: data.strip_prefix(b"[")?.strip_suffix(b"]")? }
            }
            b'0' => Self::Connected,
            b'1' => Self::Disconnected,
            b'4' => Self::Refused(rest),
            _ => return None,
        })
    }
}

/// Name and argument of `["name",argument]`.
fn event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(b"[\"")?.strip_suffix(b"]")?;
    let end = memchr::memchr(b'"', rest)?;
    Some((&rest[..end], rest[end + 1..].strip_prefix(b",")?))
}

/// The bytes of an attachment that came on polling.
pub(crate) fn decode_attachment(text: &[u8]) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|_| bad(text))
}

/// Appends an attachment as it goes up on polling.
pub(crate) fn push_attachment(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'b');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

fn bad(packet: &[u8]) -> Fault {
    let shown: String = String::from_utf8_lossy(packet).chars().take(40).collect();
    Fault::new(FaultKind::BadBytes, format!("not a packet a client expects: {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_as_servers_write_them() {
        let parsed = |text: &'static str| Packet::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed("0{}"), Packet::Open(b"{}"));
        assert_eq!(
            (parsed("1"), parsed("2"), parsed("3probe"), parsed("6")),
            (Packet::Close, Packet::Ping, Packet::Probed, Packet::Noop)
        );
        assert_eq!(parsed("40{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!((parsed("41"), parsed("44{}")), (Packet::Disconnected, Packet::Refused(b"{}")));
        assert_eq!(parsed("42[\"message\",{\"a\":[1]}]"), Packet::Event { name: b"message", data: b"{\"a\":[1]}" });
        assert_eq!(parsed("4312[{\"seq\":1}]"), Packet::Ack { id: 12, data: b"{\"seq\":1}" });
        let announced = "451-[\"message\",{\"_placeholder\":true,\"num\":0}]";
        assert_eq!(parsed(announced), Packet::Announced { name: b"message" });
        assert_eq!(parsed("baGk="), Packet::Encoded(b"aGk="));
        assert_eq!(decode_attachment(b"aGk=").unwrap(), b"hi");
    }

    #[test]
    fn what_is_none() {
        for bad in ["", "7", "3", "4", "42", "42[]", "42[\"a\"]", "43[1]", "45[\"a\",1]", "452-[\"a\",1]", "48"] {
            assert_eq!(Packet::parse(bad.as_bytes()).unwrap_err().kind, FaultKind::BadBytes, "{bad}");
        }
        assert!(decode_attachment(b"***").is_err());
    }

    #[test]
    fn a_session_says_how_it_may_be_upgraded() {
        let text =
            r#"{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        let open: Open = serde_json::from_str(text).unwrap();
        assert_eq!(open, Open { sid: "a".into(), upgrades: vec!["websocket".into()] });
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            crate::fuzz::packets(&bytes);
        }

        #[test]
        fn attachments_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            push_attachment(&bytes, &mut out);
            prop_assert_eq!(decode_attachment(&out[1..]).unwrap(), bytes);
        }
    }
}
