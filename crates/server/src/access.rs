//! Who may come in: the shared token, and the origins from which browsers may.

use axum::http::{HeaderMap, header};
use wire::Problem;

use crate::config::Access;

impl Access {
    /// Whether a caller shows the token, in `Authorization: Bearer` or, where headers cannot be set, in the query or join.
    pub(crate) fn admits_token(&self, headers: &HeaderMap, given: Option<&str>) -> Result<(), Problem> {
        let bearer = || headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ");
        self.check(given.or_else(bearer))
    }

    /// The same for callers without headers.
    pub(crate) fn check(&self, given: Option<&str>) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        if given.is_some_and(|given| same_bytes(given.as_bytes(), token.as_bytes())) {
            return Ok(());
        }
        // The value is not repeated: it may be a secret meant for somebody else.
        Err(Problem::new(
            "token",
            "",
            "this server wants its token",
            "send Authorization: Bearer TOKEN, or token=TOKEN",
        ))
    }

    /// Whether a browser's origin may come in; programs send none.
    pub(crate) fn admits_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("");
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) || self.lists(origin) {
            return Ok(());
        }
        Err(Problem::new(
            "Origin",
            origin,
            "browsers may not come from this origin",
            "start the server with --allow-origin",
        ))
    }

    /// Whether an origin is one of those allowed besides our own.
    pub(crate) fn lists(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == origin)
    }
}

/// Compares without telling by its duration where the difference is.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_is_asked_for_only_where_there_is_one() {
        let closed = Access { token: Some("s3cret".into()), origins: vec![] };
        let bearer = headers(&[(header::AUTHORIZATION, "Bearer s3cret")]);
        assert!(Access::default().check(None).is_ok());
        assert!(closed.admits_token(&bearer, None).is_ok());
        assert!(closed.admits_token(&HeaderMap::new(), Some("s3cret")).is_ok());
        for wrong in [None, Some(""), Some("s3cre"), Some("s3cret ")] {
            assert_eq!(closed.check(wrong).unwrap_err().field, "token");
        }
    }

    #[test]
    fn origins_are_the_host_s_own_or_listed() {
        let access = Access { token: None, origins: vec!["https://chat.example".into()] };
        let of = |origin: &str| {
            let headers = headers(&[(header::HOST, "localhost:8080"), (header::ORIGIN, origin)]);
            access.admits_origin(&headers)
        };
        assert_eq!(access.admits_origin(&HeaderMap::new()), Ok(()));
        assert_eq!(of("http://localhost:8080"), Ok(()));
        assert_eq!(of("https://chat.example"), Ok(()));
        for foreign in
            ["http://localhost:9090", "null", "http://localhost:8080.evil.example", "https://chat.example.evil"]
        {
            assert_eq!(of(foreign).unwrap_err().field, "Origin", "{foreign}");
        }
    }
}
