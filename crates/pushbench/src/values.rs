//! Parsers of values on the command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::time::Duration;

const EXAMPLE_URL: &str = "http://127.0.0.1:8080";

/// The loopback address in an `http://` URL.
pub(crate) fn loopback_url(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = host_and_port(text)?;
    let ip = if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() };
    match ip.filter(IpAddr::is_loopback) {
        Some(ip) => Ok(SocketAddr::new(ip, port?)),
        None => {
            Err(format!("only loopback addresses are measured, such as {EXAMPLE_URL}; run the server on this machine"))
        }
    }
}

/// The loopback or private address in an `http://` URL, which may have the name of a host. Load on a
/// machine of the internet needs its owner's consent.
pub(crate) fn target_url(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = host_and_port(text)?;
    let port = port?;
    let found = (host, port).to_socket_addrs().map_err(|error| format!("there is no host {host} ({error})"))?;
    found.into_iter().find(is_near).ok_or_else(|| "only loopback and private addresses are measured".to_owned())
}

/// Whether an address is a loopback or private one.
pub(crate) fn is_near(address: &SocketAddr) -> bool {
    match address.ip() {
        ip if ip.is_loopback() => true,
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// Host and port in an `http://` URL.
fn host_and_port(text: &str) -> Result<(&str, Result<u16, String>), String> {
    if text.starts_with("https://") {
        return Err(format!("only plain HTTP is measured; write it as {EXAMPLE_URL}"));
    }
    let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).unwrap_or((authority, ""));
    let port = port.parse().map_err(|_| format!("it has no port; write it as {EXAMPLE_URL}"));
    Ok((host.trim_matches(['[', ']']), port))
}

/// A parser of whole numbers within a range.
pub(crate) fn whole_number(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (range.start(), range.end()) {
            (least, &u64::MAX) => format!("takes a whole number of at least {least}, found {text}"),
            (least, most) => format!("takes a whole number from {least} to {most}, found {text}"),
        })
    }
}

/// Parses `90s` or `5m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "takes a time from 1s to 1440m, such as 90s or 5m".to_owned();
    let (number, seconds) = match (text.strip_suffix('m'), text.strip_suffix('s')) {
        (Some(minutes), _) => (minutes, 60),
        (_, Some(seconds)) => (seconds, 1),
        (None, None) => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = Duration::from_secs(number.saturating_mul(seconds));
    if duration.is_zero() || duration > Duration::from_secs(86_400) { Err(wrong()) } else { Ok(duration) }
}

/// Most load generators of a subject.
const AGENTS_MAX: u32 = 64;

/// Where load generators run, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agents {
    /// Processes on this machine.
    Local(u32),
    /// Agents on other machines.
    Remote(u32),
}

impl Agents {
    pub(crate) const fn count(self) -> u32 {
        match self {
            Self::Local(count) | Self::Remote(count) => count,
        }
    }
}

impl std::fmt::Display for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(count) => write!(f, "local:{count}"),
            Self::Remote(count) => count.fmt(f),
        }
    }
}

/// Parses `local:6` or `6`.
pub(crate) fn agents(text: &str) -> Result<Agents, String> {
    let number = |text: &str| text.parse().ok().filter(|number| (1..=AGENTS_MAX).contains(number));
    let parsed = match text.strip_prefix("local:") {
        Some(text) => number(text).map(Agents::Local),
        None => number(text).map(Agents::Remote),
    };
    parsed.ok_or_else(|| {
        format!("takes local:1 to local:{AGENTS_MAX} for processes on this machine, or 1 to {AGENTS_MAX} for agents")
    })
}

/// Parses `2%` as 0.02.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let number = number.filter(|number| (0.01..=100.0).contains(number));
    number.map(|number| number / 100.0).ok_or_else(|| "takes a percentage from 0.01% to 100%, such as 2%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_urls_with_a_port_are_measured() {
        for (url, address) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:3000/", "127.0.0.1:3000"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("http://[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(loopback_url(url), Ok(address.parse().unwrap()), "{url}");
        }
        for (url, why) in [
            ("http://example.com", "only loopback addresses are measured"),
            ("http://192.0.2.1:80", "only loopback addresses are measured"),
            ("http://127.0.0.1", "it has no port"),
            ("http://[::1]", "it has no port"),
            ("https://127.0.0.1:443", "only plain HTTP is measured"),
            ("", "only loopback addresses are measured"),
        ] {
            let found = loopback_url(url).unwrap_err();
            assert!(found.starts_with(why), "{url}: {found}");
        }
        assert_eq!(target_url("http://10.1.2.3:8080"), Ok("10.1.2.3:8080".parse().unwrap()));
        assert!(target_url("localhost:80").unwrap().ip().is_loopback());
        for (url, why) in [
            ("http://192.0.2.1:80", "only loopback and private addresses are measured"),
            ("http://10.1.2.3", "it has no port"),
            ("https://10.1.2.3:80", "only plain HTTP is measured"),
        ] {
            let found = target_url(url).unwrap_err();
            assert!(found.starts_with(why), "{url}: {found}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert_eq!(whole_number(7..=200)("7"), Ok(7));
        assert_eq!(agents("local:64"), Ok(Agents::Local(64)));
        assert_eq!(agents("6"), Ok(Agents::Remote(6)));
        for text in ["0", "65", "local:0", "local:65", "local:", "remote:2"] {
            assert!(agents(text).is_err(), "{text}");
        }
        for text in ["1", "201", "-1", "x"] {
            let expected = format!("takes a whole number from 7 to 200, found {text}");
            assert_eq!(whole_number(7..=200)(text), Err(expected));
        }
        assert_eq!(whole_number(1..=u64::MAX)("0"), Err("takes a whole number of at least 1, found 0".to_owned()));
    }
}
