//! A faster BN254 scalar multiplication and a result cache for the embedded EVM.
//!
//! Registrations spend nearly all their time in `ecMul`. revm's default multiplies bit by bit; this
//! one splits the scalar with the curve's endomorphism (Gallant, Lambert, Vanstone, CRYPTO 2001) and
//! walks both halves with a signed window. Every transaction is also executed at least twice (gas
//! estimate, then the block), so results are remembered: the second execution looks them up.
//! Outputs and gas are byte for byte those of revm's own backend; the tests compare the two.

use alloy::primitives::{B256, Keccak256, U256, U512, map::B256HashMap};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup, scalar_mul::glv::GLVConfig};
use ark_ff::{BigInt, BigInteger, PrimeField, Zero};
use revm::precompile::{Crypto, DefaultCrypto, PrecompileHalt, install_crypto};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Results kept per generation of the cache; two generations of at most this many live at once
/// (about 150 bytes an entry, so some 20 MB at the limit).
const GENERATION: usize = 1 << 16;
/// Width of the signed windows: 2^(WINDOW - 2) odd multiples per half.
const WINDOW: usize = 5;
const TABLE: usize = 1 << (WINDOW - 2);

/// Installs the provider for this process. Later calls, and calls after someone else installed a
/// provider, change nothing: results are the same either way.
pub(super) fn install() {
    if install_crypto(CurveCrypto::default()) {
        tracing::debug!("installed the endomorphism-based BN254 provider");
    }
}

/// Drop-in replacement for revm's BN254 and ecrecover backends.
#[derive(Debug, Default)]
pub(crate) struct CurveCrypto {
    memo: Memo,
}

impl Crypto for CurveCrypto {
    fn bn254_g1_add(&self, p1: &[u8], p2: &[u8]) -> Result<[u8; 64], PrecompileHalt> {
        self.memo
            .point(Op::Add, &[p1, p2], || DefaultCrypto.bn254_g1_add(p1, p2))
    }

    fn bn254_g1_mul(&self, point: &[u8], scalar: &[u8]) -> Result<[u8; 64], PrecompileHalt> {
        self.memo
            .point(Op::Mul, &[point, scalar], || multiply(point, scalar))
    }

    fn bn254_pairing_check(&self, pairs: &[(&[u8], &[u8])]) -> Result<bool, PrecompileHalt> {
        let key = key(Op::Pairing, pairs.iter().flat_map(|(g1, g2)| [*g1, *g2]));
        if let Some(Answer::Holds(holds)) = self.memo.get(&key) {
            return Ok(holds);
        }
        let holds = DefaultCrypto.bn254_pairing_check(pairs)?;
        self.memo.put(key, Answer::Holds(holds));
        Ok(holds)
    }

    fn secp256k1_ecrecover(
        &self,
        sig: &[u8; 64],
        recid: u8,
        msg: &[u8; 32],
    ) -> Result<[u8; 32], PrecompileHalt> {
        let key = key(Op::Recover, [&sig[..], &[recid], &msg[..]]);
        if let Some(Answer::Word(word)) = self.memo.get(&key) {
            return Ok(word);
        }
        let word = DefaultCrypto.secp256k1_ecrecover(sig, recid, msg)?;
        self.memo.put(key, Answer::Word(word));
        Ok(word)
    }
}

/// `scalar * point` as the precompile defines it: 64 input bytes, any 256-bit scalar, infinity as zeros.
fn multiply(point: &[u8], scalar: &[u8]) -> Result<[u8; 64], PrecompileHalt> {
    let (point, scalar) = match (<&[u8; 64]>::try_from(point), <&[u8; 32]>::try_from(scalar)) {
        (Ok(point), Ok(scalar)) => (point, scalar),
        // The interface hands over padded input; other lengths take revm's own path.
        _ => return DefaultCrypto.bn254_g1_mul(point, scalar),
    };
    let (x, y) = (read(&point[..32])?, read(&point[32..])?);
    if x.is_zero() && y.is_zero() {
        return Ok([0; 64]);
    }
    let base = G1Affine::new_unchecked(x, y);
    if !base.is_on_curve() {
        return Err(PrecompileHalt::Bn254AffineGFailedToCreate);
    }
    Ok(encode(
        endomorphism_mul(base, Fr::from_be_bytes_mod_order(scalar)).into_affine(),
    ))
}

fn read(bytes: &[u8]) -> Result<Fq, PrecompileHalt> {
    let limbs = *U256::from_be_slice(bytes).as_limbs();
    Fq::from_bigint(BigInt(limbs)).ok_or(PrecompileHalt::Bn254FieldPointNotAMember)
}

fn encode(point: G1Affine) -> [u8; 64] {
    let mut out = [0; 64];
    if let Some((x, y)) = point.xy() {
        for (half, coordinate) in out.chunks_exact_mut(32).zip([x, y]) {
            half.copy_from_slice(&U256::from_limbs(coordinate.into_bigint().0).to_be_bytes::<32>());
        }
    }
    out
}

/// One half of a split scalar: sign and magnitude (about 128 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Half {
    negative: bool,
    magnitude: U256,
}

impl Half {
    /// Reads a small signed number out of two's complement.
    fn from_wrapped(value: U256) -> Self {
        let negative = value.bit(255);
        Self {
            negative,
            magnitude: if negative {
                value.wrapping_neg()
            } else {
                value
            },
        }
    }

    fn digits(&self) -> Vec<i64> {
        BigInt(*self.magnitude.as_limbs())
            .find_wnaf(WINDOW)
            .unwrap_or_default()
    }
}

/// Splits `k < r` into `k1 + lambda * k2 = k (mod r)` with both halves of about 128 bits.
///
/// The quotients are rounded down through a fixed-point reciprocal, so a half may exceed the optimal
/// size by a bit; the identity holds exactly whatever the rounding, because what is subtracted is
/// a lattice vector.
fn split(k: U256) -> (Half, Half) {
    // Rows of the lattice basis in ark-bn254's `SCALAR_DECOMP_COEFFS`: (-N11, N12), (-N12, -N22).
    const N11: U256 = U256::from_limbs([0x8211bbeb7d4f1128, 0x6f4d8248eeb859fc, 0, 0]);
    const N12: U256 = U256::from_limbs([0x89d3256894d213e3, 0, 0, 0]);
    const N22: U256 = U256::from_limbs([0x0be4e1541221250b, 0x6f4d8248eeb859fd, 0, 0]);
    // floor(2^256 * N22 / r) and floor(2^256 * N12 / r).
    const G1: U256 = U256::from_limbs([0x5398fd0300ff6565, 0x4ccef014a773d2d2, 2, 0]);
    const G2: U256 = U256::from_limbs([0xd91d232ec7e0b3d7, 2, 0, 0]);

    let high = |g: U256| -> U256 {
        let product: U512 = k.widening_mul(g);
        let limbs = product.into_limbs();
        U256::from_limbs([limbs[4], limbs[5], limbs[6], limbs[7]])
    };
    let (c1, c2) = (high(G1), high(G2));
    let k1 = k
        .wrapping_sub(c1.wrapping_mul(N11))
        .wrapping_sub(c2.wrapping_mul(N12));
    let k2 = c1.wrapping_mul(N12).wrapping_sub(c2.wrapping_mul(N22));
    (Half::from_wrapped(k1), Half::from_wrapped(k2))
}

fn endomorphism_mul(base: G1Affine, scalar: Fr) -> G1Projective {
    let (k1, k2) = split(U256::from_limbs(scalar.into_bigint().0));
    let mut odd = [G1Projective::from(base); TABLE];
    let twice = odd[0].double();
    for i in 1..TABLE {
        odd[i] = odd[i - 1] + twice;
    }
    // The endomorphism scales x, also in Jacobian coordinates, so the second table is nearly free.
    let image = odd.map(|p| <ark_bn254::g1::Config as GLVConfig>::endomorphism(&p));
    let (d1, d2) = (k1.digits(), k2.digits());
    let mut sum = G1Projective::zero();
    for i in (0..d1.len().max(d2.len())).rev() {
        if !sum.is_zero() {
            sum.double_in_place();
        }
        apply(&mut sum, &odd, d1.get(i), k1.negative);
        apply(&mut sum, &image, d2.get(i), k2.negative);
    }
    sum
}

fn apply(sum: &mut G1Projective, table: &[G1Projective; TABLE], digit: Option<&i64>, flip: bool) {
    let digit = digit.copied().unwrap_or(0);
    if digit == 0 {
        return;
    }
    // Digits are odd and below 2^(WINDOW - 1) in absolute value, so the index is inside the table.
    let entry = &table[(digit.unsigned_abs() / 2) as usize];
    if (digit < 0) != flip {
        *sum -= entry;
    } else {
        *sum += entry;
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Add = 1,
    Mul = 2,
    Pairing = 3,
    Recover = 4,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Point([u8; 64]),
    Word([u8; 32]),
    Holds(bool),
}

/// Successful results by Keccak-256 of operation and input; failures are cheap and not kept.
#[derive(Debug, Default)]
struct Memo {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: B256HashMap<Answer>,
    old: B256HashMap<Answer>,
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every update is one insert or one swap, so a panicking holder leaves valid maps.
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &B256) -> Option<Answer> {
        let maps = self.lock();
        maps.young.get(key).or_else(|| maps.old.get(key)).copied()
    }

    fn put(&self, key: B256, answer: Answer) {
        let mut maps = self.lock();
        if maps.young.len() >= GENERATION {
            maps.old = std::mem::take(&mut maps.young);
        }
        maps.young.insert(key, answer);
    }

    fn point(
        &self,
        op: Op,
        input: &[&[u8]],
        compute: impl FnOnce() -> Result<[u8; 64], PrecompileHalt>,
    ) -> Result<[u8; 64], PrecompileHalt> {
        let key = key(op, input.iter().copied());
        if let Some(Answer::Point(point)) = self.get(&key) {
            return Ok(point);
        }
        let point = compute()?;
        self.put(key, Answer::Point(point));
        Ok(point)
    }
}

fn key<'a>(op: Op, parts: impl IntoIterator<Item = &'a [u8]>) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update([op as u8]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ark_ff::UniformRand;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    const R: &str = "21888242871839275222246405745257275088548364400416034343698204186575808495617";
    const LAMBDA: &str =
        "21888242871839275217838484774961031246154997185409878258781734729429964517155";

    fn value(half: Half, r: U256) -> U256 {
        let magnitude = half.magnitude % r;
        if half.negative && !magnitude.is_zero() {
            r - magnitude
        } else {
            magnitude
        }
    }

    #[test]
    fn split_halves_recombine_and_are_short() {
        let (r, lambda): (U256, U256) = (R.parse().unwrap(), LAMBDA.parse().unwrap());
        let mut rng = StdRng::seed_from_u64(1);
        let mut scalars = vec![U256::ZERO, U256::ONE, r - U256::ONE, lambda, r - lambda];
        scalars.extend((0..2_000).map(|_| U256::from_limbs(rng.r#gen()) % r));
        for k in scalars {
            let (k1, k2) = split(k);
            let sum = value(k1, r).add_mod(value(k2, r).mul_mod(lambda, r), r);
            assert_eq!(sum, k);
            assert!(k1.magnitude.bit_len() <= 129 && k2.magnitude.bit_len() <= 129);
        }
    }

    #[test]
    fn multiplication_equals_the_default_backend() {
        let mut rng = StdRng::seed_from_u64(2);
        let r: U256 = R.parse().unwrap();
        let edge = [
            U256::ZERO,
            U256::ONE,
            U256::from(2),
            r - U256::ONE,
            r,
            r + U256::ONE,
            U256::MAX,
            LAMBDA.parse().unwrap(),
        ];
        for i in 0..200 {
            let point = encode(G1Affine::from(G1Projective::rand(&mut rng)));
            let scalar = edge
                .get(i)
                .copied()
                .unwrap_or_else(|| U256::from_limbs(rng.r#gen()))
                .to_be_bytes::<32>();
            let crypto = CurveCrypto::default();
            let expected = DefaultCrypto.bn254_g1_mul(&point, &scalar);
            assert_eq!(crypto.bn254_g1_mul(&point, &scalar), expected);
            assert_eq!(
                crypto.bn254_g1_mul(&point, &scalar),
                expected,
                "from memory"
            );
        }
    }

    #[test]
    fn bad_points_fail_as_in_the_default_backend() {
        let modulus = U256::from_limbs(Fq::MODULUS.0);
        let cases = [
            (U256::ONE, U256::ONE),
            (modulus, U256::from(2)),
            (U256::ONE + modulus, U256::from(2)),
            (U256::ZERO, modulus),
            (U256::MAX, U256::MAX),
            (U256::ZERO, U256::ZERO),
        ];
        for (x, y) in cases {
            let point = [x.to_be_bytes::<32>(), y.to_be_bytes::<32>()].concat();
            let scalar = U256::from(9).to_be_bytes::<32>();
            assert_eq!(
                CurveCrypto::default().bn254_g1_mul(&point, &scalar),
                DefaultCrypto.bn254_g1_mul(&point, &scalar)
            );
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let memo = Memo::default();
        for i in 0..(3 * GENERATION as u64) {
            memo.put(B256::from(U256::from(i)), Answer::Holds(true));
        }
        let maps = memo.lock();
        assert!(maps.young.len() + maps.old.len() <= 2 * GENERATION);
    }

    /// Prints the ratio that the module's opening claims; run with `--ignored --nocapture`.
    #[test]
    // A measurement, not a check: its figures depend on the machine, so it runs by hand only.
    #[ignore = "measurement"]
    fn measure_multiplication() {
        let mut rng = StdRng::seed_from_u64(3);
        let inputs: Vec<_> = (0..2_000)
            .map(|_| {
                let point = encode(G1Affine::from(G1Projective::rand(&mut rng)));
                (point, U256::from_limbs(rng.r#gen()).to_be_bytes::<32>())
            })
            .collect();
        type Mul<'a> = &'a dyn Fn(&[u8], &[u8]) -> Result<[u8; 64], PrecompileHalt>;
        let time = |f: Mul<'_>| {
            let start = std::time::Instant::now();
            for (p, s) in &inputs {
                std::hint::black_box(f(p, s)).unwrap();
            }
            start.elapsed().as_secs_f64() * 1e6 / inputs.len() as f64
        };
        let default = time(&|p, s| DefaultCrypto.bn254_g1_mul(p, s));
        let ours = time(&|p, s| multiply(p, s));
        let add = time(&|p, _| DefaultCrypto.bn254_g1_add(p, &inputs[0].0));
        println!("ecMul default {default:.1} us, ours {ours:.1} us; ecAdd {add:.1} us");

        use alloy::signers::{SignerSync, local::PrivateKeySigner};
        let message = B256::repeat_byte(5);
        let signature = PrivateKeySigner::random().sign_hash_sync(&message).unwrap();
        let bytes: [u8; 64] = signature.as_bytes()[..64].try_into().unwrap();
        let start = std::time::Instant::now();
        for _ in 0..500 {
            let recovered =
                DefaultCrypto.secp256k1_ecrecover(&bytes, signature.v().into(), &message.0);
            std::hint::black_box(recovered).unwrap();
        }
        let recover = start.elapsed().as_secs_f64() * 1e6 / 500.0;
        println!("ecrecover {recover:.1} us");
    }
}
