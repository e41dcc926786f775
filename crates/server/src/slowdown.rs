//! A server made worse on purpose, by a known amount for every message it delivers: what a comparison is tried on.

use std::str::FromStr;
use std::time::{Duration, Instant};

use wire::Framing;

/// More than this is a typing error.
const EACH_MAX: Duration = Duration::from_secs(1);
const COUNT_MAX: u64 = 65_536;
/// A control frame carries at most this.
const CONTROL_BYTES_MAX: usize = 125;

/// What every delivered message costs on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slowdown {
    /// CPU, burnt just before the message is written.
    pub cpu: Duration,
    /// Bytes, as signs of life behind the message.
    pub bytes: u64,
    /// Allocations.
    pub allocs: u64,
    /// How long it is kept back.
    pub delay: Duration,
}

impl FromStr for Slowdown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut slowdown = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            match name {
                "cpu" => slowdown.cpu = duration(value)?,
                "delay" => slowdown.delay = duration(value)?,
                "bytes" => slowdown.bytes = count(value)?,
                "allocs" => slowdown.allocs = count(value)?,
                _ => return Err(wrong(part)),
            }
        }
        Ok(slowdown)
    }
}

fn wrong(part: &str) -> String {
    format!("{part:?} is none of cpu=5us, bytes=64, allocs=2, delay=1ms")
}

fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count <= COUNT_MAX);
    count.ok_or_else(|| format!("{text:?} is no whole number up to {COUNT_MAX}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..unit].parse::<u64>().ok();
    let duration = number.and_then(|number| match &text[unit..] {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    });
    duration
        .filter(|duration| *duration <= EACH_MAX)
        .ok_or_else(|| format!("{text:?} is no time such as 5us or 1ms, up to 1000ms"))
}

impl Slowdown {
    /// Spends what so many messages cost on top, at once: all but the bytes and the delay.
    pub(crate) fn apply(&self, messages: u64) {
        for _ in 0..self.allocs * messages {
            drop(std::hint::black_box(Box::new(messages)));
        }
        if !self.cpu.is_zero() {
            let end = Instant::now() + self.cpu * u32::try_from(messages).unwrap_or(u32::MAX);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
    }

    /// Appends what stands behind a message: signs of life, which every client passes over. Of the binary frames one takes five bytes, so
    /// that `bytes` is rounded up; the others are met to the byte, but for the one byte of a comment or frame that cannot be so short.
    pub(crate) fn pad(form: Framing, bytes: u64, out: &mut Vec<u8>) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        match form {
            Framing::JsonLines => out.resize(out.len() + bytes, b'\n'),
            Framing::ServerSentEvents => {
                if bytes > 0 {
                    out.push(b':');
                    out.resize(out.len() + bytes.saturating_sub(3), b' ');
                    out.extend_from_slice(b"\n\n");
                }
            }
            Framing::LengthPrefixed => {
                for _ in 0..bytes.div_ceil(5) {
                    form.encode(&wire::ServerItem::Heartbeat, out);
                }
            }
            Framing::WsText | Framing::WsBinary | Framing::Stomp => {
                let mut left = bytes;
                while left > 0 {
                    // A frame needs two bytes: none may be left alone.
                    let frame = if left == CONTROL_BYTES_MAX + 3 { left - 2 } else { left.min(CONTROL_BYTES_MAX + 2) };
                    let payload = frame.saturating_sub(2);
                    out.extend_from_slice(&[PONG, payload as u8]);
                    out.resize(out.len() + payload, 0);
                    left = left.saturating_sub(frame);
                }
            }
        }
    }
}

/// A pong that nobody asked for: RFC 6455 allows it, and nobody answers it.
const PONG: u8 = 0x8a;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handicap_is_read_or_refused_with_what_is_wrong() {
        let all = Slowdown { cpu: Duration::from_micros(5), bytes: 64, allocs: 2, delay: Duration::from_millis(1) };
        assert_eq!("cpu=5us,bytes=64,allocs=2,delay=1ms".parse(), Ok(all));
        assert_eq!("bytes=64".parse(), Ok(Slowdown { bytes: 64, ..Slowdown::default() }));
        for bad in ["", "cpu", "cpu=5", "cpu=5s", "cpu=us", "bytes=-1", "bytes=99999999", "delay=2000ms", "colour=1us"]
        {
            assert!(bad.parse::<Slowdown>().is_err(), "{bad}");
        }
    }

    #[test]
    fn padding_is_as_long_as_it_was_asked_to_be() {
        for bytes in [0, 3, 64, 127, 128, 129, 254, 255, 256, 1000] {
            let len = |form| {
                let mut out = Vec::new();
                Slowdown::pad(form, bytes, &mut out);
                out.len() as u64
            };
            for form in
                [Framing::JsonLines, Framing::ServerSentEvents, Framing::WsText, Framing::WsBinary, Framing::Stomp]
            {
                assert_eq!(len(form), bytes, "{form:?}");
            }
            assert_eq!(len(Framing::LengthPrefixed), bytes.div_ceil(5) * 5);
        }
    }
}
