//! Engine.IO v4 and Socket.IO v5 packets, client side, in the one namespace `/`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Fault;
use results::FaultKind;

/// Separates the packets in the body of a request or response.
pub(crate) const SEPARATOR: u8 = 0x1e;
/// Stands for an attachment in the JSON of its packet.
pub(crate) const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;
/// Largest accepted packet.
pub(crate) const PACKET_BYTES_MAX: usize = 8 << 20;

/// The handshake of a session.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Open {
    pub(crate) sid: String,
    pub(crate) upgrades: Vec<String>,
}

/// A received packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The handshake, as JSON.
    Open(&'a [u8]),
    Close,
    Ping,
    /// The answer to a probe.
    Probed,
    Noop,
    /// The namespace accepted the client.
    Connected,
    Disconnected,
    /// The namespace refused the client; the reason as JSON.
    Refused(&'a [u8]),
    /// An event with one argument, as JSON.
    Event {
        name: &'a [u8],
        data: &'a [u8],
    },
    /// An event whose argument is the next packet.
    Announced {
        name: &'a [u8],
    },
    /// An acknowledgement with one argument, as JSON.
    Ack {
        id: u64,
        data: &'a [u8],
    },
    /// An attachment in base64, as on polling.
    Encoded(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// Parses a text packet.
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

/// Decodes an attachment received on polling.
pub(crate) fn decode_attachment(text: &[u8]) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|_| bad(text))
}

/// Appends an attachment as it is sent on polling.
pub(crate) fn push_attachment(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'b');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

fn bad(packet: &[u8]) -> Fault {
    let shown: String = String::from_utf8_lossy(packet).chars().take(40).collect();
    Fault::new(FaultKind::BadBytes, format!("not a packet of a server: {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_of_a_server() {
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
    fn what_is_no_packet() {
        for bad in ["", "7", "3", "4", "42", "42[]", "42[\"a\"]", "43[1]", "45[\"a\",1]", "452-[\"a\",1]", "48"] {
            assert_eq!(Packet::parse(bad.as_bytes()).unwrap_err().kind, FaultKind::BadBytes, "{bad}");
        }
        assert!(decode_attachment(b"***").is_err());
    }

    #[test]
    fn the_handshake_lists_the_upgrades() {
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
