//! What is left of a chunk when its last item is not complete.

/// Keeps an unfinished tail, and nothing while there is none.
#[derive(Debug, Default)]
pub(crate) struct Carry(Vec<u8>);

impl Carry {
    /// Gives `parse` everything that has not been taken yet; it says how much it takes.
    pub(crate) fn feed<E>(&mut self, chunk: &[u8], mut parse: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<(), E> {
        if self.0.is_empty() {
            let taken = parse(chunk)?;
            self.0.extend_from_slice(&chunk[taken..]);
            return Ok(());
        }
        self.0.extend_from_slice(chunk);
        let taken = parse(&self.0)?;
        if taken == self.0.len() {
            self.0 = Vec::new();
        } else {
            self.0.drain(..taken);
        }
        Ok(())
    }

    /// Gives out what is kept, where the end of the chunks is the end of the last item.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Bytes kept.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
