//! A verifying key whose trapdoor the tests know, and proofs simulated with it: the contracts' whole path runs
//! without a prover. Such a key is worthless outside tests.

use crate::member::{
    Basis, address_word, g2_words, hash, number, point_words, reduce, scalar_word, tag,
};
use alloy::primitives::{Address, B256, keccak256};
use ark_bn254::{Fr, G1Projective, G2Projective};
use ark_ec::PrimeGroup;
use ark_ff::{Field, UniformRand};
use rand::{SeedableRng, rngs::StdRng};
use salus_contracts::words::Word;

pub const COLUMNS: u64 = 4;
const CELLS: u64 = 1_024;
const VALUES: usize = 64;

fn g1(log: Fr) -> [Word; 2] {
    point_words(G1Projective::generator() * log)
}

fn g2(log: Fr) -> Vec<Word> {
    g2_words(G2Projective::generator() * log)
}

/// Trapdoor of a circuit with four columns and one part.
pub struct TrapdoorKey {
    alpha: Fr,
    beta: Fr,
    gammas: [Fr; 4],
    delta: Fr,
    ic_one: Fr,
    ic_gamma: Fr,
    ic_v: Fr,
    /// Key words and shape, as the verifier registers them.
    pub words: Vec<u8>,
}

impl TrapdoorKey {
    pub fn new(basis: &Basis) -> Self {
        let mut rng = StdRng::seed_from_u64(2);
        let mut fresh = || Fr::rand(&mut rng);
        let (alpha, beta, delta) = (fresh(), fresh(), fresh());
        let gammas = [fresh(), fresh(), fresh(), fresh()];
        let (ic_one, ic_gamma, ic_v) = (fresh(), fresh(), fresh());
        let mut words: Vec<Word> = g1(alpha).to_vec();
        for log in [beta, gammas[1], gammas[3], gammas[0], gammas[2], delta] {
            words.extend(g2(log));
        }
        for log in [ic_one, ic_gamma, ic_v, fresh()] {
            words.extend(g1(log));
        }
        for _ in 0..VALUES {
            words.extend(g1(fresh()));
        }
        assert_eq!(words.len(), 162);
        let slots = basis.slots.len() as u64;
        words.extend([slots, 0, slots, COLUMNS, CELLS].map(number));
        words.push(basis.root().0);
        words.extend(g1(basis.blinding));
        Self {
            alpha,
            beta,
            gammas,
            delta,
            ic_one,
            ic_gamma,
            ic_v,
            words: words.concat(),
        }
    }

    pub fn id(&self) -> B256 {
        keccak256(&self.words)
    }

    /// Twelve words that verify for one pass over one chunk, whose column commitments have these logarithms.
    pub fn simulate(
        &self,
        plan: &CountPlan,
        header: Word,
        columns: [Fr; 4],
        values: &[u64],
    ) -> Vec<Word> {
        let mut rng = StdRng::seed_from_u64(3);
        let mut preimage = vec![tag("zeta"), header, self.id().0, number(0), number(0)];
        preimage.extend(columns.iter().flat_map(|log| g1(*log)));
        let zeta = reduce(hash(&preimage));
        let aux = Fr::rand(&mut rng);
        // Direct answer, image CELLS, nothing masked; no result commitment.
        let flags = 1 + 2;
        let mut y = vec![number(0); VALUES];
        for (slot, value) in y.iter_mut().zip(values) {
            *slot = number(*value);
        }
        let mut preimage = vec![tag("gamma"), scalar_word(zeta), number(flags)];
        preimage.extend(g1(aux));
        preimage.extend([[0; 32]; 2]);
        preimage.extend(&y);
        let gamma = reduce(hash(&preimage));
        let published = y
            .iter()
            .rev()
            .fold(Fr::from(0), |sum, word| sum * gamma + reduce(*word));
        let folded = published + gamma.pow([VALUES as u64]) * plan.digest(gamma);
        let v = zeta + gamma * (Fr::from(flags) + gamma * folded);

        let x0 = self.ic_one + gamma * self.ic_gamma + v * self.ic_v;
        let column = columns
            .iter()
            .rev()
            .fold(Fr::from(0), |sum, log| sum * zeta + log);
        let (a, b) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        let rest = a * b
            - self.alpha * self.beta
            - x0 * self.gammas[0]
            - column * self.gammas[1]
            - aux * self.gammas[2];
        let c = rest * self.delta.inverse().unwrap();
        let mut words = g1(a).to_vec();
        words.extend(g2(b));
        words.extend(g1(c));
        words.extend(g1(aux));
        words.extend([[0; 32]; 2]);
        words
    }
}

/// Counts by the value of column 0: code `2 + t` is cell t, other codes fail; columns 1 to 3 are padding.
pub struct CountPlan {
    pub cells: u8,
}

impl CountPlan {
    /// Runs of all four tables: (length, value, slope).
    fn runs(&self) -> Vec<(u8, u16, u16)> {
        let fail = CELLS as u16;
        let mut runs = vec![
            (1, fail, 0),
            (self.cells, 0, 1),
            (254 - self.cells, fail, 0),
        ];
        runs.extend([(255, 0, 0); 3]);
        runs
    }

    pub fn bytes(&self) -> Vec<u8> {
        let runs = self.runs();
        let mut bytes = vec![1, COLUMNS as u8, 1, 1, self.cells];
        bytes.extend(0u64.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend((runs.len() as u16).to_be_bytes());
        for (length, value, slope) in runs {
            bytes.push(length);
            bytes.extend(value.to_be_bytes());
            bytes.extend(slope.to_be_bytes());
        }
        bytes
    }

    /// (1 - gamma)^2 * sum of entries times powers of gamma, term by term rather than in closed form.
    fn digest(&self, gamma: Fr) -> Fr {
        let mut sum = Fr::from(0);
        let mut power = Fr::from(1);
        for (length, value, slope) in self.runs() {
            for t in 0..u64::from(length) {
                sum += power * Fr::from(u64::from(value) + u64::from(slope) * t);
                power *= gamma;
            }
        }
        (Fr::from(1) - gamma).square() * sum
    }
}

pub fn header(chain_id: u64, market: Address, dataset: u32, snapshot: u32, query: B256) -> Word {
    hash(&[
        tag("header"),
        number(chain_id),
        address_word(market),
        number(dataset.into()),
        number(snapshot.into()),
        query.0,
    ])
}
