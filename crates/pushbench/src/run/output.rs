//! Output of a server: its standard error is passed on, and the last lines of both outputs are kept
//! for the report of a crash.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::print;

/// Bytes kept of both outputs together.
const BYTES_KEPT_MAX: usize = 2 << 10;
/// Lines in the report of a crash.
const LINES_MAX: usize = 10;
/// Time to read the rest after the server has ended; another process may keep the outputs open.
const END_WITHIN: Duration = Duration::from_millis(300);

/// Standard output and standard error of one server.
#[derive(Debug, Default)]
pub(crate) struct Output {
    last: Arc<Mutex<Vec<u8>>>,
    readers: JoinSet<()>,
}

impl Output {
    /// Reads an output to its end, so that the server never blocks on it.
    pub(crate) fn follow(&mut self, from: impl AsyncRead + Unpin + Send + 'static) {
        self.read(from, |_| ());
    }

    /// Reads an output to its end and passes it on to standard error.
    pub(crate) fn pass_on(&mut self, from: impl AsyncRead + Unpin + Send + 'static) {
        self.read(from, print::pass_on);
    }

    /// Reads an output to its end; the receiver fires when `text` has appeared in it.
    pub(crate) fn follow_until(
        &mut self,
        from: impl AsyncRead + Unpin + Send + 'static,
        text: &str,
    ) -> oneshot::Receiver<()> {
        let (found, receiver) = oneshot::channel();
        let (text, mut found, mut seen) = (text.as_bytes().to_vec(), Some(found), Vec::new());
        self.read(from, move |bytes| {
            if found.is_none() {
                return;
            }
            seen.extend_from_slice(bytes);
            if seen.windows(text.len()).any(|window| window == text) {
                found.take().map(|found| found.send(()));
            }
            // The end may be the beginning of the text.
            seen.drain(..seen.len().saturating_sub(text.len()));
        });
        receiver
    }

    fn read(
        &mut self,
        mut from: impl AsyncRead + Unpin + Send + 'static,
        mut on_bytes: impl FnMut(&[u8]) + Send + 'static,
    ) {
        let last = Arc::clone(&self.last);
        self.readers.spawn(async move {
            let mut buffer = vec![0; BYTES_KEPT_MAX];
            while let Ok(n @ 1..) = from.read(&mut buffer).await {
                on_bytes(&buffer[..n]);
                keep(&last, &buffer[..n]);
            }
        });
    }

    /// Reads the rest of the outputs of a server that has ended.
    pub(crate) async fn end(&mut self) {
        let reading = async { while self.readers.join_next().await.is_some() {} };
        tokio::time::timeout(END_WITHIN, reading).await.ok();
    }

    /// The last lines, oldest first, without control characters.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&last);
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| print::harmless(line)).collect()
    }
}

fn keep(last: &Mutex<Vec<u8>>, bytes: &[u8]) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    last.extend_from_slice(bytes);
    let too_many = last.len().saturating_sub(BYTES_KEPT_MAX);
    last.drain(..too_many);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn the_last_lines_of_both_outputs_are_kept_and_no_more() {
        let mut output = Output::default();
        output.follow(&b"first\n\x1b[31mred\xff\n"[..]);
        output.end().await;
        output.follow(&b"\nof the other"[..]);
        output.end().await;
        assert_eq!(output.last_lines(), ["first", "\u{fffd}[31mred\u{fffd}", "of the other"]);
        let many: String = (0..10_000).map(|line| format!("line {line}\n")).collect();
        output.follow(std::io::Cursor::new(many));
        output.end().await;
        let expected: Vec<_> = (9_990..10_000).map(|line| format!("line {line}")).collect();
        assert_eq!(output.last_lines(), expected);
        output.follow(std::io::Cursor::new("x".repeat(1 << 20)));
        output.end().await;
        assert_eq!(output.last_lines(), ["x".repeat(BYTES_KEPT_MAX)]);
    }

    #[tokio::test]
    async fn a_text_is_found_wherever_it_is_split() {
        for parts in [&["now list", "ening on 1\n"][..], &["list", "eni", "ng\n"], &["listen\n", "listening"]] {
            let (mut stdout, reader) = tokio::io::duplex(64);
            let mut output = Output::default();
            let mut found = output.follow_until(reader, "listening");
            for part in parts {
                assert!(found.try_recv().is_err());
                stdout.write_all(part.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            found.await.unwrap();
            drop(stdout);
            output.end().await;
            assert_eq!(output.last_lines().concat(), parts.concat().replace('\n', ""));
        }
        let (stdout, reader) = tokio::io::duplex(64);
        let never = Output::default().follow_until(reader, "listening");
        drop(stdout);
        assert!(never.await.is_err(), "the end of the output is not the text");
    }

    #[tokio::test]
    async fn an_output_that_stays_open_is_not_waited_for() {
        let (mut held, read) = tokio::io::duplex(64);
        let mut output = Output::default();
        output.follow(read);
        held.write_all(b"last line\n").await.unwrap();
        output.end().await;
        assert_eq!(output.last_lines(), ["last line"]);
    }
}
