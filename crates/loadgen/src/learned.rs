//! What a client has learned from the responses of a server with a protocol of its own.

use crate::error::Fault;
use crate::protocol::http_response::headers_of;

/// What a client has learned; it is kept over its sessions.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) values: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) has_logged_in: bool,
}

impl Learned {
    fn set(list: &mut Vec<(String, String)>, name: &str, value: &str) {
        match list.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) if old == value => {}
            Some((_, old)) => value.clone_into(old),
            None => list.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(crate) fn learn(&mut self, name: &str, value: &str) {
        Self::set(&mut self.values, name, value);
    }

    /// Keeps the cookies of a response, by name.
    pub(crate) fn keep_cookies(&mut self, head: &[u8]) -> Result<(), Fault> {
        headers_of(head, |name, value| {
            let pair = value.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((cookie, value)) = pair.filter(|_| name.eq_ignore_ascii_case("set-cookie")) {
                Self::set(&mut self.cookies, cookie.trim(), value.trim());
            }
        })
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The `cookie` header; empty without cookies.
    pub(crate) fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("cookie: {}\r\n", pairs.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_by_name() {
        let mut learned = Learned::default();
        assert_eq!(learned.cookie_header(), "");
        learned.keep_cookies(b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/\r\nset-cookie: b=x\r\n\r\n").unwrap();
        learned.keep_cookies(b"HTTP/1.1 200 OK\r\nset-cookie: sid=2; HttpOnly\r\n\r\n").unwrap();
        assert_eq!(learned.cookie_header(), "cookie: sid=2; b=x\r\n");
    }
}
