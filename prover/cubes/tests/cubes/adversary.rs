//! Named cheaters: uploads that are not a one-hot, or not their owner's.

use rand_core::{CryptoRngCore, RngCore};
use salus_cubes::encrypt::{
    Attestation, Identity, PROOF_SLOTS, REPETITIONS, challenge, encrypt_slots,
};
use salus_cubes::key::PublicKey;
use salus_cubes::parameters::Modulus;
use salus_cubes::ring::{DEGREE, Poly};
use salus_cubes::upload::{HEADER_BYTES, Upload};
use salus_schema::cube::Cube;

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// Counts in two cells.
    TwoOnes,
    /// Counts twice in one cell and takes a count from another.
    TwoAndMinusOne,
    /// Counts nowhere.
    Nowhere,
    /// Counts a thousand times.
    Thousand,
    /// Moves 999 people from one cell to another.
    ThousandMoved,
    /// A one-hot, and half the torus in another slot: doubles to zero.
    HalfTorus,
    /// The same with a quarter.
    QuarterTorus,
    /// The same with half the torus in every slot.
    HalfTorusEverywhere,
    /// Half a count in each of two cells.
    TwoHalves,
    /// A one-hot with noise of `2^95` in its slot.
    Noise95,
    /// A one-hot with noise of `2^100` in a hundred slots.
    OversizeNoise,
    /// A one-hot, attested for another cell.
    OtherCell,
    /// A one-hot, and a count in a slot that is no cell.
    UnusedSlot,
    /// A one-hot, and a value in a reserved slot.
    ReservedSlot,
}

impl Cheat {
    pub const ALL: [Self; 14] = [
        Self::TwoOnes,
        Self::TwoAndMinusOne,
        Self::Nowhere,
        Self::Thousand,
        Self::ThousandMoved,
        Self::HalfTorus,
        Self::QuarterTorus,
        Self::HalfTorusEverywhere,
        Self::TwoHalves,
        Self::Noise95,
        Self::OversizeNoise,
        Self::OtherCell,
        Self::UnusedSlot,
        Self::ReservedSlot,
    ];

    /// The upload, and the attestation that fits its plaintext best.
    pub fn upload(
        self,
        key: &PublicKey,
        cube: &Cube,
        identity: Identity,
        rng: &mut impl CryptoRngCore,
    ) -> (Upload, Attestation) {
        let modulus = Modulus::of(cube.modulus());
        let mut slots = Poly::zero();
        let cells = slots.coefficients_mut();
        // What the attestation pretends: cells and their values.
        let pretended: &[(usize, i64)] = match self {
            Self::TwoOnes => &[(3, 1), (9, 1)],
            Self::TwoAndMinusOne => &[(3, 2), (9, -1)],
            Self::Nowhere => &[],
            Self::Thousand => &[(3, 1000)],
            Self::ThousandMoved => &[(3, 1000), (9, -999)],
            Self::TwoHalves => &[],
            _ => &[(3, 1)],
        };
        for &(cell, value) in pretended {
            cells[cell] = modulus.encode(value);
        }
        let half = 1u128 << 127;
        let mut pretended = pretended;
        match self {
            Self::HalfTorus => cells[9] = half,
            Self::QuarterTorus => cells[9] = half / 2,
            Self::HalfTorusEverywhere => {
                for cell in &mut cells[..cube.cells()] {
                    *cell = cell.wrapping_add(half);
                }
            }
            Self::TwoHalves => {
                cells[3] = modulus.encode(1) / 2;
                cells[9] = modulus.encode(1) / 2;
            }
            Self::Noise95 => cells[3] += 1 << 95,
            Self::OversizeNoise => {
                for cell in &mut cells[..100] {
                    *cell = cell.wrapping_add(1 << 100);
                }
            }
            Self::OtherCell => pretended = &[(9, 1)],
            Self::UnusedSlot => cells[cube.cells()] = modulus.encode(1),
            Self::ReservedSlot => cells[DEGREE - 1] = modulus.encode(77),
            _ => {}
        }
        let mut x = [0; REPETITIONS];
        for (k, x) in x.iter_mut().enumerate() {
            *x = rng.next_u64() % modulus.p();
            slots.coefficients_mut()[PROOF_SLOTS + 2 * k] = modulus.encode_residue(*x);
            slots.coefficients_mut()[PROOF_SLOTS + 2 * k + 1] =
                modulus.encode_residue(*x * *x % modulus.p());
        }
        let upload = encrypt_slots(key, cube.id(), cube.modulus(), &slots, rng).unwrap();
        let attestation = attest(cube, &identity, &upload, pretended, &x);
        (upload, attestation)
    }
}

/// The attestation `<r, m> - x` for a pretended plaintext.
fn attest(
    cube: &Cube,
    identity: &Identity,
    upload: &Upload,
    pretended: &[(usize, i64)],
    x: &[u64; REPETITIONS],
) -> Attestation {
    let (class, hash) = (cube.modulus(), upload.hash());
    let modulus = Modulus::of(class);
    let values = std::array::from_fn(|k| {
        let r = challenge(identity, &hash, &modulus, cube.cells(), k);
        let product: i64 = pretended.iter().map(|(c, m)| r[*c] as i64 * m).sum();
        modulus.residue_of(product - x[k] as i64)
    });
    Attestation::new(class, identity, hash, values).unwrap()
}

/// A victim's upload with fresh randomness: other bytes, the same unknown plaintext.
pub fn rerandomise(
    key: &PublicKey,
    cube: &Cube,
    victim: &Upload,
    rng: &mut impl CryptoRngCore,
) -> Upload {
    let zero = encrypt_slots(key, cube.id(), cube.modulus(), &Poly::zero(), rng).unwrap();
    let (mut a, mut b) = victim.unpack();
    let (more_a, more_b) = zero.unpack();
    a.add_assign(&more_a);
    b.add_assign(&more_b);
    let mut bytes = victim.as_bytes()[..HEADER_BYTES].to_vec();
    for element in [a, b] {
        for plane in 1..4 {
            for x in element.coefficients() {
                bytes.extend(((x >> (32 * plane)) as u32).to_le_bytes());
            }
        }
    }
    Upload::from_bytes(bytes).unwrap()
}

/// The attestation for a copy of a victim's upload if the victim's cell is `guess`.
///
/// With the victim's attestation the pairs' residues follow from the guess; without it (`None`) they can only be drawn.
pub fn attest_copy(
    cube: &Cube,
    victim: (&Identity, &Upload, Option<&Attestation>),
    thief: &Identity,
    copy: &Upload,
    guess: usize,
    rng: &mut impl RngCore,
) -> Attestation {
    let (class, modulus) = (cube.modulus(), Modulus::of(cube.modulus()));
    let (owner, original, attestation) = victim;
    let hash = original.hash();
    let x = std::array::from_fn(|k| match attestation {
        Some(attestation) => {
            let r = challenge(owner, &hash, &modulus, cube.cells(), k);
            modulus.minus(r[guess], attestation.values()[k])
        }
        None => rng.next_u64() % class.modulus(),
    });
    attest(cube, thief, copy, &[(guess, 1)], &x)
}
