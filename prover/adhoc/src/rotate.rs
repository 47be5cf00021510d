//! Keyswitches and blind rotations of whole batches: every key word is read once per batch, not once per record.
//!
//! Both are bit-equal to tfhe's one-by-one functions: the keyswitch is integer arithmetic, and the rotation applies the
//! same products in the same order to each ciphertext.

use pulp::Arch;
use tfhe::core_crypto::fft_impl::fft64::crypto::bootstrap::batch_blind_rotate_assign_scratch;
use tfhe::core_crypto::prelude::*;

use crate::parameters::RING;

/// Ciphertexts per batch: their accumulators stay in the second-level cache.
pub(crate) const LANES: usize = 16;
/// Words of an accumulator: mask and body.
pub(crate) const ACCUMULATOR: usize = 2 * RING;
/// Words of an LWE ciphertext under the large key.
pub(crate) const LARGE: usize = RING + 1;

pub(crate) fn native() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

/// Transform plan and scratch memory of one thread.
pub(crate) struct Rotator {
    fft: Fft,
    buffers: ComputationBuffers,
    accumulators: Vec<u64>,
}

impl Rotator {
    pub(crate) fn new() -> Self {
        let fft = Fft::new(PolynomialSize(RING));
        let mut buffers = ComputationBuffers::new();
        buffers.resize(
            batch_blind_rotate_assign_scratch::<u64>(
                GlweSize(2),
                PolynomialSize(RING),
                CiphertextCount(LANES),
                fft.as_view(),
            )
            .unaligned_bytes_required(),
        );
        Self {
            fft,
            buffers,
            accumulators: Vec::new(),
        }
    }

    /// The accumulators of `lut` turned by the phases of `inputs` (under the large key), 4096 words each.
    ///
    /// `lut` is the body of a trivial accumulator. At most [`LANES`] inputs.
    pub(crate) fn rotate(
        &mut self,
        keyswitch: &LweKeyswitchKeyOwned<u64>,
        bootstrap: &FourierLweBootstrapKeyOwned,
        inputs: &[Vec<u64>],
        lut: &[u64],
    ) -> &[u64] {
        let small = keyswitch_batch(keyswitch, inputs);
        self.rotate_switched(bootstrap, &small, lut)
    }

    /// As [`Rotator::rotate`], of ciphertexts under the small key.
    pub(crate) fn rotate_switched(
        &mut self,
        bootstrap: &FourierLweBootstrapKeyOwned,
        small: &[LweCiphertextOwned<u64>],
        lut: &[u64],
    ) -> &[u64] {
        debug_assert!(small.len() <= LANES && lut.len() == RING);
        let log = PolynomialSize(RING).to_blind_rotation_input_modulus_log();
        let switched: Vec<_> = small
            .iter()
            .map(|input| {
                lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(input.as_view(), log)
            })
            .collect();
        self.accumulators.clear();
        for _ in small {
            self.accumulators.resize(self.accumulators.len() + RING, 0);
            self.accumulators.extend_from_slice(lut);
        }
        let list = GlweCiphertextListMutView::from_container(
            &mut self.accumulators[..],
            GlweSize(2),
            PolynomialSize(RING),
            native(),
        );
        bootstrap.as_view().batch_blind_rotate_assign(
            list,
            &switched,
            self.fft.as_view(),
            self.buffers.stack(),
        );
        &self.accumulators
    }
}

/// The inputs (under the large key) under the small key.
pub(crate) fn keyswitch_batch(
    key: &LweKeyswitchKeyOwned<u64>,
    inputs: &[Vec<u64>],
) -> Vec<LweCiphertextOwned<u64>> {
    let decomposer = SignedDecomposer::<u64>::new(
        key.decomposition_base_log(),
        key.decomposition_level_count(),
    );
    let size = key.output_lwe_size();
    let levels = key.decomposition_level_count().0;
    let mut outputs: Vec<Vec<u64>> = inputs
        .iter()
        .map(|input| {
            let mut out = vec![0; size.0];
            out[size.0 - 1] = input[RING];
            out
        })
        .collect();
    let arch = Arch::new();
    let mut digits = vec![0u64; levels];
    for (i, block) in key.iter().enumerate() {
        let rows: &[u64] = block.as_ref();
        for (input, out) in inputs.iter().zip(&mut outputs) {
            for (digit, term) in digits.iter_mut().zip(decomposer.decompose(input[i])) {
                *digit = term.value().wrapping_neg();
            }
            add_rows(arch, out, rows, &digits);
        }
    }
    outputs
        .into_iter()
        .map(|words| LweCiphertext::from_container(words, native()))
        .collect()
}

/// `out += sum_l digits[l] * rows[l]`: the rows of one input word stay in the first-level cache for a whole batch, and
/// each output is read and written once for all levels.
fn add_rows(arch: Arch, out: &mut [u64], rows: &[u64], digits: &[u64]) {
    let size = out.len();
    arch.dispatch(
        #[inline(always)]
        || {
            if let &[d0, d1, d2, d3] = digits {
                let (r0, rest) = rows.split_at(size);
                let (r1, rest) = rest.split_at(size);
                let (r2, r3) = rest.split_at(size);
                for ((((out, w0), w1), w2), w3) in out.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
                    let high = w0.wrapping_mul(d0).wrapping_add(w1.wrapping_mul(d1));
                    let low = w2.wrapping_mul(d2).wrapping_add(w3.wrapping_mul(d3));
                    *out = out.wrapping_add(high).wrapping_add(low);
                }
            } else {
                for (row, &digit) in rows.chunks_exact(size).zip(digits) {
                    for (out, word) in out.iter_mut().zip(row) {
                        *out = out.wrapping_add(word.wrapping_mul(digit));
                    }
                }
            }
        },
    );
}

/// The LWE ciphertext of coefficient `degree` of an accumulator, 2049 words.
pub(crate) fn coefficient(accumulator: &[u64], degree: usize) -> Vec<u64> {
    let glwe = GlweCiphertext::from_container(accumulator, PolynomialSize(RING), native());
    let mut out = LweCiphertext::new(0u64, LweSize(LARGE), native());
    extract_lwe_sample_from_glwe_ciphertext(&glwe, &mut out, MonomialDegree(degree));
    out.into_container()
}
