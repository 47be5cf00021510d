//! `chain.bin`: every transaction to the contracts, in order, with what the node said about it.
//!
//! Big endian. Header: magic, version u32. Per transaction: 1 u8, block u64, timestamp u64, success u8, gas u64, length u32
//! and signed bytes, number of logs u32, per log: address 20, number of topics u8, topics 32 each, length u32 and data.
//! At the end: 0 u8, number of transactions u64.

use super::format::{FormatError, MAGIC_BYTES, Source, VERSION};
use salus_contracts::history::{MAX_TRANSACTION, Mined, RawLog};
use salus_contracts::primitives::{Address, B256};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Name of the file.
pub const NAME: &str = "chain.bin";
const MAGIC: [u8; MAGIC_BYTES] = *b"SALUSCHN";
const WANTED: &str = "transaction history";
/// Logs of one transaction, at most.
const MAX_LOGS: usize = 1 << 16;
/// Bytes of one log's data, at most.
const MAX_LOG: usize = 1 << 20;
const RECORD: u8 = 1;
const END: u8 = 0;

/// The file being written.
pub struct ChainWriter<W: Write> {
    out: W,
    count: u64,
}

impl ChainWriter<BufWriter<File>> {
    /// Begins the file in `dir`.
    pub fn create(dir: &Path) -> io::Result<Self> {
        Self::new(BufWriter::with_capacity(
            1 << 18,
            File::create_new(dir.join(NAME))?,
        ))
    }

    /// Ends the file once all of it is on disk; returns the number of transactions.
    pub fn close(self) -> io::Result<u64> {
        let (out, count) = self.finish()?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        Ok(count)
    }
}

impl<W: Write> ChainWriter<W> {
    /// Begins.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        Ok(Self { out, count: 0 })
    }

    /// Appends a transaction.
    ///
    /// # Errors
    /// The file system refuses, or the transaction is larger than the format allows.
    pub fn push(&mut self, mined: &Mined) -> io::Result<()> {
        let fits = |ok: bool, what: &str| {
            if ok {
                Ok(())
            } else {
                Err(io::Error::other(format!("{what} too large")))
            }
        };
        fits(mined.raw.len() <= MAX_TRANSACTION, "transaction")?;
        fits(mined.logs.len() <= MAX_LOGS, "number of logs")?;
        self.out.write_all(&[RECORD])?;
        self.out.write_all(&mined.block.to_be_bytes())?;
        self.out.write_all(&mined.timestamp.to_be_bytes())?;
        self.out.write_all(&[u8::from(mined.success)])?;
        self.out.write_all(&mined.gas_used.to_be_bytes())?;
        self.long(&mined.raw)?;
        self.out
            .write_all(&(mined.logs.len() as u32).to_be_bytes())?;
        for log in &mined.logs {
            fits(log.data.len() <= MAX_LOG && log.topics.len() <= 4, "log")?;
            self.out.write_all(log.address.as_slice())?;
            self.out.write_all(&[log.topics.len() as u8])?;
            for topic in &log.topics {
                self.out.write_all(topic.as_slice())?;
            }
            self.long(&log.data)?;
        }
        self.count += 1;
        Ok(())
    }

    fn long(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(&(bytes.len() as u32).to_be_bytes())?;
        self.out.write_all(bytes)
    }

    /// Writes the end; returns what was written to and the number of transactions.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.out.write_all(&[END])?;
        self.out.write_all(&self.count.to_be_bytes())?;
        self.out.flush()?;
        Ok((self.out, self.count))
    }
}

/// The file being read.
pub struct ChainReader<R> {
    source: Source<R>,
    count: u64,
    ended: bool,
}

impl ChainReader<BufReader<File>> {
    /// Opens the file in `dir`.
    pub fn open(dir: &Path) -> Result<Self, FormatError> {
        Ok(Self {
            source: Source::open(dir, NAME, MAGIC, WANTED)?,
            count: 0,
            ended: false,
        })
    }
}

impl<R: Read> ChainReader<R> {
    /// Reads from `inner`.
    #[cfg(test)]
    pub fn new(inner: R) -> Result<Self, FormatError> {
        Ok(Self {
            source: Source::new(NAME.into(), inner, MAGIC, WANTED)?,
            count: 0,
            ended: false,
        })
    }

    /// The next transaction, `None` at the end.
    pub fn next(&mut self) -> Result<Option<Mined>, FormatError> {
        if self.ended {
            return Ok(None);
        }
        match self.source.u8()? {
            RECORD => {}
            END => {
                let count = self.source.u64()?;
                if count != self.count {
                    return Err(self.source.range("number of transactions", count));
                }
                self.source.end()?;
                self.ended = true;
                return Ok(None);
            }
            other => return Err(self.source.range("record type", u64::from(other))),
        }
        self.count += 1;
        let block = self.source.u64()?;
        let timestamp = self.source.u64()?;
        let success = match self.source.u8()? {
            0 => false,
            1 => true,
            other => return Err(self.source.range("status", u64::from(other))),
        };
        let gas_used = self.source.u64()?;
        let raw = self
            .source
            .long("length of a transaction", MAX_TRANSACTION)?
            .into();
        let count = self.source.length("number of logs", MAX_LOGS)?;
        let mut logs = Vec::with_capacity(count.min(256));
        for _ in 0..count {
            logs.push(self.log()?);
        }
        Ok(Some(Mined {
            block,
            timestamp,
            success,
            gas_used,
            raw,
            logs,
        }))
    }

    fn log(&mut self) -> Result<RawLog, FormatError> {
        let address = Address::from(self.source.bytes::<20>()?);
        let count = self.source.u8()?;
        if count > 4 {
            return Err(self.source.range("number of topics", u64::from(count)));
        }
        let mut topics = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            topics.push(B256::from(self.source.bytes::<32>()?));
        }
        let data = self.source.long("length of a log", MAX_LOG)?.into();
        Ok(RawLog {
            address,
            topics,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn mined(seed: u8) -> Mined {
        Mined {
            block: u64::from(seed),
            timestamp: 7,
            success: seed.is_multiple_of(2),
            gas_used: 21_000,
            raw: vec![seed; usize::from(seed)].into(),
            logs: vec![RawLog {
                address: Address::repeat_byte(seed),
                topics: vec![B256::repeat_byte(seed); usize::from(seed % 5)],
                data: vec![seed; 3].into(),
            }],
        }
    }

    fn written(seeds: &[u8]) -> Vec<u8> {
        let mut writer = ChainWriter::new(Vec::new()).unwrap();
        for seed in seeds {
            writer.push(&mined(*seed)).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<Vec<Mined>, FormatError> {
        let mut reader = ChainReader::new(bytes)?;
        let mut all = Vec::new();
        while let Some(mined) = reader.next()? {
            all.push(mined);
        }
        Ok(all)
    }

    #[test]
    fn reads_back_what_was_written() {
        let seeds = [0, 3, 9, 200];
        assert_eq!(read(&written(&seeds)).unwrap(), seeds.map(mined));
    }

    #[test]
    fn refuses_every_cut_and_every_addition() {
        let bytes = written(&[4, 5]);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(read(&longer), Err(FormatError::Trailing { .. })));
    }

    #[test]
    fn a_lying_length_costs_no_memory() {
        let mut bytes = written(&[]);
        bytes.truncate(MAGIC_BYTES + 4);
        bytes.push(RECORD);
        bytes.extend([0; 25]);
        bytes.extend((MAX_TRANSACTION as u32).to_be_bytes());
        assert!(matches!(read(&bytes), Err(FormatError::Truncated { .. })));
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(read(&bytes), Err(FormatError::Range { .. })));
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = written(&[]);
            bytes.truncate(MAGIC_BYTES + 4);
            bytes.extend(tail);
            let _ = read(&bytes);
        }
    }
}
