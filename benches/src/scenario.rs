//! Synthetic chunks and the query the proving benches ask.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use salus_circuits::keys::{DevelopmentKey, ProvingKey};
use salus_circuits::layout::ChunkSize;
use salus_circuits::transcript::Context;
use salus_prover::proven::{Chunk, PartProver};
use salus_schema::plan::{CircuitClass, CodeTable, ColumnIndex, Image, MalformedPlan, Pass, Plan};
use std::sync::Arc;

/// Physical columns of every synthetic chunk.
pub const COLUMNS: usize = 8;

/// Provers of all parts of a class.
pub fn parts(size: ChunkSize, class: CircuitClass) -> anyhow::Result<Vec<PartProver>> {
    DevelopmentKey::family(size)
        .iter()
        .filter(|id| id.class == class)
        .map(|id| Ok(PartProver::new(Arc::new(id.generate(false)?))))
        .collect()
}

/// A full chunk of uniformly random codes 2..=255: nothing repeats more than it must.
pub fn chunk(slots: usize, people: usize, seed: u64) -> Chunk {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let codes = (0..COLUMNS)
        .map(|_| {
            (0..slots)
                .map(|i| {
                    if i < people {
                        rng.gen_range(2..=255)
                    } else {
                        0
                    }
                })
                .collect()
        })
        .collect();
    Chunk::new(codes, (0..COLUMNS).map(|_| Fr::rand(&mut rng)).collect())
}

/// Column commitments of a chunk.
pub fn commitments(key: &ProvingKey, chunk: &Chunk) -> Vec<G1Affine> {
    let private = chunk.private(&(0..COLUMNS).collect::<Vec<_>>());
    private
        .codes
        .iter()
        .zip(&private.blindings)
        .map(|(codes, r)| {
            let scalars: Vec<Fr> = codes.iter().map(|c| Fr::from(*c)).collect();
            (G1Projective::msm_unchecked(&key.commitment.slots, &scalars)
                + key.commitment.blinding * r)
                .into_affine()
        })
        .collect()
}

/// Count, sum and sum of squares of one column under range filters on the others; `queried` columns
/// in all.
///
/// # Errors
/// Never for 2 to 8 columns.
pub fn plan(queried: usize) -> Result<Plan, MalformedPlan> {
    let class = if queried <= 4 {
        CircuitClass::K4
    } else {
        CircuitClass::K8
    };
    let mut used = vec![(
        ColumnIndex(0),
        CodeTable::from_fn(class, |a| (a >= 2).then_some(u16::from(a)))?,
    )];
    for j in 1..queried {
        let filter = CodeTable::from_fn(class, |a| (30..=220).contains(&a).then_some(0))?;
        used.push((ColumnIndex(j as u16), filter));
    }
    Plan::new(
        class,
        vec![Pass::padded(class, used, Image::Moments, 3, 0)?],
    )
}

/// A context to prove in.
pub fn context() -> Context {
    Context {
        chain_id: 31337,
        market: [1; 20],
        dataset: 1,
        snapshot: 1,
        query_id: [1; 32],
    }
}
