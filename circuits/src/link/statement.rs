//! What the custodian link is about: everything that is fixed before the public coin, and the coin.

use super::bytes::{DecodeError, Reader, Writer, serde_by_bytes};
use super::challenge::LinkChallenges;
use super::{MAX_CHUNKS, MAX_COLUMNS, MAX_SLOTS, MODULI, REPETITIONS, key_word, quotient_bits};
use crate::commitment::CommitmentKey;
use crate::transcript::{Hasher, Tag, address_word};
use crate::words::Word;
use ark_bn254::G1Affine;

/// Where a link is valid: nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkContext {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the contract that keeps the column commitments.
    pub contract: [u8; 20],
    /// Dataset number on chain.
    pub dataset: u64,
    /// Snapshot number of the dataset.
    pub snapshot: u64,
    /// Id of the cube.
    pub cube: Word,
    /// Which try this is, from 0. Every try is one more chance of about 2^-40 for a cheater, so tries are counted.
    pub attempt: u32,
}

/// The two forms of one repetition's mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    /// Value commitment to the mask.
    pub commitment: G1Affine,
    /// Hash of the ciphertext of the mask.
    pub ciphertext: Word,
}

/// Why parts are not an announcement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not a plaintext modulus of cubes.
    #[error("{found} is not a plaintext modulus of cubes")]
    Modulus {
        /// The number given.
        found: u64,
    },
    /// A dimension beyond what a link can have.
    #[error("{found} {what}; a link has 1 to {limit}")]
    Dimension {
        /// Which dimension.
        what: &'static str,
        /// The number given.
        found: usize,
        /// The largest allowed.
        limit: usize,
    },
    /// A column that occurs twice.
    #[error("column {column} occurs twice")]
    RepeatedColumn {
        /// Physical column.
        column: u16,
    },
    /// A chunk with too many or too few commitments.
    #[error("chunk {chunk} has {found} commitments for {expected} columns")]
    Commitments {
        /// Chunk.
        chunk: usize,
        /// Commitments given.
        found: usize,
        /// Columns of the cube.
        expected: usize,
    },
    /// Uploads that are not in increasing order of chunk and slot.
    #[error("the upload of chunk {chunk}, slot {slot} is out of order")]
    UploadOrder {
        /// Chunk.
        chunk: u32,
        /// Slot.
        slot: u32,
    },
}

/// Hash of the linked ciphertexts, given as chunk, slot and ciphertext hash in increasing order of chunk and slot.
///
/// # Errors
/// [`StatementError::UploadOrder`] where the order is broken or a slot repeats.
pub fn uploads_hash(
    uploads: impl IntoIterator<Item = (u32, u32, Word)>,
) -> Result<Word, StatementError> {
    let mut last = None;
    let mut hasher = Hasher::new(Tag::LinkUploads);
    let mut count = 0u128;
    for (chunk, slot, hash) in uploads {
        if last.is_some_and(|l| l >= (chunk, slot)) {
            return Err(StatementError::UploadOrder { chunk, slot });
        }
        last = Some((chunk, slot));
        count += 1;
        hasher = hasher
            .integer(u128::from(chunk) << 32 | u128::from(slot))
            .word(&hash);
    }
    Ok(hasher.integer(count).finish())
}

/// Everything that the custodian fixes before the public coin is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    context: LinkContext,
    modulus: u64,
    key: Word,
    slots: usize,
    columns: Vec<u16>,
    commitments: Vec<Vec<G1Affine>>,
    uploads: Word,
    masks: [Mask; REPETITIONS],
}

impl Announcement {
    /// An announcement over the snapshot's column commitments (chunks x columns of the cube) and the ciphertexts
    /// named by [`uploads_hash`].
    ///
    /// # Errors
    /// [`StatementError`] where the parts do not fit together.
    pub fn new(
        context: LinkContext,
        modulus: u64,
        key: &CommitmentKey,
        columns: Vec<u16>,
        commitments: Vec<Vec<G1Affine>>,
        uploads: Word,
        masks: [Mask; REPETITIONS],
    ) -> Result<Self, StatementError> {
        Self {
            context,
            modulus,
            key: key_word(key),
            slots: key.slots.len(),
            columns,
            commitments,
            uploads,
            masks,
        }
        .checked()
    }

    fn checked(self) -> Result<Self, StatementError> {
        if !MODULI.contains(&self.modulus) {
            return Err(StatementError::Modulus {
                found: self.modulus,
            });
        }
        for (what, found, limit) in [
            ("slots", self.slots, MAX_SLOTS),
            ("columns", self.columns.len(), MAX_COLUMNS),
            ("chunks", self.commitments.len(), MAX_CHUNKS),
        ] {
            if found == 0 || found > limit {
                return Err(StatementError::Dimension { what, found, limit });
            }
        }
        for (i, column) in self.columns.iter().enumerate() {
            if self.columns[..i].contains(column) {
                return Err(StatementError::RepeatedColumn { column: *column });
            }
        }
        for (chunk, row) in self.commitments.iter().enumerate() {
            if row.len() != self.columns.len() {
                return Err(StatementError::Commitments {
                    chunk,
                    found: row.len(),
                    expected: self.columns.len(),
                });
            }
        }
        Ok(self)
    }

    /// Where the link is valid.
    pub fn context(&self) -> &LinkContext {
        &self.context
    }
    /// Plaintext modulus p of the cube.
    pub fn modulus(&self) -> u64 {
        self.modulus
    }
    /// Name of the slot bases, see [`key_word`].
    pub fn key(&self) -> &Word {
        &self.key
    }
    /// Slots of a chunk.
    pub fn slots(&self) -> usize {
        self.slots
    }
    /// Physical columns of the cube, in the cube's order.
    pub fn columns(&self) -> &[u16] {
        &self.columns
    }
    /// Column commitments, chunks x columns.
    pub fn commitments(&self) -> &[Vec<G1Affine>] {
        &self.commitments
    }
    /// Hash of the linked ciphertexts, see [`uploads_hash`].
    pub fn uploads(&self) -> &Word {
        &self.uploads
    }
    /// Masks by repetition.
    pub fn masks(&self) -> &[Mask; REPETITIONS] {
        &self.masks
    }
    /// Bits of the quotient that the proof shows to be small; at most 52.
    pub fn quotient_bits(&self) -> usize {
        let slots = self.slots as u64 * self.commitments.len() as u64;
        quotient_bits(self.columns.len(), slots) as usize
    }

    /// The digest to publish before the coin is drawn.
    pub fn digest(&self) -> Word {
        let c = &self.context;
        let mut h = Hasher::new(Tag::Link)
            .integer(u128::from(c.chain_id))
            .word(&address_word(&c.contract))
            .integer(u128::from(c.dataset))
            .integer(u128::from(c.snapshot))
            .word(&c.cube)
            .integer(u128::from(c.attempt))
            .integer(u128::from(self.modulus))
            .word(&self.key)
            .integer(self.slots as u128)
            .integer(self.columns.len() as u128)
            .integer(self.commitments.len() as u128)
            .word(&self.uploads);
        for column in &self.columns {
            h = h.integer(u128::from(*column));
        }
        for commitment in self.commitments.iter().flatten() {
            h = h.g1(commitment);
        }
        for mask in &self.masks {
            h = h.g1(&mask.commitment).word(&mask.ciphertext);
        }
        h.finish()
    }

    const MAGIC: [u8; 4] = *b"SLKA";
    const VERSION: u8 = 1;

    fn write(&self, w: &mut Writer) {
        let c = &self.context;
        w.bytes(&c.chain_id.to_be_bytes())
            .bytes(&c.contract)
            .bytes(&c.dataset.to_be_bytes())
            .bytes(&c.snapshot.to_be_bytes())
            .bytes(&c.cube)
            .bytes(&c.attempt.to_be_bytes())
            .bytes(&self.modulus.to_be_bytes())
            .bytes(&self.key)
            .bytes(&self.uploads);
        for mask in &self.masks {
            w.point(&mask.commitment).bytes(&mask.ciphertext);
        }
        for dimension in [self.slots, self.columns.len(), self.commitments.len()] {
            // checked() bounds all three far below 2^32
            w.bytes(&(dimension as u32).to_be_bytes());
        }
        for column in &self.columns {
            w.bytes(&column.to_be_bytes());
        }
        w.points(self.commitments.iter().flatten());
    }

    /// Reads the fields; `tail` bytes must follow them.
    fn read(r: &mut Reader<'_>, tail: u64) -> Result<Self, DecodeError> {
        let context = LinkContext {
            chain_id: r.u64()?,
            contract: r.array()?,
            dataset: r.u64()?,
            snapshot: r.u64()?,
            cube: r.word()?,
            attempt: r.u32()?,
        };
        let modulus = r.u64()?;
        let key = r.word()?;
        let uploads = r.word()?;
        let mut masks = Vec::with_capacity(REPETITIONS);
        for _ in 0..REPETITIONS {
            masks.push(Mask {
                commitment: r.point()?,
                ciphertext: r.word()?,
            });
        }
        let slots = r.dimension("slots", MAX_SLOTS)?;
        let width = r.dimension("columns", MAX_COLUMNS)?;
        let chunks = r.dimension("chunks", MAX_CHUNKS)?;
        r.expect_left(2 * width as u64 + 64 * (width * chunks) as u64 + tail)?;
        let columns = (0..width).map(|_| r.u16()).collect::<Result<_, _>>()?;
        let commitments = (0..chunks)
            .map(|_| r.points(width))
            .collect::<Result<_, _>>()?;
        let empty = masks[0];
        let masks = std::array::from_fn(|e| masks.get(e).copied().unwrap_or(empty));
        Ok(Self {
            context,
            modulus,
            key,
            slots,
            columns,
            commitments,
            uploads,
            masks,
        }
        .checked()?)
    }

    /// Versioned canonical bytes; 64 per chunk and column dominate.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new(Self::MAGIC, Self::VERSION);
        self.write(&mut w);
        w.finish()
    }

    /// The announcement of bytes.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing larger than the input is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes, Self::MAGIC, Self::VERSION)?, 0)
    }
}

/// An announcement with the coin that was drawn after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatement {
    announcement: Announcement,
    coin: Word,
}

impl LinkStatement {
    /// The statement.
    ///
    /// # Security
    /// The coin must be unpredictable when the announcement's digest is published, and nobody may choose among
    /// several: a block hash after the digest, or better a beacon of the committee.
    pub fn new(announcement: Announcement, coin: Word) -> Self {
        Self { announcement, coin }
    }

    /// What was fixed before the coin.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// The public coin.
    pub fn coin(&self) -> &Word {
        &self.coin
    }

    /// Seed of all public challenges.
    pub fn seed(&self) -> Word {
        Hasher::new(Tag::LinkSeed)
            .word(&self.announcement.digest())
            .word(&self.coin)
            .finish()
    }

    /// The weights that the coin gives to members and columns.
    pub fn challenges(&self) -> LinkChallenges {
        LinkChallenges::new(
            self.seed(),
            self.announcement.modulus,
            self.announcement.columns.len(),
        )
    }

    const MAGIC: [u8; 4] = *b"SLKS";
    const VERSION: u8 = 1;

    /// Versioned canonical bytes: the announcement's fields, then the coin.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new(Self::MAGIC, Self::VERSION);
        self.announcement.write(&mut w);
        w.bytes(&self.coin);
        w.finish()
    }

    /// The statement of bytes.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing larger than the input is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes, Self::MAGIC, Self::VERSION)?;
        let announcement = Announcement::read(&mut r, 32)?;
        Ok(Self {
            announcement,
            coin: r.word()?,
        })
    }
}

serde_by_bytes!(Announcement);
serde_by_bytes!(LinkStatement);
