//! Raw transactions, in memory up to a limit and in an anonymous temporary file beyond it.
//!
//! A demonstration mines thousands of transactions of up to 100 KB; only the audit reads them back.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};
use tempfile::SpooledTempFile;

/// Where one raw transaction lies in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u64,
    len: usize,
}

#[derive(Debug)]
pub(super) struct Spool {
    // Reading moves the file's cursor, hence the lock around what is otherwise shared state.
    file: Mutex<SpooledTempFile>,
    end: u64,
}

impl Span {
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Spool {
    /// An empty spool that holds at most `memory` bytes in memory.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            file: Mutex::new(SpooledTempFile::new(memory)),
            end: 0,
        }
    }

    /// Appends one transaction. A failed write leaves the earlier ones readable.
    pub(super) fn push(&mut self, raw: &[u8]) -> io::Result<Span> {
        let span = Span {
            start: self.end,
            len: raw.len(),
        };
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(raw)?;
        self.end += raw.len() as u64;
        Ok(span)
    }

    pub(super) fn read(&self, span: Span) -> io::Result<Vec<u8>> {
        let mut raw = vec![0; span.len];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(span.start))?;
        file.read_exact(&mut raw)?;
        Ok(raw)
    }

    /// Forgets everything that was pushed at or after `end` (a value of [`Spool::end`]).
    pub(super) fn truncate(&mut self, end: u64) -> io::Result<()> {
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        file.set_len(end)?;
        self.end = end;
        Ok(())
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_back_across_the_memory_limit_and_after_truncation() {
        let mut spool = Spool::new(16);
        let a = spool.push(b"first").unwrap();
        let mark = spool.end();
        let b = spool.push(&[7; 100]).unwrap();
        assert_eq!(spool.read(a).unwrap(), b"first");
        assert_eq!(spool.read(b).unwrap(), [7; 100]);
        spool.truncate(mark).unwrap();
        let c = spool.push(b"again").unwrap();
        assert_eq!(spool.read(c).unwrap(), b"again");
        assert!(spool.read(b).is_err());
    }
}
