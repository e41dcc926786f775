//! Decoder of `text/event-stream` as in the HTML standard. Input may be split at any byte.

use crate::WireError;

/// One dispatched event, borrowed until the next call.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field, empty for messages.
    pub name: &'a str,
    /// The `data:` lines, joined by line feeds.
    pub data: &'a [u8],
    /// The last `id:` seen on the stream, not only in this event.
    pub last_id: &'a str,
}

/// Incremental decoder. It stores at most one event of at most `bytes_max` bytes.
#[derive(Debug)]
pub struct EventDecoder {
    line: Vec<u8>,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    last_id: String,
    after_cr: bool,
    at_start: bool,
    bytes_max: usize,
}

impl EventDecoder {
    /// A decoder for one response; longer lines and events than `bytes_max` are errors.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            line: Vec::new(),
            name: String::new(),
            data: Vec::new(),
            has_data: false,
            last_id: String::new(),
            after_cr: false,
            at_start: true,
            bytes_max,
        }
    }

    /// Decodes bytes and calls `on_event` for every complete event.
    pub fn feed<E: From<WireError>>(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                return Ok(self.keep(bytes)?);
            };
            let (head, tail) = (&bytes[..end], &bytes[end + 1..]);
            self.after_cr = bytes[end] == b'\r';
            bytes = tail;
            if self.line.is_empty() {
                self.take_line(head, &mut on_event)?;
            } else {
                self.keep(head)?;
                let line = std::mem::take(&mut self.line);
                let outcome = self.take_line(&line, &mut on_event);
                self.line = line;
                self.line.clear();
                outcome?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let found = self.line.len() + bytes.len();
        if found > self.bytes_max {
            return Err(WireError::TooBig { found, max: self.bytes_max });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line<E: From<WireError>>(
        &mut self,
        mut line: &[u8],
        on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(on_event);
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let field = &line[..colon];
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        Ok(self.take_field(field, value)?)
    }

    fn take_field(&mut self, field: &[u8], value: &[u8]) -> Result<(), WireError> {
        match field {
            b"data" => {
                let found = self.data.len() + value.len() + 1;
                if found > self.bytes_max {
                    return Err(WireError::TooBig { found, max: self.bytes_max });
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => set_text(&mut self.name, value)?,
            b"id" if !value.contains(&0) => set_text(&mut self.last_id, value)?,
            _ => {}
        }
        Ok(())
    }

    fn dispatch<E: From<WireError>>(&mut self, on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>) -> Result<(), E> {
        let outcome = if self.has_data {
            on_event(Event { name: &self.name, data: &self.data, last_id: &self.last_id })
        } else {
            Ok(())
        };
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        outcome
    }
}

fn set_text(target: &mut String, value: &[u8]) -> Result<(), WireError> {
    let text = std::str::from_utf8(value).map_err(|_| WireError::NotUtf8)?;
    target.clear();
    target.push_str(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::decode_events as decode;
    use proptest::prelude::*;

    fn event(name: &str, data: &str, id: &str) -> (String, Vec<u8>, String) {
        (name.into(), data.into(), id.into())
    }

    const SPECIAL_CASES: &[u8] = b"\xef\xbb\xbf: hello\nretry: 10\nid: 1\ndata: a\ndata:b\n\nid\ndata\n\r\nevent: gap\rdata:  x\r\rid: 7\n\ndata: last\r\n\r\ndata: unfinished";

    #[test]
    fn special_cases_of_the_standard() {
        assert_eq!(
            decode(&[SPECIAL_CASES]).unwrap(),
            [event("", "a\nb", "1"), event("", "", ""), event("gap", " x", ""), event("", "last", "7")]
        );
    }

    #[test]
    fn events_are_read_in_any_chunks() {
        let whole = decode(&[SPECIAL_CASES]).unwrap();
        for cut in 0..SPECIAL_CASES.len() {
            assert_eq!(decode(&[&SPECIAL_CASES[..cut], &SPECIAL_CASES[cut..]]).unwrap(), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = SPECIAL_CASES.chunks(1).collect();
        assert_eq!(decode(&single).unwrap(), whole);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = EventDecoder::new(100);
        let ignore = |_: Event<'_>| Ok::<_, WireError>(());
        decoder.feed(&[b'x'; 100], ignore).unwrap();
        assert_eq!(decoder.feed(b"y", ignore), Err(WireError::TooBig { found: 101, max: 100 }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            crate::fuzz::events(&bytes);
        }
    }
}
