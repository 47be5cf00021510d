#![allow(clippy::unwrap_used)]
//! The relation and its twin, honest proofs by the stock prover, and lying provers.

mod forgeries;

use super::assignment::{Blindings, after_gamma, before_gamma};
use super::relation::*;
use super::rows::{AggregateCircuit, for_each_row};
use super::verify::*;
use crate::keys::{CircuitSecrets, FamilySecrets, ProvingKey, generate};
use crate::layout::{ChunkSize, RESULTS, Shape};
use crate::qap::LeanQap;
use crate::transcript::Context;
use ark_bn254::{Bn254, Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field, UniformRand};
use ark_groth16::Groth16;
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystem};
use ark_std::rand::{Rng, SeedableRng};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use salus_schema::plan::{CircuitClass, CodeTable, ColumnIndex, Image, Pass};
use std::sync::LazyLock;

type Stock = Groth16<Bn254, LeanQap>;

static KEY: LazyLock<ProvingKey> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let shape = ChunkSize::Tiny.shapes(CircuitClass::K4)[0];
    generate(
        shape,
        &FamilySecrets::random(&mut rng),
        &CircuitSecrets::random(&mut rng),
    )
    .unwrap()
});

struct Chunk {
    private: AggregatePrivate,
    columns: Vec<G1Affine>,
}

/// A chunk of random records, some slots empty.
fn chunk(key: &ProvingKey, seed: u64) -> Chunk {
    let s = key.shape();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let present: Vec<bool> = (0..s.slots).map(|_| rng.gen_bool(0.8)).collect();
    let codes: Vec<Vec<u8>> = (0..s.columns)
        .map(|_| {
            present
                .iter()
                .map(|p| if *p { rng.gen_range(1..=9) } else { 0 })
                .collect()
        })
        .collect();
    let blindings: Vec<Fr> = (0..s.columns).map(|_| Fr::rand(&mut rng)).collect();
    let columns = codes
        .iter()
        .zip(&blindings)
        .map(|(c, r)| commit_column(key, c, r))
        .collect();
    Chunk {
        private: AggregatePrivate { codes, blindings },
        columns,
    }
}

fn commit_column(key: &ProvingKey, codes: &[u8], blinding: &Fr) -> G1Affine {
    let scalars: Vec<Fr> = codes.iter().map(|c| Fr::from(*c)).collect();
    let sum = G1Projective::msm(&key.commitment.slots, &scalars).unwrap()
        + key.commitment.blinding * blinding;
    sum.into_affine()
}

fn table(entry: impl FnMut(u8) -> Option<u16>) -> CodeTable {
    CodeTable::from_fn(CircuitClass::K4, entry).unwrap()
}

/// Counts by column 0 (codes 2..=5), where column 1 is in 3..=7; columns 2 and 3 only must be present.
fn cells_pass() -> Pass {
    let used = vec![
        (
            ColumnIndex(0),
            table(|a| (2..=5).contains(&a).then(|| u16::from(a) - 2)),
        ),
        (ColumnIndex(1), table(|a| (3..=7).contains(&a).then_some(0))),
        (ColumnIndex(2), table(|_| Some(0))),
        (ColumnIndex(3), table(|_| Some(0))),
    ];
    Pass::padded(CircuitClass::K4, used, Image::Cells, 4, 0).unwrap()
}

/// Moments of column 2 by column 0 (codes 2, 3).
fn moments_pass() -> Pass {
    let used = vec![
        (
            ColumnIndex(0),
            table(|a| (2..=3).contains(&a).then(|| (u16::from(a) - 2) * 256)),
        ),
        (ColumnIndex(1), table(|a| (a >= 2).then_some(0))),
        (ColumnIndex(2), table(|a| (a >= 2).then_some(u16::from(a)))),
        (ColumnIndex(3), table(|_| Some(0))),
    ];
    Pass::padded(CircuitClass::K4, used, Image::Moments, 6, 0).unwrap()
}

fn context() -> Context {
    Context {
        chain_id: 31337,
        market: [3; 20],
        dataset: 4,
        snapshot: 5,
        query_id: [6; 32],
    }
}

fn public<'a>(
    key: &ProvingKey,
    columns: &'a [G1Affine],
    pass: &'a Pass,
    mask: u64,
    opened: Option<&'a [u64; RESULTS]>,
) -> AggregatePublic<'a> {
    AggregatePublic {
        context: context(),
        circuit_id: key.vk.circuit_id(),
        pass_index: 0,
        chunk: 0,
        columns,
        pass,
        mask,
        opened,
    }
}

/// Proves with the stock prover; `alter` may falsify the assignment before gamma is drawn.
fn stock_proof(
    key: &ProvingKey,
    public: &AggregatePublic<'_>,
    private: &AggregatePrivate,
    shift_aux: G1Projective,
) -> (Proof, Fr) {
    let s = key.shape();
    let mut rng = ChaCha20Rng::seed_from_u64(77);
    let res_blinding = if public.opened.is_some() {
        Fr::ZERO
    } else {
        Fr::rand(&mut rng)
    };
    let blindings = Blindings {
        aux: Fr::rand(&mut rng),
        res: res_blinding,
    };
    let z = before_gamma(s, public, private, &blindings);
    let aux = (G1Projective::msm(&key.aux, &z[s.zeta()..=s.aux_blinding()]).unwrap() + shift_aux)
        .into_affine();
    let res = (G1Projective::msm(&key.vk.results, &z[s.y(0)..s.y(RESULTS)]).unwrap()
        + key.vk.results_blinding * blindings.res)
        .into_affine();
    let gamma = public.gamma(&public.zeta(), &aux, &res);
    let z = after_gamma(s, public, private, z, gamma);
    let circuit = AggregateCircuit {
        shape: *s,
        assignment: Some(z),
    };
    let stock =
        Stock::create_random_proof_with_reduction(circuit, &key.to_stock(), &mut rng).unwrap();
    (
        Proof {
            a: stock.a,
            b: stock.b,
            c: stock.c,
            aux,
            res,
        },
        res_blinding,
    )
}

fn satisfied(shape: &Shape, z: Vec<Fr>) -> bool {
    let cs = ConstraintSystem::<Fr>::new_ref();
    AggregateCircuit {
        shape: *shape,
        assignment: Some(z),
    }
    .generate_constraints(cs.clone())
    .unwrap();
    cs.finalize();
    cs.is_satisfied().unwrap()
}

/// Rows that an assignment does not satisfy.
fn broken_rows(shape: &Shape, z: &[Fr]) -> Vec<usize> {
    let value = |terms: &super::rows::Sparse| terms.iter().map(|(c, v)| *c * z[*v]).sum::<Fr>();
    let (mut broken, mut row) = (Vec::new(), 0);
    for_each_row(shape, |a, b, c| {
        if value(&a) * value(&b) != value(&c) {
            broken.push(row);
        }
        row += 1;
    });
    broken
}

#[test]
fn rows_stand_where_the_layout_says() {
    for size in [ChunkSize::Tiny, ChunkSize::Small] {
        for class in [CircuitClass::K4, CircuitClass::K8] {
            for s in size.shapes(class) {
                let mut rows = Vec::new();
                for_each_row(&s, |a, b, c| rows.push((a, b, c)));
                assert_eq!(rows.len(), s.rows());
                assert_eq!(
                    rows[s.slot_row(s.hi - 1)]
                        .1
                        .iter()
                        .filter(|(_, v)| *v == s.x(s.hi - 1))
                        .count(),
                    1
                );
                assert_eq!(rows[s.x_blinding_row()].1, vec![(Fr::ONE, s.x_blinding())]);
                assert_eq!(rows[s.result_row(63)].1, vec![(Fr::ONE, s.y(63))]);
                assert_eq!(rows[s.y_blinding_row()].1, vec![(Fr::ONE, s.y_blinding())]);
                assert_eq!(rows[s.lookup_row(1, 2)].0, vec![(Fr::ONE, s.inv(1, 2))]);
                assert_eq!(rows[s.table_row(300)].0, vec![(Fr::ONE, s.z(300))]);
                assert_eq!(rows[s.sum_row(7)].0, vec![(Fr::ONE, s.zq(7))]);
                assert_eq!(rows[s.power_row(s.columns)].2, vec![(Fr::ONE, s.beta())]);
                assert_eq!(rows[s.horner_row(0)].2[0], (Fr::ONE, s.horner(0)));
                assert_eq!(rows[s.difference_row(2)].0, vec![(Fr::ONE, s.beta())]);
                assert_eq!(rows[s.mask_row(9)].2, vec![(Fr::ONE, s.kept(9))]);
                assert_eq!(rows[s.open_row(9)].2, vec![(Fr::ONE, s.opened(9))]);
                assert_eq!(rows[s.boolean_row(RESULTS)].0, vec![(Fr::ONE, s.direct())]);
                assert_eq!(rows[s.fold_row(RESULTS + 1)].2[0], (Fr::ONE, Shape::FOLD));
                assert_eq!(rows[s.inverse_row()].1, vec![(Fr::ONE, s.zeta_inverse())]);
                assert_eq!(rows[s.trivial_row(3)].1, vec![(Fr::ONE, s.aux_blinding())]);
            }
        }
    }
}

#[test]
fn bases_of_slots_and_results_appear_in_their_own_row_only() {
    // What lets all circuits of a family share the commitment key (SPEC.md 5.1).
    for s in ChunkSize::Tiny.shapes(CircuitClass::K8) {
        let mut count = vec![0usize; s.variables()];
        for_each_row(&s, |a, b, c| {
            for (coefficient, v) in a.iter().chain(&c) {
                assert!(
                    !(Shape::BLOCK1..s.zeta()).contains(v) && !(s.y(0)..s.instance()).contains(v),
                    "{coefficient} {v}"
                );
            }
            b.iter().for_each(|(_, v)| count[*v] += 1);
        });
        assert!(
            (Shape::BLOCK1..s.zeta())
                .chain(s.y(0)..s.instance())
                .all(|v| count[v] == 1)
        );
    }
}

#[test]
fn native_relation_and_constraints_agree() {
    let shapes = [ChunkSize::Tiny.shapes(CircuitClass::K4)[0]];
    for (pass, opened, mask) in [
        (cells_pass(), true, 0),
        (cells_pass(), false, 0b0010),
        (moments_pass(), true, 0b100100),
        (moments_pass(), false, 0),
    ] {
        for s in &shapes {
            let c = chunk(&KEY, 5);
            let values = masked(&tally(s, &pass, &c.private.codes).values, mask);
            let public = public(&KEY, &c.columns, &pass, mask, opened.then_some(&values));
            let mut rng = ChaCha20Rng::seed_from_u64(3);
            let gamma = Fr::rand(&mut rng);
            let z = before_gamma(
                s,
                &public,
                &c.private,
                &Blindings {
                    aux: Fr::rand(&mut rng),
                    res: Fr::ZERO,
                },
            );
            let z = after_gamma(s, &public, &c.private, z, gamma);
            assert!(satisfied(s, z.clone()));
            // every single variable is pinned by some row
            for v in [
                s.g(1, 3),
                s.u(700),
                s.mu(260),
                s.muq(1),
                s.y(2),
                s.x(4),
                s.inv(2, 2),
                s.invq(9),
                s.zeta(),
                s.mask(1),
                s.direct(),
                s.image(),
                Shape::FOLD,
                Shape::GAMMA,
            ] {
                let mut broken = z.clone();
                broken[v] += Fr::ONE;
                assert!(!satisfied(s, broken), "variable {v} is free");
            }
        }
    }
}

#[test]
fn tally_counts_what_a_plain_reading_counts() {
    let s = KEY.shape();
    let c = chunk(&KEY, 8);
    let codes = &c.private.codes;
    let cells = tally(s, &cells_pass(), codes).values;
    let moments = tally(s, &moments_pass(), codes).values;
    for group in 0..4u8 {
        let n = (0..s.slots)
            .filter(|i| codes[0][*i] == group + 2 && (3..=7).contains(&codes[1][*i]))
            .count();
        assert_eq!(cells[usize::from(group)], n as u64);
    }
    for group in 0..2u8 {
        let members: Vec<u64> = (0..s.slots)
            .filter(|i| codes[0][*i] == group + 2 && codes[1][*i] >= 2 && codes[2][*i] >= 2)
            .map(|i| u64::from(codes[2][i]))
            .collect();
        let g = usize::from(group) * 3;
        assert_eq!(moments[g], members.len() as u64);
        assert_eq!(moments[g + 1], members.iter().sum::<u64>());
        assert_eq!(moments[g + 2], members.iter().map(|m| m * m).sum::<u64>());
    }
}

#[test]
fn honest_proofs_verify_and_lies_do_not() {
    let c = chunk(&KEY, 11);
    let pass = moments_pass();
    let values = tally(KEY.shape(), &pass, &c.private.codes).values;
    let p = public(&KEY, &c.columns, &pass, 0, Some(&values));
    let (proof, _) = stock_proof(&KEY, &p, &c.private, G1Projective::ZERO);
    let check = |public: AggregatePublic<'_>, proof: &Proof| {
        verify_item(&AnswerItem {
            public,
            vk: &KEY.vk,
            proof,
        })
    };
    assert_eq!(check(p.clone(), &proof), Ok(()));

    // wrong by one
    let mut wrong = values;
    wrong[1] += 1;
    let lie = AggregatePublic {
        opened: Some(&wrong),
        ..p.clone()
    };
    assert_eq!(check(lie.clone(), &proof), Err(VerifyError::Pairing));
    // and a prover that proves the lie as well as it can
    let (forced, _) = stock_proof_unsatisfied(&lie, &c.private);
    assert_eq!(check(lie, &forced), Err(VerifyError::Pairing));

    // replay in any other context
    let contexts = [
        Context {
            chain_id: 1,
            ..context()
        },
        Context {
            market: [4; 20],
            ..context()
        },
        Context {
            dataset: 5,
            ..context()
        },
        Context {
            snapshot: 6,
            ..context()
        },
        Context {
            query_id: [7; 32],
            ..context()
        },
    ];
    for context in contexts {
        assert_eq!(
            check(
                AggregatePublic {
                    context,
                    ..p.clone()
                },
                &proof
            ),
            Err(VerifyError::Pairing),
            "{context:?}"
        );
    }
    assert_eq!(
        check(
            AggregatePublic {
                chunk: 1,
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    assert_eq!(
        check(
            AggregatePublic {
                pass_index: 1,
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    assert_eq!(
        check(
            AggregatePublic {
                circuit_id: [1; 32],
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    // swapped columns
    let mut swapped = c.columns.clone();
    swapped.swap(0, 1);
    assert_eq!(
        check(
            AggregatePublic {
                columns: &swapped,
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    // other tables
    let other = cells_pass();
    assert_eq!(
        check(
            AggregatePublic {
                pass: &other,
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    // another mask
    assert_eq!(
        check(
            AggregatePublic {
                mask: 4,
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    // hidden instead of direct, and results smuggled into a direct answer
    assert_eq!(
        check(
            AggregatePublic {
                opened: None,
                ..p.clone()
            },
            &proof
        ),
        Err(VerifyError::Pairing)
    );
    let smuggled = Proof {
        res: KEY.vk.results[0],
        ..proof
    };
    assert_eq!(
        check(p.clone(), &smuggled),
        Err(VerifyError::HiddenResults { item: 0 })
    );
    // every proof element matters
    for k in 0..4 {
        let mut t = proof;
        match k {
            0 => t.a = (t.a + KEY.vk.alpha).into_affine(),
            1 => t.b = (t.b + KEY.vk.beta).into_affine(),
            2 => t.c = (t.c + KEY.vk.alpha).into_affine(),
            _ => t.aux = (t.aux + KEY.vk.alpha).into_affine(),
        }
        assert_eq!(
            check(p.clone(), &t),
            Err(VerifyError::Pairing),
            "element {k}"
        );
    }
}

/// A prover that runs the honest algorithm on a false statement.
fn stock_proof_unsatisfied(
    public: &AggregatePublic<'_>,
    private: &AggregatePrivate,
) -> (Proof, Fr) {
    // The stock prover's witness map does not check satisfaction in release builds of the matrices,
    // so the proof comes out; it just must not verify.
    stock_proof(&KEY, public, private, G1Projective::ZERO)
}

#[test]
fn empty_slots_never_count() {
    // Even a pass that lets every code through counts members only.
    let pass = Pass::padded(
        CircuitClass::K4,
        vec![(ColumnIndex(0), table(|_| Some(0)))],
        Image::Cells,
        1,
        0,
    )
    .unwrap();
    let mut c = chunk(&KEY, 12);
    let first = c.private.codes[0].clone();
    let blinding = c.private.blindings[0];
    c.private.codes = vec![first.clone(); 4];
    c.private.blindings = vec![blinding; 4];
    let columns = vec![c.columns[0]; 4];
    let members = first.iter().filter(|a| **a != 0).count() as u64;
    let values = tally(KEY.shape(), &pass, &c.private.codes).values;
    assert_eq!(values[0], members);
    let p = public(&KEY, &columns, &pass, 0, Some(&values));
    let (proof, _) = stock_proof(&KEY, &p, &c.private, G1Projective::ZERO);
    assert_eq!(
        verify_item(&AnswerItem {
            public: p.clone(),
            vk: &KEY.vk,
            proof: &proof
        }),
        Ok(())
    );
    // claiming that the empty slots are members too
    let mut all = [0u64; RESULTS];
    all[0] = KEY.shape().slots as u64;
    let lie = AggregatePublic {
        opened: Some(&all),
        ..p
    };
    let (forced, _) = stock_proof_unsatisfied(&lie, &c.private);
    assert_eq!(
        verify_item(&AnswerItem {
            public: lie,
            vk: &KEY.vk,
            proof: &forced
        }),
        Err(VerifyError::Pairing)
    );
}

#[test]
fn blinding_bases_hide() {
    for p in [
        KEY.vk.blinding,
        KEY.vk.results_blinding,
        *KEY.aux.last().unwrap(),
    ] {
        assert!(!p.is_zero());
    }
    assert!(KEY.commitment.slots.iter().all(|p| !p.is_zero()));
}

#[test]
fn proofs_round_trip_through_words_and_refuse_bad_points() {
    let c = chunk(&KEY, 40);
    let pass = cells_pass();
    let p = public(&KEY, &c.columns, &pass, 0, None);
    let (proof, _) = stock_proof(&KEY, &p, &c.private, G1Projective::ZERO);
    let words = proof.to_words();
    assert_eq!(Proof::from_words(&words), Ok(proof));
    for i in 0..PROOF_WORDS {
        let mut bad = words;
        bad[i] = [0xff; 32];
        assert!(Proof::from_words(&bad).is_err(), "word {i}");
        bad[i] = words[i];
        bad[i][31] ^= 1;
        assert!(Proof::from_words(&bad).is_err(), "word {i} off curve");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn table_fold_equals_the_second_difference(seed in any::<u64>()) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let used = (0..4u16).map(|l| {
            let kind = rng.gen_range(0..4);
            (ColumnIndex(l), table(|a| match kind {
                0 => Some(0),
                1 => (a > 100).then_some(u16::from(a)),
                2 => rng.gen_bool(0.5).then_some(3),
                _ => Some(rng.gen_range(0..=1023)),
            }))
        }).collect();
        let pass = Pass::padded(CircuitClass::K4, used, Image::Cells, 1, 0).unwrap();
        let gamma = Fr::rand(&mut rng);
        let mut sum = Fr::ZERO;
        let mut power = Fr::ONE;
        for t in pass.tables() {
            for a in 1..=255u8 {
                sum += power * Fr::from(t.get(a));
                power *= gamma;
            }
        }
        prop_assert_eq!(table_fold(&pass, &gamma), sum * (Fr::ONE - gamma).square());
    }
}
