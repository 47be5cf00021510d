//! Keyswitches and blind rotations of whole batches: every key word is read once per batch, not once per record.
//!
//! Both are bit-equal to tfhe's one-by-one functions: the keyswitch is integer arithmetic, and the rotation applies the
//! same products in the same order to each ciphertext.

use std::sync::Once;

use aligned_vec::{AVec, avec};
use pulp::{Arch, Simd, WithSimd};
use tfhe::core_crypto::algorithms::polynomial_algorithms::polynomial_wrapping_monic_monomial_div;
use tfhe::core_crypto::fft_impl::fft64::c64;
use tfhe::core_crypto::fft_impl::fft64::crypto::bootstrap::blind_rotate_assign_scratch;
use tfhe::core_crypto::fft_impl::fft64::crypto::ggsw::FourierGgswCiphertextView;
use tfhe::core_crypto::fft_impl::fft64::math::fft::setup_custom_fft_plan;
use tfhe::core_crypto::fft_impl::fft64::math::polynomial::FourierPolynomialMutView;
use tfhe::core_crypto::prelude::*;
use tfhe_fft::ordered::FftAlgo;
use tfhe_fft::unordered::{Method, Plan};

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
    arch: Arch,
    fft: Fft,
    buffers: ComputationBuffers,
    accumulators: Vec<u64>,
    /// What is decomposed, then the states of its decomposition.
    states: AVec<u64>,
    /// One level of the decomposition.
    term: AVec<u64>,
    term_transform: AVec<c64>,
    product: AVec<c64>,
}

/// Fixes the transform of the ring's degree for this process, before the first key is made or read.
///
/// The library takes the algorithm that it finds fastest when it starts; two processes then round differently, and two
/// honest evaluators differ.
pub(crate) fn fix_transform() {
    static FIXED: Once = Once::new();
    FIXED.call_once(|| {
        let size = RING / 2;
        let method = Method::UserProvided {
            base_algo: FftAlgo::Dif4,
            base_n: size,
        };
        setup_custom_fft_plan(Plan::new(size, method));
    });
}

impl Rotator {
    pub(crate) fn new() -> Self {
        let fft = Fft::new(PolynomialSize(RING));
        let mut buffers = ComputationBuffers::new();
        buffers.resize(
            blind_rotate_assign_scratch::<u64>(GlweSize(2), PolynomialSize(RING), fft.as_view())
                .unaligned_bytes_required(),
        );
        let zero = c64 { re: 0.0, im: 0.0 };
        Self {
            arch: Arch::new(),
            fft,
            buffers,
            accumulators: Vec::new(),
            states: avec![0u64; ACCUMULATOR],
            term: avec![0u64; ACCUMULATOR],
            term_transform: avec![zero; RING / 2],
            product: avec![zero; RING],
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
        let mut accumulators = std::mem::take(&mut self.accumulators);
        accumulators.clear();
        let lut = Polynomial::from_container(lut);
        for input in &switched {
            accumulators.resize(accumulators.len() + ACCUMULATOR, 0);
            let start = accumulators.len() - RING;
            polynomial_wrapping_monic_monomial_div(
                &mut Polynomial::from_container(&mut accumulators[start..]),
                &lut,
                MonomialDegree(input.body()),
            );
        }
        let turns: Vec<Vec<usize>> = switched.iter().map(|s| s.mask().collect()).collect();
        for (i, bit) in bootstrap.as_view().into_ggsw_iter().enumerate() {
            for (turns, accumulator) in turns.iter().zip(accumulators.chunks_exact_mut(ACCUMULATOR))
            {
                if turns[i] != 0 {
                    self.multiplex(bit, accumulator, turns[i]);
                }
            }
        }
        self.accumulators = accumulators;
        &self.accumulators
    }

    /// `accumulator += bit * (X^turn * accumulator - accumulator)`, tfhe's external product with vectorised decomposition.
    fn multiplex(
        &mut self,
        bit: FourierGgswCiphertextView<'_>,
        accumulator: &mut [u64],
        turn: usize,
    ) {
        let base_log = bit.decomposition_base_log();
        let decomposer = SignedDecomposer::<u64>::new(base_log, bit.decomposition_level_count());
        let states = &mut self.states[..];
        self.arch.dispatch(
            #[inline(always)]
            || {
                for (polynomial, out) in accumulator
                    .chunks_exact(RING)
                    .zip(states.chunks_exact_mut(RING))
                {
                    turned_difference(polynomial, turn, out);
                }
                for state in states.iter_mut() {
                    *state = decomposer.init_decomposer_state(*state);
                }
            },
        );
        let mut fresh = true;
        for level in bit.into_levels() {
            let (states, term) = (&mut self.states[..], &mut self.term[..]);
            self.arch.dispatch(
                #[inline(always)]
                || {
                    for (state, term) in states.iter_mut().zip(term.iter_mut()) {
                        *term = next_digit(state, base_log.0);
                    }
                },
            );
            for (row, polynomial) in level.into_rows().zip(self.term.chunks_exact(RING)) {
                self.fft.as_view().forward_as_integer(
                    FourierPolynomialMutView {
                        data: &mut self.term_transform,
                    },
                    Polynomial::from_container(polynomial),
                    self.buffers.stack(),
                );
                self.arch.dispatch(MultiplyAdd {
                    out: &mut self.product,
                    row: row.data(),
                    factor: &self.term_transform,
                    fresh,
                });
                fresh = false;
            }
        }
        for (polynomial, product) in accumulator
            .chunks_exact_mut(RING)
            .zip(self.product.chunks_exact_mut(RING / 2))
        {
            self.fft.as_view().add_backward_in_place_as_torus(
                Polynomial::from_container(polynomial),
                FourierPolynomialMutView { data: product },
                self.buffers.stack(),
            );
        }
    }
}

/// `out = X^turn * polynomial - polynomial`, `turn` in 0..2 * RING.
#[inline(always)]
fn turned_difference(polynomial: &[u64], turn: usize, out: &mut [u64]) {
    let flip = if turn >= RING { u64::MAX } else { 0 };
    let shift = turn % RING;
    let (wrapped, moved) = out.split_at_mut(shift);
    // Conditional negation: (x ^ f) - f is x for f = 0 and -x for f = all ones.
    for ((out, from), own) in wrapped
        .iter_mut()
        .zip(&polynomial[RING - shift..])
        .zip(polynomial)
    {
        *out = (from ^ !flip).wrapping_sub(!flip).wrapping_sub(*own);
    }
    for ((out, from), own) in moved.iter_mut().zip(polynomial).zip(&polynomial[shift..]) {
        *out = (from ^ flip).wrapping_sub(flip).wrapping_sub(*own);
    }
}

/// The lowest balanced digit of a decomposition, which it removes.
#[inline(always)]
fn next_digit(state: &mut u64, base_log: usize) -> u64 {
    let digit = *state & ((1 << base_log) - 1);
    *state = (*state as i64 >> base_log) as u64;
    let carry = ((digit.wrapping_sub(1) | *state) & digit) >> (base_log - 1);
    *state = state.wrapping_add(carry);
    digit.wrapping_sub(carry << base_log)
}

/// `out[p] += row[p] * factor` for the polynomials `p` of a row, or `=` when `fresh`.
struct MultiplyAdd<'a> {
    out: &'a mut [c64],
    row: &'a [c64],
    factor: &'a [c64],
    fresh: bool,
}

impl WithSimd for MultiplyAdd<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factor = S::as_simd_c64s(self.factor).0;
        for (out, row) in self
            .out
            .chunks_exact_mut(RING / 2)
            .zip(self.row.chunks_exact(RING / 2))
        {
            let out = S::as_mut_simd_c64s(out).0;
            let row = S::as_simd_c64s(row).0;
            for ((out, row), factor) in out.iter_mut().zip(row).zip(factor) {
                *out = if self.fresh {
                    simd.mul_c64s(*row, *factor)
                } else {
                    simd.mul_add_c64s(*row, *factor, *out)
                };
            }
        }
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
