//! Linear forms over the slots of a record: no bootstrap, a few multiply-adds of the mask.

use pulp::Arch;

use crate::parameters::RING;

/// `constant + sum_i weight_i * slot_i`, all modulo 2^64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinearForm {
    pub(crate) weights: Vec<(u16, u64)>,
    pub(crate) constant: u64,
}

impl LinearForm {
    /// The sum of these slots, times `weight`.
    pub(crate) fn sum_of(slots: &[u16], weight: u64) -> Self {
        Self {
            weights: slots.iter().map(|&slot| (slot, weight)).collect(),
            constant: 0,
        }
    }

    /// Adds the LWE ciphertext of the form's value under the large key to `out`, 2049 words.
    ///
    /// `list` is a compact list: 2048 words of mask, then one body per slot. Slot `i` has the mask `X^i * mask`.
    pub(crate) fn add_to(&self, list: &[u64], scratch: &mut Vec<u64>, out: &mut [u64]) {
        let (mask, bodies) = list.split_at(RING);
        scratch.clear();
        scratch.extend(mask.iter().map(|word| word.wrapping_neg()));
        scratch.extend_from_slice(mask);
        let (out_mask, out_body) = out.split_at_mut(RING);
        let arch = Arch::new();
        let mut body = self.constant;
        for &(slot, weight) in &self.weights {
            let slot = usize::from(slot);
            multiply_add(
                arch,
                out_mask,
                &scratch[RING - slot..2 * RING - slot],
                weight,
            );
            body = body.wrapping_add(bodies[slot].wrapping_mul(weight));
        }
        out_body[0] = out_body[0].wrapping_add(body);
    }
}

/// `out += factor * words`, with the widest vectors that the machine has.
pub(crate) fn multiply_add(arch: Arch, out: &mut [u64], words: &[u64], factor: u64) {
    arch.dispatch(
        #[inline(always)]
        || {
            for (out, word) in out.iter_mut().zip(words) {
                *out = out.wrapping_add(word.wrapping_mul(factor));
            }
        },
    );
}

/// `out += words`.
pub(crate) fn add(out: &mut [u64], words: &[u64]) {
    for (out, word) in out.iter_mut().zip(words) {
        *out = out.wrapping_add(*word);
    }
}
