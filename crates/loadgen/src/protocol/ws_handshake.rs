//! The opening handshake of a WebSocket, client side: the request's headers, and the check of the
//! response (RFC 6455, section 4.1).

use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::http_head::{has, no_headers, parse, shown};
use crate::error::Fault;
use results::FaultKind;

/// What a client offers: a WebSocket without extensions, and a subprotocol if it needs one.
pub(crate) struct Offer {
    key: String,
    subprotocol: Option<String>,
}

impl Offer {
    pub(crate) fn new(subprotocol: Option<&str>) -> Self {
        Self { key: generate_key(), subprotocol: subprotocol.map(str::to_owned) }
    }

    /// The headers of the request.
    pub(crate) fn headers(&self) -> String {
        let subprotocol = self.subprotocol.as_ref();
        let protocol = subprotocol.map(|name| format!("sec-websocket-protocol: {name}\r\n")).unwrap_or_default();
        format!(
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {}\r\n{protocol}",
            self.key
        )
    }

    /// Checks that the head of a 101 response accepts what was offered, and nothing else.
    pub(crate) fn check(&self, head: &[u8]) -> Result<(), Fault> {
        let mut headers = no_headers();
        let (response, _) = parse(head, &mut headers)?.ok_or_else(|| bad("an incomplete response head"))?;
        let (mut upgrades, mut switches, mut accept) = (false, false, None);
        for header in response.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let value = std::str::from_utf8(header.value).unwrap_or("").trim();
            if is("upgrade") {
                upgrades |= has(value, "websocket");
            } else if is("connection") {
                switches |= has(value, "upgrade");
            } else if is("sec-websocket-accept") {
                accept = Some(value);
            } else if is("sec-websocket-extensions") && !value.is_empty() {
                return Err(bad(format!("extensions that were not offered: {}", shown(value))));
            } else if is("sec-websocket-protocol") && self.subprotocol.as_deref() != Some(value) {
                return Err(bad(format!("a subprotocol that was not offered: {}", shown(value))));
            }
        }
        if !upgrades || !switches {
            return Err(bad("a 101 without `upgrade: websocket` and `connection: upgrade`"));
        }
        let accept = accept.ok_or_else(|| bad("a 101 without sec-websocket-accept"))?;
        if accept != derive_accept_key(self.key.as_bytes()) {
            return Err(bad(format!("a sec-websocket-accept for another key: {}", shown(accept))));
        }
        Ok(())
    }
}

fn bad(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and accept value of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const UPGRADE: &str = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n";
    const ACCEPT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn check(subprotocol: Option<&'static str>, headers: &[&str]) -> Result<(), String> {
        let offer = Offer { key: KEY.to_owned(), subprotocol: subprotocol.map(str::to_owned) };
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n", headers.concat());
        offer.check(head.as_bytes()).map_err(|fault| {
            assert_eq!(fault.kind, FaultKind::BadBytes);
            fault.detail
        })
    }

    #[test]
    fn a_response_that_accepts_the_offer() {
        assert_eq!(check(None, &[UPGRADE, ACCEPT]), Ok(()));
        assert_eq!(check(None, &[ACCEPT, "x: y\r\n", UPGRADE, "sec-websocket-extensions:\r\n"]), Ok(()));
        assert_eq!(check(Some("v12.stomp"), &[UPGRADE, ACCEPT, "sec-websocket-protocol: v12.stomp\r\n"]), Ok(()));
        // A server may choose no subprotocol.
        assert_eq!(check(Some("v12.stomp"), &[UPGRADE, ACCEPT]), Ok(()));
    }

    #[test]
    fn a_response_that_accepts_something_else() {
        for (subprotocol, headers, error) in [
            (None, vec![UPGRADE], "a 101 without sec-websocket-accept"),
            (None, vec![ACCEPT], "a 101 without `upgrade: websocket`"),
            (None, vec![ACCEPT, "upgrade: websocket\r\nconnection: close\r\n"], "a 101 without `upgrade: websocket`"),
            (None, vec![ACCEPT, "upgrade: h2c\r\nconnection: upgrade\r\n"], "a 101 without `upgrade: websocket`"),
            (None, vec![UPGRADE, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n"], "for another key"),
            (None, vec![UPGRADE, "sec-websocket-accept:\r\n"], "for another key: \"\""),
            (None, vec![UPGRADE, ACCEPT, "sec-websocket-extensions: permessage-deflate\r\n"], "\"permessage-deflate\""),
            (None, vec![UPGRADE, ACCEPT, "sec-websocket-protocol: chat\r\n"], "not offered: \"chat\""),
            (Some("v12.stomp"), vec![UPGRADE, ACCEPT, "sec-websocket-protocol: v11.stomp\r\n"], "\"v11.stomp\""),
        ] {
            let found = check(subprotocol, &headers).unwrap_err();
            assert!(found.contains(error), "{headers:?}: {found}");
        }
    }

    #[test]
    fn every_offer_has_a_key_of_its_own() {
        let (one, other) = (Offer::new(None), Offer::new(Some("v12.stomp")));
        assert_ne!(one.key, other.key);
        assert!(one.headers().contains(&one.key) && !one.headers().contains("protocol"));
        assert!(other.headers().ends_with("\r\nsec-websocket-protocol: v12.stomp\r\n"));
    }
}
