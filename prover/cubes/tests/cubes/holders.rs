//! All subset keys in one place, a small codebook, and people.

use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use salus_cubes::check::{Opener, ZeroForm, ZeroPoly};
use salus_cubes::encrypt::{Attestation, Identity, encrypt_cell};
use salus_cubes::key::{PublicKey, SecretShare, SubsetKey};
use salus_cubes::open;
use salus_cubes::ring::Poly;
use salus_cubes::upload::Upload;
use salus_schema::codebook::Codebook;
use salus_schema::cube::{Cube, ModulusClass};

pub const CODEBOOK: &str = r#"
version = 1
name = "cohort"

[[columns]]
name = "age"
kind = "exact"
min = 40
step = 1
max = 69

[[columns]]
name = "stage"
kind = "ordered"
values = ["I", "II", "III", "IV"]
missing = ["?"]

[[columns]]
name = "sex"
kind = "categorical"
values = ["male", "female"]
"#;

pub fn codebook() -> Codebook {
    Codebook::from_toml(CODEBOOK).unwrap()
}

/// 30 x 5 x 2 = 300 cells.
pub fn cube(class: ModulusClass) -> Cube {
    Cube::new("all", &codebook(), &[0, 1, 2], class).unwrap()
}

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn identity(number: u64) -> Identity {
    Identity::of(&[b"member", &number.to_be_bytes()])
}

/// Every subset key, as if all holders were one.
pub struct Holders {
    pub keys: Vec<SubsetKey>,
    pub shares: Vec<SecretShare>,
    pub public: PublicKey,
    pub binding: [u8; 32],
}

impl Holders {
    pub fn new(subsets: u8) -> Self {
        let seed = [7; 32];
        let keys: Vec<_> = (0..subsets).map(|i| SubsetKey::new([i + 1; 32])).collect();
        let public: Vec<Poly> = keys.iter().map(|key| key.public_share(&seed)).collect();
        Self {
            shares: keys.iter().map(SubsetKey::secret).collect(),
            public: PublicKey::from_shares(seed, &public),
            keys,
            binding: [9; 32],
        }
    }

    pub fn subsets(&self) -> u32 {
        self.keys.len() as u32
    }

    /// The phase without flooding: what nobody sees in a real committee.
    pub fn phase(&self, a: &Poly, b: &Poly) -> Poly {
        let mut phase = b.clone();
        for share in &self.shares {
            phase.sub_assign(&share.multiply(a));
        }
        phase
    }

    pub fn encrypt(
        &self,
        cube: &Cube,
        cell: usize,
        who: u64,
        rng: &mut impl rand_core::CryptoRngCore,
    ) -> (Identity, Upload, Attestation) {
        let identity = identity(who);
        let (upload, attestation) = encrypt_cell(&self.public, cube, cell, &identity, rng).unwrap();
        (identity, upload, attestation)
    }

    /// Members `0..count` with cells drawn from `seed`.
    pub fn members(&self, cube: &Cube, count: u64, seed: u64) -> Vec<Member> {
        let mut rng = rng(seed);
        (0..count)
            .map(|who| {
                let cell = rng.next_u32() as usize % cube.cells();
                let (identity, upload, attestation) = self.encrypt(cube, cell, who, &mut rng);
                Member {
                    cell,
                    identity,
                    upload,
                    attestation,
                }
            })
            .collect()
    }
}

pub struct Member {
    pub cell: usize,
    pub identity: Identity,
    pub upload: Upload,
    pub attestation: Attestation,
}

impl Opener for &Holders {
    type Error = Infallible;

    fn open_zero(&mut self, form: &ZeroForm) -> Result<bool, Infallible> {
        let subsets = self.subsets();
        let partials: Vec<u128> = self
            .keys
            .iter()
            .zip(&self.shares)
            .map(|(key, share)| open::partial_zero(form, share, key, subsets, &self.binding))
            .collect();
        Ok(open::combine_zero(form, subsets, &partials).unwrap())
    }

    fn open_zero_poly(&mut self, poly: &ZeroPoly) -> Result<bool, Infallible> {
        let subsets = self.subsets();
        let partials: Vec<Poly> = self
            .keys
            .iter()
            .zip(&self.shares)
            .map(|(key, share)| open::partial_zero_poly(poly, share, key, subsets, &self.binding))
            .collect();
        Ok(open::combine_zero_poly(poly, subsets, &partials).unwrap())
    }
}
