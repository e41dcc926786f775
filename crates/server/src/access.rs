//! Which requests are accepted: the shared token, the origins of browsers, and the host names that
//! requests may name.

use std::net::{Ipv4Addr, Ipv6Addr};

use wire::ErrorBody;

use crate::config::Access;

impl Access {
    /// Checks the token in an `Authorization` header or, for clients that cannot set headers, of
    /// the query or join.
    pub(crate) fn admits_token(&self, authorization: Option<&str>, given: Option<&str>) -> Result<(), ErrorBody> {
        self.check(given.or_else(|| bearer_token(authorization?)))
    }

    /// Checks the token of a client without headers.
    pub(crate) fn check(&self, given: Option<&str>) -> Result<(), ErrorBody> {
        let Some(token) = &self.token else { return Ok(()) };
        if given.is_some_and(|given| same_bytes(given.as_bytes(), token.as_bytes())) {
            return Ok(());
        }
        // The value is not repeated: it may be a secret of another service.
        Err(ErrorBody::new(
            "token",
            "",
            "the token is missing or wrong",
            "send Authorization: Bearer TOKEN, or token=TOKEN",
        ))
    }

    /// Checks the origin of a browser in a request to `host`. Other programs send none.
    pub(crate) fn admits_origin(&self, origin: Option<&str>, host: &str) -> Result<(), ErrorBody> {
        let Some(origin) = origin else { return Ok(()) };
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) || self.admits_other(origin, host) {
            return Ok(());
        }
        Err(ErrorBody::new(
            "Origin",
            origin,
            "requests from web pages of this origin are not allowed",
            "start the server with --allow-origin",
        ))
    }

    /// Whether an origin other than that of a request to `host` is allowed: one that is listed, or
    /// that of the page on another port of this server.
    pub(crate) fn admits_other(&self, origin: &str, host: &str) -> bool {
        let is_page = || {
            let authority = origin.strip_prefix("http://").unwrap_or("");
            let is_port = |port: &str| port.parse().is_ok_and(|port| self.page_ports.contains(&port));
            authority.rsplit_once(':').is_some_and(|(_, port)| is_port(port))
                && without_port(authority).eq_ignore_ascii_case(without_port(host))
        };
        self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) || is_page()
    }

    /// Checks the host that a request names: an IP address, `localhost` or an allowed name, with
    /// any port.
    ///
    /// The owner of a web page can let its host name resolve to the address of this server (DNS
    /// rebinding). To a browser, page and server then have the same origin, and the page could read
    /// and post. Its requests carry that host name. If the server has a token, the page does not
    /// know it, and every host is accepted.
    pub(crate) fn admits_host(&self, host: &str) -> Result<(), ErrorBody> {
        if self.token.is_some() || is_address(host) || self.names(without_port(host)) {
            return Ok(());
        }
        Err(ErrorBody::new(
            "Host",
            host,
            "requests to this host name are not allowed",
            "use an IP address or localhost, or start the server with --allow-host NAME",
        ))
    }

    fn names(&self, host: &str) -> bool {
        let of_origins = self.origins.iter().filter_map(|origin| Some(without_port(origin.split_once("://")?.1)));
        let mut allowed = self.hosts.iter().map(String::as_str).chain(of_origins).chain(["localhost"]);
        allowed.any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// Whether a host is an address: `127.0.0.1:8080`, or `[::1]:8080`.
fn is_address(host: &str) -> bool {
    let host = without_port(host);
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

/// A host without its port. A suffix that is not a port is kept, so that the result is not a host.
pub(crate) fn without_port(host: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name)
}

/// The token of an `Authorization` header. The scheme may be written in any case (RFC 9110, section
/// 11.1).
fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Compares in constant time.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_checked_only_where_there_is_one() {
        let closed = Access { token: Some("s3cret".into()), ..Access::default() };
        assert!(Access::default().check(None).is_ok());
        assert!(closed.admits_token(Some("Bearer s3cret"), None).is_ok());
        assert!(closed.admits_token(None, Some("s3cret")).is_ok());
        for wrong in [None, Some(""), Some("s3cre"), Some("s3cret ")] {
            assert_eq!(closed.check(wrong).unwrap_err().field, "token");
        }
    }

    #[test]
    fn the_scheme_of_a_token_is_case_insensitive() {
        let closed = Access { token: Some("s3cret".into()), ..Access::default() };
        let of = |value: &str| closed.admits_token(Some(value), None);
        for right in ["Bearer s3cret", "bearer s3cret", "BEARER s3cret", "bEaReR   s3cret"] {
            assert_eq!(of(right), Ok(()), "{right}");
        }
        for wrong in ["s3cret", "Bearers3cret", "Basic s3cret", "Bearer S3CRET", "Bearer", "Bearer "] {
            assert_eq!(of(wrong).unwrap_err().field, "token", "{wrong}");
        }
    }

    #[test]
    fn hosts_are_addresses_localhost_or_named() {
        let hosts = vec!["Chat.Internal".into()];
        let access = Access { hosts, origins: vec!["https://chat.example:8443".into()], ..Access::default() };
        let names = ["localhost", "LOCALHOST", "chat.internal", "chat.example", "127.0.0.1", "192.0.2.7", "[::1]"];
        for host in names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}:80"), format!("{name}:")]) {
            assert_eq!(access.admits_host(&host), Ok(()), "{host}");
        }
        for foreign in [
            "",
            ":80",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "0x7f000001",
            "2130706433",
            "::1",
            "[::1",
            "[evil]",
            "[127.0.0.1]",
            "localhost:80:80",
            "localhost:x",
            "x@localhost",
            "localhost, localhost",
            "https",
            "https://chat.example",
            "chat.example.evil",
        ] {
            let body = access.admits_host(foreign).unwrap_err();
            assert_eq!((body.field.as_str(), body.value.as_str()), ("Host", foreign));
            assert!(body.hint.contains("--allow-host"), "{body}");
        }
        let with_token = Access { token: Some("s3cret".into()), ..Access::default() };
        assert_eq!(with_token.admits_host("evil.example"), Ok(()));
    }

    #[test]
    fn origins_are_the_host_s_own_or_listed() {
        let access = Access { origins: vec!["https://chat.example".into()], ..Access::default() };
        let of = |origin: &str| access.admits_origin(Some(origin), "localhost:8080");
        assert_eq!(access.admits_origin(None, ""), Ok(()));
        assert_eq!(of("http://localhost:8080"), Ok(()));
        assert_eq!(of("https://chat.example"), Ok(()));
        for foreign in
            ["http://localhost:9090", "null", "http://localhost:8080.evil.example", "https://chat.example.evil"]
        {
            assert_eq!(of(foreign).unwrap_err().field, "Origin", "{foreign}");
        }
    }

    #[test]
    fn a_page_may_use_the_other_page_ports_of_its_host() {
        let access = Access { page_ports: vec![8080, 8082], ..Access::default() };
        let of = |origin: &str| access.admits_origin(Some(origin), "localhost:8080").is_ok();
        assert!(of("http://localhost:8082") && of("http://LOCALHOST:8082"));
        for foreign in ["http://localhost:8081", "http://192.0.2.7:8082", "http://localhost", "https://localhost:8082"]
        {
            assert!(!of(foreign), "{foreign}");
        }
    }
}
