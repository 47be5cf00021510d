//! Calldata as typed actions.

use super::committee::{self, CommitteeAction};
use crate::{
    bindings::{
        IAnswerVerifier,
        ICohortRegistry::{self, DatasetParams, Member},
        IQueryMarket::{self, PassResult, QueryRequest},
        IRewardPool::{self, Claim},
        IToken,
    },
    client::{
        Answer, ChunkIndex, CommitteeId, Contract, DatasetId, KnowledgeProof, OptIn, PassValues,
        QueryId, Registration, RewardClaim, SealedSubmission, SlotIndex, SnapshotId,
    },
    deploy::{Deployment, artifacts},
    words::{Point, points},
};
use alloy::{
    json_abi::ContractObject,
    primitives::{Address, Bytes, U256},
    sol_types::{SolCall, SolType, SolValue, abi::AbiDecoderConfig, sol_data},
};
use std::sync::OnceLock;

/// What a transaction asks a contract to do. The contract may still refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Creates one of the contracts.
    Deploy(Creation),
    /// Registers a verifying key: key words followed by the circuit's shape.
    RegisterCircuit {
        /// 170 words if the contract is to accept them.
        words: Bytes,
    },
    /// Creates a dataset.
    CreateDataset(Box<DatasetParams>),
    /// Hands a dataset over.
    TransferAdmin {
        /// The dataset.
        dataset: DatasetId,
        /// Its next admin.
        admin: Address,
    },
    /// Lets an issuer register people, or stops it.
    SetIssuer {
        /// The dataset.
        dataset: DatasetId,
        /// The issuer.
        issuer: Address,
        /// Whether it may.
        allowed: bool,
    },
    /// Names another custodian.
    SetCustodian {
        /// The dataset.
        dataset: DatasetId,
        /// Who accepts answers from now on.
        custodian: Address,
    },
    /// Sets a price.
    SetPrice {
        /// The dataset.
        dataset: DatasetId,
        /// The token.
        token: Address,
        /// Least payment in base units, 0 for none.
        price: u128,
    },
    /// Registers people.
    OptIn(OptIn),
    /// Replaces a member's commitments.
    Rectify(Box<Rectification>),
    /// Removes a member.
    OptOut {
        /// The dataset.
        dataset: DatasetId,
        /// The chunk.
        chunk: ChunkIndex,
        /// The slot.
        slot: SlotIndex,
        /// What the slot holds.
        commitments: Vec<Point>,
        /// The member's signature; `None` when the member is the sender.
        signature: Option<[u8; 65]>,
    },
    /// Enters the next epoch.
    AdvanceEpoch(DatasetId),
    /// Removes the lapsed members of a chunk.
    ExpireChunk {
        /// The dataset.
        dataset: DatasetId,
        /// The chunk.
        chunk: ChunkIndex,
    },
    /// Fixes the membership.
    Snapshot(DatasetId),
    /// Pays for a query into escrow.
    Fund {
        /// What is asked and paid.
        request: QueryRequest,
        /// Whether an EIP-2612 permit came along.
        permit: bool,
    },
    /// Has an answer verified and paid.
    AcceptAnswer(Answer),
    /// Has a sealed answer checked and paid.
    AcceptSealedAnswer(Box<SealedSubmission>),
    /// Does something with committees or their bonds.
    Committee(CommitteeAction),
    /// Declines a query.
    Refuse {
        /// The query.
        query: QueryId,
        /// The custodian's code.
        reason: u16,
    },
    /// Ends a query whose deadline has passed.
    Refund(QueryId),
    /// Splits the payments of answered queries between members and custodian.
    Settle {
        /// The queries.
        queries: Vec<QueryId>,
    },
    /// Pays out a credit.
    Withdraw {
        /// The token.
        token: Address,
        /// Whose credit.
        account: Address,
    },
    /// Gives rewards to a snapshot's members.
    Deposit {
        /// The dataset.
        dataset: DatasetId,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The token.
        token: Address,
        /// Base units.
        amount: U256,
    },
    /// Claims one share; refused if nothing is due.
    Claim(RewardClaim),
    /// Claims several shares; those that are not due are passed over.
    ClaimMany(Vec<RewardClaim>),
    /// Creates tokens of the development token.
    Mint {
        /// For whom.
        to: Address,
        /// Base units.
        amount: U256,
    },
    /// Sends tokens.
    Transfer {
        /// To whom.
        to: Address,
        /// Base units.
        amount: U256,
    },
    /// Lets someone take tokens.
    Approve {
        /// Whom.
        spender: Address,
        /// Base units.
        amount: U256,
    },
    /// Calldata that is not the canonical encoding of anything above, or numbers that no contract accepts.
    Unknown,
}

/// A contract creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// Which contract's code it is.
    pub contract: Contract,
    /// Constructor arguments, ABI-encoded.
    pub arguments: Bytes,
}

/// A member's new commitments with the old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rectification {
    /// The dataset.
    pub dataset: DatasetId,
    /// The chunk.
    pub chunk: ChunkIndex,
    /// The new registration of the slot.
    pub update: Registration,
    /// The commitments that the slot holds.
    pub previous: Vec<Point>,
}

/// What a claim by signature shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimProof {
    /// The member's chunk.
    pub chunk: ChunkIndex,
    /// The member's slot.
    pub slot: SlotIndex,
    /// The member's signature.
    pub signature: [u8; 65],
}

impl Action {
    pub(super) fn read(to: Option<Address>, data: &[u8], at: &Deployment) -> Self {
        let action = match to {
            None => creation(data).map(Self::Deploy),
            Some(to) if to == at.registry => registry(data),
            Some(to) if to == at.market => market(data),
            Some(to) if to == at.pool => pool(data),
            Some(to) if to == at.verifier => verifier(data),
            Some(to) if Some(to) == at.committee => committee::read(data).map(Self::Committee),
            Some(to) if to == at.token => token(data),
            Some(_) => None,
        };
        action.unwrap_or(Self::Unknown)
    }
}

/// Rejects gaps, overlaps and dirty padding, so that decoding needs no more memory than the calldata is long (times a
/// small constant) and equal calls have equal bytes.
fn strict(length: usize) -> AbiDecoderConfig {
    AbiDecoderConfig::new()
        .strict(true)
        .memory_limit(16 * length + 4096)
}

pub(super) fn decode<C: SolCall>(data: &[u8]) -> Option<C> {
    C::abi_decode_with_config(data, strict(data.len())).ok()
}

/// Chooses among the functions of an interface by selector, strictly decoded.
pub(super) fn selector(data: &[u8]) -> Option<[u8; 4]> {
    data.first_chunk::<4>().copied()
}

pub(super) fn dataset_id(id: U256) -> Option<DatasetId> {
    u32::try_from(id).ok().map(DatasetId)
}

fn snapshot_id(id: U256) -> Option<SnapshotId> {
    u32::try_from(id).ok().map(SnapshotId)
}

fn registry(data: &[u8]) -> Option<Action> {
    use ICohortRegistry as R;
    Some(match selector(data)? {
        R::createDatasetCall::SELECTOR => {
            Action::CreateDataset(Box::new(decode::<R::createDatasetCall>(data)?.params))
        }
        R::transferAdminCall::SELECTOR => {
            let call = decode::<R::transferAdminCall>(data)?;
            Action::TransferAdmin {
                dataset: dataset_id(call.datasetId)?,
                admin: call.admin,
            }
        }
        R::setIssuerCall::SELECTOR => {
            let call = decode::<R::setIssuerCall>(data)?;
            Action::SetIssuer {
                dataset: dataset_id(call.datasetId)?,
                issuer: call.issuer,
                allowed: call.allowed,
            }
        }
        R::setCustodianCall::SELECTOR => {
            let call = decode::<R::setCustodianCall>(data)?;
            Action::SetCustodian {
                dataset: dataset_id(call.datasetId)?,
                custodian: call.custodian,
            }
        }
        R::setPriceCall::SELECTOR => {
            let call = decode::<R::setPriceCall>(data)?;
            Action::SetPrice {
                dataset: dataset_id(call.datasetId)?,
                token: call.token,
                price: call.price.to(),
            }
        }
        R::optInCall::SELECTOR => {
            let call = decode::<R::optInCall>(data)?;
            Action::OptIn(OptIn {
                dataset: dataset_id(call.datasetId)?,
                chunk: ChunkIndex(call.chunk),
                members: call
                    .batch
                    .into_iter()
                    .map(registration)
                    .collect::<Option<_>>()?,
            })
        }
        R::rectifyCall::SELECTOR => {
            let call = decode::<R::rectifyCall>(data)?;
            Action::Rectify(Box::new(Rectification {
                dataset: dataset_id(call.datasetId)?,
                chunk: ChunkIndex(call.chunk),
                update: registration(call.update)?,
                previous: whole_points(&call.previous)?,
            }))
        }
        R::optOutCall::SELECTOR => {
            let call = decode::<R::optOutCall>(data)?;
            let signature = match call.signature.len() {
                0 => None,
                _ => Some(call.signature.as_ref().try_into().ok()?),
            };
            Action::OptOut {
                dataset: dataset_id(call.datasetId)?,
                chunk: ChunkIndex(call.chunk),
                slot: SlotIndex(call.slot),
                commitments: whole_points(&call.commitments)?,
                signature,
            }
        }
        R::advanceEpochCall::SELECTOR => {
            Action::AdvanceEpoch(dataset_id(decode::<R::advanceEpochCall>(data)?.datasetId)?)
        }
        R::expireChunkCall::SELECTOR => {
            let call = decode::<R::expireChunkCall>(data)?;
            Action::ExpireChunk {
                dataset: dataset_id(call.datasetId)?,
                chunk: ChunkIndex(call.chunk),
            }
        }
        R::snapshotCall::SELECTOR => {
            Action::Snapshot(dataset_id(decode::<R::snapshotCall>(data)?.datasetId)?)
        }
        _ => return None,
    })
}

fn registration(member: Member) -> Option<Registration> {
    Some(Registration {
        slot: SlotIndex(member.slot),
        member: member.member,
        expiry_epoch: member.expiryEpoch,
        purposes: member.purposes,
        payout_id: member.payoutId,
        nonce: u16::try_from(member.nonce).ok()?,
        commitments: whole_points(&member.commitments)?,
        basis: [member.basisX.to_be_bytes(), member.basisY.to_be_bytes()],
        path: member.path,
        proof: KnowledgeProof {
            r: [member.rX.to_be_bytes(), member.rY.to_be_bytes()],
            s1: member.s1.to_be_bytes(),
            s2: member.s2.to_be_bytes(),
        },
        signature: member.signature.as_ref().try_into().ok()?,
    })
}

fn whole_points(words: &[U256]) -> Option<Vec<Point>> {
    words.len().is_multiple_of(2).then(|| points(words))
}

fn market(data: &[u8]) -> Option<Action> {
    use IQueryMarket as M;
    Some(match selector(data)? {
        M::fundCall::SELECTOR => Action::Fund {
            request: decode::<M::fundCall>(data)?.request,
            permit: false,
        },
        M::fundWithPermitCall::SELECTOR => Action::Fund {
            request: decode::<M::fundWithPermitCall>(data)?.request,
            permit: true,
        },
        M::acceptAnswerCall::SELECTOR => {
            let call = decode::<M::acceptAnswerCall>(data)?;
            Action::AcceptAnswer(Answer {
                query: QueryId(call.queryId),
                plan: call.plan,
                passes: call.results.into_iter().map(pass).collect(),
                proofs: call.proofs.iter().map(|word| word.to_be_bytes()).collect(),
            })
        }
        M::acceptSealedAnswerCall::SELECTOR => {
            let call = decode::<M::acceptSealedAnswerCall>(data)?;
            Action::AcceptSealedAnswer(Box::new(SealedSubmission {
                query: QueryId(call.queryId),
                plan: call.plan,
                passes: call.results.into_iter().map(pass).collect(),
                committee: CommitteeId(call.evidence.committeeId),
                ciphertext_hash: call.evidence.ciphertextHash,
                signatures: signatures(&call.evidence.signatures)?,
            }))
        }
        M::refuseCall::SELECTOR => {
            let call = decode::<M::refuseCall>(data)?;
            Action::Refuse {
                query: QueryId(call.queryId),
                reason: call.reason,
            }
        }
        M::refundExpiredCall::SELECTOR => {
            Action::Refund(QueryId(decode::<M::refundExpiredCall>(data)?.queryId))
        }
        M::settleCall::SELECTOR => {
            let queries = decode::<M::settleCall>(data)?.queryIds;
            Action::Settle {
                queries: queries.into_iter().map(QueryId).collect(),
            }
        }
        M::withdrawCall::SELECTOR => {
            let call = decode::<M::withdrawCall>(data)?;
            Action::Withdraw {
                token: call.token,
                account: call.account,
            }
        }
        _ => return None,
    })
}

fn pass(result: PassResult) -> PassValues {
    PassValues {
        mask: result.mask,
        rho: result.rho.to_be_bytes(),
        values: result
            .values
            .iter()
            .map(|word| word.to_be_bytes())
            .collect(),
    }
}

pub(super) fn signatures(bytes: &[u8]) -> Option<Vec<[u8; 65]>> {
    let (whole, rest) = bytes.as_chunks::<65>();
    rest.is_empty().then(|| whole.to_vec())
}

fn pool(data: &[u8]) -> Option<Action> {
    use IRewardPool as P;
    Some(match selector(data)? {
        P::depositCall::SELECTOR => {
            let call = decode::<P::depositCall>(data)?;
            Action::Deposit {
                dataset: dataset_id(call.datasetId)?,
                snapshot: snapshot_id(call.snapshotId)?,
                token: call.token,
                amount: call.amount,
            }
        }
        P::claimCall::SELECTOR => {
            let call = decode::<P::claimCall>(data)?;
            Action::Claim(claim(call.request, call.proof)?)
        }
        P::claimManyCall::SELECTOR => {
            let call = decode::<P::claimManyCall>(data)?;
            if call.requests.len() != call.proofs.len() {
                return None;
            }
            let claims = call.requests.into_iter().zip(call.proofs);
            Action::ClaimMany(
                claims
                    .map(|(request, proof)| claim(request, proof))
                    .collect::<Option<_>>()?,
            )
        }
        _ => return None,
    })
}

fn claim(request: Claim, proof: Bytes) -> Option<RewardClaim> {
    Some(RewardClaim {
        dataset: dataset_id(request.datasetId)?,
        snapshot: snapshot_id(request.snapshotId)?,
        token: request.token,
        nullifier: request.nullifier,
        recipient: request.recipient,
        fee: request.fee,
        paid_before: request.paidBefore,
        proof,
    })
}

/// What the proof of a claim by signature shows, `None` if it is not one.
pub fn claim_proof(proof: &[u8]) -> Option<ClaimProof> {
    type Shown = (sol_data::Uint<32>, sol_data::Uint<32>, sol_data::Bytes);
    let (chunk, slot, signature) =
        Shown::abi_decode_params_with_config(proof, strict(proof.len())).ok()?;
    Some(ClaimProof {
        chunk: ChunkIndex(chunk),
        slot: SlotIndex(slot),
        signature: signature.as_ref().try_into().ok()?,
    })
}

fn verifier(data: &[u8]) -> Option<Action> {
    use IAnswerVerifier as V;
    Some(Action::RegisterCircuit {
        words: decode::<V::registerCircuitCall>(data)?.words,
    })
}

fn token(data: &[u8]) -> Option<Action> {
    Some(match selector(data)? {
        IToken::mintCall::SELECTOR => {
            let call = decode::<IToken::mintCall>(data)?;
            Action::Mint {
                to: call.to,
                amount: call.amount,
            }
        }
        IToken::transferCall::SELECTOR => {
            let call = decode::<IToken::transferCall>(data)?;
            Action::Transfer {
                to: call.to,
                amount: call.value,
            }
        }
        IToken::approveCall::SELECTOR => {
            let call = decode::<IToken::approveCall>(data)?;
            Action::Approve {
                spender: call.spender,
                amount: call.value,
            }
        }
        _ => return None,
    })
}

fn creation_code() -> &'static [(Contract, Bytes)] {
    static CODE: OnceLock<Vec<(Contract, Bytes)>> = OnceLock::new();
    CODE.get_or_init(|| {
        artifacts()
            .into_iter()
            .map(|(contract, json)| {
                let object: ContractObject = serde_json::from_str(json)
                    .expect("the artifact is part of this crate and a test parses it");
                (contract, object.bytecode.unwrap_or_default())
            })
            .collect()
    })
}

fn creation(data: &[u8]) -> Option<Creation> {
    creation_code()
        .iter()
        .filter(|(_, code)| !code.is_empty())
        .find_map(|(contract, code)| {
            data.strip_prefix(code.as_ref()).map(|arguments| Creation {
                contract: *contract,
                arguments: Bytes::copy_from_slice(arguments),
            })
        })
}

/// Whether a creation has the constructor arguments that put the contracts of `at` together.
pub fn creation_matches(creation: &Creation, at: &Deployment) -> bool {
    let expected = match creation.contract {
        Contract::AnswerVerifier | Contract::Token => Vec::new(),
        Contract::CohortRegistry => at.verifier.abi_encode(),
        Contract::ClaimVerifier => at.registry.abi_encode(),
        Contract::RewardPool => (at.registry, at.claim_verifier).abi_encode_params(),
        Contract::QueryMarket => match at.committee {
            Some(committee) => (at.registry, at.verifier, at.pool, committee).abi_encode_params(),
            None => (at.registry, at.verifier, at.pool).abi_encode_params(),
        },
        Contract::Committee => (at.registry, at.pool, at.market).abi_encode_params(),
    };
    creation.arguments == expected
}
