//! Forgeries that worked against weaker constructions and must fail against this one.

use super::*;

/// The forgery that makes separate gammas necessary: shift the difference between a forged and
/// the real data set into C_aux.
#[test]
fn single_gamma_forgery_works_against_one_gamma_and_fails_against_four() {
    let shape = ChunkSize::Tiny.shapes(CircuitClass::K4)[0];
    for single in [true, false] {
        let mut rng = ChaCha20Rng::seed_from_u64(21);
        let (mut family, mut circuit) = (
            FamilySecrets::random(&mut rng),
            CircuitSecrets::random(&mut rng),
        );
        if single {
            let gamma = Fr::rand(&mut rng);
            family = family.with_single_gamma(gamma);
            circuit = circuit.with_single_gamma(gamma);
        }
        let key = generate(shape, &family, &circuit).unwrap();
        let real = chunk(&key, 30);
        let mut forged = chunk(&key, 31).private;
        forged.blindings = real.private.blindings.clone();
        let pass = moments_pass();
        let truth = tally(&shape, &pass, &real.private.codes).values;
        let lie = tally(&shape, &pass, &forged.codes).values;
        assert_ne!(truth, lie);
        // Fiat-Shamir over the REAL commitments, witness from the forged data
        let p = public(&key, &real.columns, &pass, 0, Some(&lie));
        let zeta = p.zeta();
        let powers: Vec<Fr> = (0..4).map(|l| zeta.pow([l as u64])).collect();
        let difference: Vec<Fr> = (0..shape.slots)
            .map(|i| {
                (0..4)
                    .map(|l| {
                        powers[l]
                            * (Fr::from(forged.codes[l][i]) - Fr::from(real.private.codes[l][i]))
                    })
                    .sum()
            })
            .collect();
        let shift = G1Projective::msm(&key.commitment.slots, &difference).unwrap();
        let (proof, _) = stock_proof(&key, &p, &forged, shift);
        let verdict = verify_item(&AnswerItem {
            public: p,
            vk: &key.vk,
            proof: &proof,
        });
        if single {
            assert_eq!(verdict, Ok(()), "the attack is real against a single gamma");
        } else {
            assert_eq!(verdict, Err(VerifyError::Pairing));
        }
    }
}

/// With zeta = 0 inside the circuit, tables and cell sums collapse to zero, D becomes free and
/// absorbs whatever V demands. Where no slot that a part counts is taken, the rows that bind the
/// records hold as well: without S9 any answer could be proven.
#[test]
fn zero_zeta_forgery_over_empty_slots_fails() {
    let s = *KEY.shape();
    let pass = moments_pass();
    let mut rng = ChaCha20Rng::seed_from_u64(50);
    let codes = vec![vec![0u8; s.slots]; 4];
    let blindings: Vec<Fr> = (0..4).map(|_| Fr::rand(&mut rng)).collect();
    let columns: Vec<G1Affine> = codes
        .iter()
        .zip(&blindings)
        .map(|(c, r)| commit_column(&KEY, c, r))
        .collect();
    let private = AggregatePrivate { codes, blindings };
    // a thousand people of code 50, out of nowhere
    let mut lie = [0u64; RESULTS];
    lie[..3].copy_from_slice(&[1000, 50_000, 2_500_000]);
    let p = public(&KEY, &columns, &pass, 0, Some(&lie));
    let mut z = before_gamma(
        &s,
        &p,
        &private,
        &Blindings {
            aux: Fr::rand(&mut rng),
            res: Fr::ZERO,
        },
    );
    z[s.zeta()] = Fr::ZERO;
    z[s.g(0, 0)..s.aux_blinding()].fill(Fr::ZERO);
    let active = Fr::from(s.active() as u64);
    for l in 0..s.columns {
        z[s.mu(l * 256)] = active;
    }
    z[s.muq(50)] = Fr::from(1000u64);
    z[s.muq(s.cells)] = active - Fr::from(1000u64);
    let aux = G1Projective::msm(&KEY.aux, &z[s.zeta()..=s.aux_blinding()])
        .unwrap()
        .into_affine();
    let gamma = p.gamma(&p.zeta(), &aux, &G1Affine::zero());
    let inverse = gamma.inverse().unwrap();
    z[s.instance()..].fill(Fr::ZERO);
    z[Shape::GAMMA] = gamma;
    z[Shape::FOLD] = p.fold(&p.zeta(), &gamma);
    z[s.inv(0, 0)..s.z(0)].fill(inverse);
    for l in 0..s.columns {
        z[s.z(l * 256)] = active * inverse;
    }
    for q in [50, s.cells] {
        z[s.zq(q)] = z[s.muq(q)] * inverse;
    }
    z[s.fold_flags()] = z[Shape::FOLD] * inverse;
    let mut acc = (z[s.fold_flags()] - Fr::from(p.flags())) * inverse;
    for (t, y) in lie.iter().enumerate() {
        for v in [s.selected(t), s.kept(t), s.opened(t)] {
            z[v] = Fr::from(*y);
        }
        z[s.fold(t)] = acc;
        acc = (acc - Fr::from(*y)) * inverse;
    }
    z[s.difference(2)] = acc;
    let broken = broken_rows(&s, &z);
    assert_eq!(broken, [s.inverse_row()], "S9 alone stands in the way");
    let circuit = AggregateCircuit {
        shape: s,
        assignment: Some(z),
    };
    let stock =
        Stock::create_random_proof_with_reduction(circuit, &KEY.to_stock(), &mut rng).unwrap();
    let proof = Proof {
        a: stock.a,
        b: stock.b,
        c: stock.c,
        aux,
        res: G1Affine::zero(),
    };
    assert_eq!(
        verify_item(&AnswerItem {
            public: p,
            vk: &KEY.vk,
            proof: &proof
        }),
        Err(VerifyError::Pairing)
    );
}
