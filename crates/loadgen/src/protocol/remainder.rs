//! The bytes of an item that its chunk does not complete.

/// Keeps an incomplete item until the next chunk. It has no buffer while there is none.
#[derive(Debug, Default)]
pub(crate) struct Remainder(Vec<u8>);

impl Remainder {
    /// Passes all unparsed bytes to `parse`, which returns how many of them it has parsed.
    pub(crate) fn feed<E>(&mut self, chunk: &[u8], mut parse: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<(), E> {
        if self.0.is_empty() {
            let parsed = parse(chunk)?;
            self.0.extend_from_slice(&chunk[parsed..]);
            return Ok(());
        }
        self.0.extend_from_slice(chunk);
        let parsed = parse(&self.0)?;
        if parsed == self.0.len() {
            self.0 = Vec::new();
        } else {
            self.0.drain(..parsed);
        }
        Ok(())
    }

    /// Takes the remaining bytes, where the end of the chunks is also the end of the last item.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Number of remaining bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
