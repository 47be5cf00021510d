//! From a verified link to the relations that the committee opens.
//!
//! Every holder derives them itself, from the uploads it fetched and the statement it checked; nothing here is secret.

use salus_circuits::link::statement::uploads_hash;
use salus_circuits::link::{LinkStatement, REPETITIONS, StatementError, VerifiedLink};
use salus_circuits::words::Word;
use salus_cubes::check::ZeroForm;
use salus_cubes::link::combine;
use salus_cubes::upload::Upload;
use salus_schema::cube::Cube;

/// A member's upload and its place among the commitments.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Chunk of the dataset.
    pub chunk: u32,
    /// Slot of the chunk.
    pub slot: u32,
    /// The member's ciphertext of the cube.
    pub upload: &'a Upload,
}

/// Why a statement's relations cannot be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormsError {
    /// The proof that was verified is of another statement.
    #[error("the verified proof is of another announcement or coin")]
    Statement,
    /// Another cube, or other columns or modulus than the cube's.
    #[error("the statement is not about this cube")]
    Cube,
    /// The uploads are not in order.
    #[error(transparent)]
    Order(#[from] StatementError),
    /// Other uploads than announced.
    #[error("the uploads hash to another value than the announced one")]
    Uploads {
        /// Hash of the uploads given.
        found: Word,
    },
    /// An upload beyond the commitments' chunks and slots.
    #[error("there is no slot {slot} in chunk {chunk}")]
    Place {
        /// Chunk.
        chunk: u32,
        /// Slot.
        slot: u32,
    },
    /// Other mask ciphertexts than announced.
    #[error("the ciphertext of mask {repetition} is not the announced one")]
    Mask {
        /// Repetition.
        repetition: usize,
    },
    /// The ciphertexts do not combine.
    #[error(transparent)]
    Combine(#[from] salus_cubes::link::LinkError),
}

/// The relations of all repetitions: the link holds when every one opens to zero.
///
/// `uploads` are all uploads of the snapshot's cohort in increasing order of chunk and slot, checked before
/// ([`salus_cubes::check`]); `masks` the mask ciphertexts by repetition.
///
/// # Errors
/// [`FormsError`] where uploads, masks, cube or proof are not the statement's.
///
/// # Security
/// Open each relation once per announcement. That the uploads are the whole cohort's is for the caller to check.
pub fn zero_forms(
    statement: &LinkStatement,
    verified: &VerifiedLink,
    cube: &Cube,
    uploads: &[Placed<'_>],
    masks: &[Upload; REPETITIONS],
) -> Result<[ZeroForm; REPETITIONS], FormsError> {
    let announcement = statement.announcement();
    if *verified.seed() != statement.seed() {
        return Err(FormsError::Statement);
    }
    let columns = cube.columns().iter().map(|column| column.0);
    if cube.id() != announcement.context().cube
        || !columns.eq(announcement.columns().iter().copied())
        || cube.modulus().modulus() != announcement.modulus()
    {
        return Err(FormsError::Cube);
    }
    let found = uploads_hash(uploads.iter().map(|u| (u.chunk, u.slot, u.upload.hash())))?;
    if found != *announcement.uploads() {
        return Err(FormsError::Uploads { found });
    }
    let (chunks, slots) = (announcement.commitments().len(), announcement.slots());
    for placed in uploads {
        if placed.chunk as usize >= chunks || placed.slot as usize >= slots {
            return Err(FormsError::Place {
                chunk: placed.chunk,
                slot: placed.slot,
            });
        }
    }
    let mut announced = masks.iter().zip(announcement.masks());
    if let Some(repetition) = announced.position(|(mask, a)| mask.hash() != a.ciphertext) {
        return Err(FormsError::Mask { repetition });
    }
    let challenges = verified.challenges();
    let form = |e: usize| -> Result<ZeroForm, FormsError> {
        let mut rows: Vec<Option<Vec<u8>>> = vec![None; chunks];
        let rhos: Vec<u8> = uploads
            .iter()
            .map(|placed| {
                let chunk = placed.chunk as usize;
                rows[chunk].get_or_insert_with(|| challenges.members(e, chunk, slots))
                    [placed.slot as usize]
            })
            .collect();
        let weights: Vec<i64> = (0..cube.cells())
            .map(|cell| challenges.centred_cell_weight(e, &cube.codes_of(cell)))
            .collect();
        let members = uploads.iter().map(|placed| placed.upload);
        let value = verified.values()[e];
        Ok(combine(members, &rhos, &weights, &masks[e], value)?)
    };
    Ok([form(0)?, form(1)?, form(2)?, form(3)?, form(4)?])
}
