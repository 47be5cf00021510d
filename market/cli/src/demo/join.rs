//! The dataset on chain, and everybody's way into it.

use super::ask::interrupted;
use super::cast::{Cast, chain_error};
use super::members::{Member, Office};
use crate::args::DemoArgs;
use crate::error::{CliError, Kind};
use crate::progress::{Interrupt, Stage};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::AdditiveGroup;
use salus_circuits::commitment::{CommitmentKey, FixedBase};
use salus_circuits::keys::VerifyingKey;
use salus_circuits::words::g1_from_words;
use salus_contracts::client::{CircuitId, Client, ColumnIndex, DatasetId, NewDataset, SnapshotId};
use salus_contracts::deploy::{PaymentToken, deploy};
use salus_contracts::primitives::{B256, U256};
use salus_datasets::code::CodedDataset;
use salus_prover::proven::Chunk;
use salus_schema::codebook::Codebook;
use std::cell::RefCell;
use zeroize::Zeroize;

/// Part of a payment that members share, in basis points.
const REWARD_BPS: u16 = 7_000;
/// Consents of the demo lapse ten epochs after the start.
const EXPIRY_EPOCH: u64 = 10;
/// GA4GH DUO:0000042, general research use, as bit 0 of the purposes.
const GENERAL_RESEARCH: B256 = {
    let mut bytes = [0u8; 32];
    bytes[31] = 1;
    B256::new(bytes)
};
/// Gas a batch of registrations should stay under, so that any development node takes it.
const BATCH_GAS: usize = 8_000_000;

/// A dataset that nobody has joined yet.
pub struct Dataset {
    /// The contracts.
    pub client: Client,
    /// Its number.
    pub dataset: DatasetId,
    /// Gas of all deployments.
    pub deploy_gas: u64,
}

impl Dataset {
    /// Deploys the contracts, registers the circuits, gives the researcher tokens and creates the dataset.
    pub async fn create(
        cast: &Cast,
        codebook: &Codebook,
        keys: &[VerifyingKey],
        args: &DemoArgs,
        price: u128,
    ) -> Result<Self, CliError> {
        let words: Vec<Vec<u8>> = keys
            .iter()
            .map(|k| {
                k.words()
                    .into_iter()
                    .chain(k.dimension_words())
                    .flatten()
                    .collect()
            })
            .collect();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let chain = |e| chain_error(&e);
        let deployed = deploy(&cast.custodian, PaymentToken::Development, &words)
            .await
            .map_err(chain)?;
        let client = deployed.client;
        let token = client.deployment().token;
        let circuit = |i: usize| CircuitId(B256::from(keys[i].circuit_id()));
        let dataset = client
            .create_dataset(
                &cast.custodian,
                &NewDataset {
                    schema_hash: B256::from(codebook.hash()),
                    purposes: GENERAL_RESEARCH,
                    columns: u16::try_from(codebook.physical_len()).unwrap_or(u16::MAX),
                    circuit_k4: Some(circuit(0)),
                    circuits_k8: (keys.len() == 3).then(|| (circuit(1), circuit(2))),
                    min_cohort: args.min_cohort,
                    min_cell: args.min_cell,
                    reward_bps: REWARD_BPS,
                    epoch_length: 0,
                    custodian: cast.custodian.address(),
                    price: Some((token, price)),
                },
            )
            .await
            .map_err(chain)?
            .value;
        client
            .set_issuer(&cast.custodian, dataset, cast.issuer.address(), true)
            .await
            .map_err(chain)?;
        let purse = U256::from(price) * U256::from(10_000u64);
        client
            .mint(&cast.custodian, cast.researcher.address(), purse)
            .await
            .map_err(chain)?;
        Ok(Self {
            client,
            dataset,
            deploy_gas: deployed.gas.iter().map(|(_, g)| g).sum(),
        })
    }
}

/// Everybody who joined, and what the custodian holds of them.
pub struct Cohort {
    /// The dataset.
    pub dataset: DatasetId,
    /// The people, in order.
    pub members: Vec<Member>,
    /// The custodian's records.
    pub chunks: Vec<Chunk>,
    /// Column commitments of the snapshot, as the chain has them.
    pub commitments: Vec<Vec<G1Affine>>,
    /// The snapshot taken when everybody was in.
    pub snapshot: SnapshotId,
    /// Gas of all registrations.
    pub gas: u64,
    /// Gas of the snapshot.
    pub snapshot_gas: u64,
}

struct Tally {
    members: Vec<Member>,
    blindings: Vec<Vec<Fr>>,
    sums: Vec<Vec<G1Projective>>,
}

/// Registers everybody under their own key, batch by batch, and fixes the membership.
pub async fn opt_in(
    cast: &Cast,
    joined: &Dataset,
    basis: &CommitmentKey,
    coded: &CodedDataset,
    interrupt: &Interrupt,
) -> Result<Cohort, CliError> {
    let columns = coded.columns.len();
    let slots = basis.slots.len();
    let chunks = coded.people.div_ceil(slots);
    let blinding_base = FixedBase::new(&basis.blinding);
    let office = Office {
        chain_id: cast.chain.id(),
        registry: joined.client.deployment().registry,
        dataset: joined.dataset,
        basis,
        blinding_base: &blinding_base,
        purposes: GENERAL_RESEARCH,
        expiry_epoch: EXPIRY_EPOCH,
    };
    let batch = (BATCH_GAS / (60_000 + 8_000 * columns)).clamp(1, 64);
    let places: Vec<(usize, usize, usize)> = (0..chunks)
        .flat_map(|chunk| {
            let people = slots.min(coded.people - chunk * slots);
            (0..people)
                .step_by(batch)
                .map(move |from| (chunk, from, batch.min(people - from)))
        })
        .collect();
    let stage = Stage::begin("2-3 commit and opt in", coded.people as u64);
    let tally = RefCell::new(Tally {
        members: Vec::with_capacity(coded.people),
        blindings: vec![vec![Fr::ZERO; columns]; chunks],
        sums: vec![vec![G1Projective::ZERO; columns]; chunks],
    });
    let failed = RefCell::new(None);
    let batches = places.iter().map_while(|(chunk, from, people)| {
        if interrupt.stopped() {
            return None;
        }
        let first = chunk * slots + from;
        let codes: Vec<&[u8]> = coded
            .columns
            .iter()
            .map(|c| &c[first..first + people])
            .collect();
        match office.register(*chunk as u32, *from, &codes) {
            Ok(mut made) => {
                let mut tally = tally.borrow_mut();
                tally.members.append(&mut made.members);
                for (sum, r) in tally.blindings[*chunk].iter_mut().zip(&made.blindings) {
                    *sum += r;
                }
                for (sum, c) in tally.sums[*chunk].iter_mut().zip(&made.commitments) {
                    *sum += c;
                }
                made.blindings.zeroize();
                Some(made.opt_in)
            }
            Err(e) => {
                *failed.borrow_mut() = Some(e);
                None
            }
        }
    });
    let mut gas = 0;
    let sent = joined
        .client
        .opt_in_all(&cast.issuer, batches, cast.window, |index, mined| {
            gas += mined.gas_used;
            let (chunk, from, people) = places[index];
            stage.at((chunk * slots + from + people) as u64);
        })
        .await;
    if interrupt.stopped() {
        return Err(interrupted());
    }
    if let Some(e) = failed.into_inner() {
        return Err(CliError::new(
            Kind::Failed,
            "consent_failed",
            e,
            "Run the command again.",
        ));
    }
    sent.map_err(|e| chain_error(&e.source))?;
    let per_member = gas.checked_div(coded.people as u64).unwrap_or(0);
    stage.end(&format!(
        "{} people in {chunks} chunk{}, {per_member} gas each",
        coded.people,
        if chunks == 1 { "" } else { "s" }
    ));

    let taken = joined
        .client
        .snapshot(&cast.custodian, joined.dataset)
        .await
        .map_err(|e| chain_error(&e))?;
    let indices: Vec<ColumnIndex> = (0..columns as u16).map(ColumnIndex).collect();
    let points = joined
        .client
        .column_commitments(joined.dataset, taken.value, &indices)
        .await
        .map_err(|e| chain_error(&e))?;
    let commitments: Vec<Vec<G1Affine>> = points
        .iter()
        .map(|row| row.iter().map(g1_from_words).collect::<Result<_, _>>())
        .collect::<Result<_, _>>()
        .map_err(|e| {
            CliError::new(
                Kind::Invalid,
                "commitment_invalid",
                e,
                "Check the node that --rpc names.",
            )
        })?;
    let tally = tally.into_inner();
    let own: Vec<Vec<G1Affine>> = tally
        .sums
        .iter()
        .map(|row| G1Projective::normalize_batch(row))
        .collect();
    if own != commitments {
        return Err(CliError::new(
            Kind::Invalid,
            "commitments_differ",
            "the chain's column commitments are not the sum of what people registered",
            "Check the node that --rpc names.",
        ));
    }
    let records = tally
        .blindings
        .into_iter()
        .enumerate()
        .map(|(chunk, blindings)| {
            let codes = coded
                .columns
                .iter()
                .map(|c| {
                    let mut codes =
                        c[chunk * slots..coded.people.min((chunk + 1) * slots)].to_vec();
                    codes.resize(slots, 0);
                    codes
                })
                .collect();
            Chunk::new(codes, blindings)
        })
        .collect();
    Ok(Cohort {
        dataset: joined.dataset,
        members: tally.members,
        chunks: records,
        commitments,
        snapshot: taken.value,
        gas,
        snapshot_gas: taken.gas_used,
    })
}
