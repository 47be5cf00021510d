//! Calls of the committee contract as typed actions.

use super::action::{dataset_id, decode, selector, signatures};
use crate::{
    bindings::ICommittee,
    client::{CommitteeId, CommitteeKind, DatasetId, NewCommittee},
};
use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};

/// What a transaction asks the committee contract to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitteeAction {
    /// Registers a committee.
    Register {
        /// Its content.
        committee: NewCommittee,
        /// One per member, in their order, if the contract is to accept them.
        acceptances: Vec<[u8; 65]>,
    },
    /// Names a dataset's committee.
    Bind {
        /// The dataset.
        dataset: DatasetId,
        /// The committee.
        committee: CommitteeId,
    },
    /// Takes a dataset's committee away.
    Unbind {
        /// The dataset.
        dataset: DatasetId,
        /// Which one.
        kind: CommitteeKind,
    },
    /// Shows that a member signed two answers to one query.
    Report(Box<Report>),
    /// Adds to a bond.
    DepositBond {
        /// Whose bond towards what.
        bond: BondKey,
        /// Base units.
        amount: U256,
    },
    /// The sending member gives notice of taking a part of its bond.
    GiveNotice {
        /// The bond; its member is the sender.
        bond: BondKey,
        /// Base units.
        amount: U256,
    },
    /// Pays the sending member what it gave notice of.
    WithdrawBond(BondKey),
    /// Slashes the bond of a member that equivocated.
    SlashBond(BondKey),
}

/// Names a bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BondKey {
    /// The committee.
    pub committee: CommitteeId,
    /// The member; zero where the sender is meant.
    pub member: Address,
    /// The dataset.
    pub dataset: DatasetId,
    /// The token.
    pub token: Address,
}

/// Two answers that a report says one member signed. They may be about numbers that no dataset has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The committee.
    pub committee: CommitteeId,
    /// The answers.
    pub answers: [ICommittee::SealedAnswer; 2],
    /// Their signatures.
    pub signatures: [[u8; 65]; 2],
}

pub(super) fn read(data: &[u8]) -> Option<CommitteeAction> {
    use ICommittee as C;
    let key = |committee, member, dataset, token| {
        Some(BondKey {
            committee: CommitteeId(committee),
            member,
            dataset: dataset_id(dataset)?,
            token,
        })
    };
    Some(match selector(data)? {
        C::registerCall::SELECTOR => {
            let call = decode::<C::registerCall>(data)?;
            CommitteeAction::Register {
                committee: NewCommittee {
                    kind: CommitteeKind::from_code(call.params.kind)?,
                    threshold: call.params.threshold,
                    key_hash: call.params.keyHash,
                    members: call.params.members,
                },
                acceptances: signatures(&call.acceptances)?,
            }
        }
        C::bindCall::SELECTOR => {
            let call = decode::<C::bindCall>(data)?;
            CommitteeAction::Bind {
                dataset: dataset_id(call.datasetId)?,
                committee: CommitteeId(call.committeeId),
            }
        }
        C::unbindCall::SELECTOR => {
            let call = decode::<C::unbindCall>(data)?;
            CommitteeAction::Unbind {
                dataset: dataset_id(call.datasetId)?,
                kind: CommitteeKind::from_code(call.kind)?,
            }
        }
        C::reportEquivocationCall::SELECTOR => {
            let call = decode::<C::reportEquivocationCall>(data)?;
            CommitteeAction::Report(Box::new(Report {
                committee: CommitteeId(call.committeeId),
                answers: [call.answerA, call.answerB],
                signatures: [
                    call.signatureA.as_ref().try_into().ok()?,
                    call.signatureB.as_ref().try_into().ok()?,
                ],
            }))
        }
        C::depositBondCall::SELECTOR => {
            let call = decode::<C::depositBondCall>(data)?;
            CommitteeAction::DepositBond {
                bond: key(call.committeeId, call.member, call.datasetId, call.token)?,
                amount: call.amount,
            }
        }
        C::giveNoticeCall::SELECTOR => {
            let call = decode::<C::giveNoticeCall>(data)?;
            CommitteeAction::GiveNotice {
                bond: key(call.committeeId, Address::ZERO, call.datasetId, call.token)?,
                amount: call.amount,
            }
        }
        C::withdrawBondCall::SELECTOR => {
            let call = decode::<C::withdrawBondCall>(data)?;
            CommitteeAction::WithdrawBond(key(
                call.committeeId,
                Address::ZERO,
                call.datasetId,
                call.token,
            )?)
        }
        C::slashBondCall::SELECTOR => {
            let call = decode::<C::slashBondCall>(data)?;
            CommitteeAction::SlashBond(key(
                call.committeeId,
                call.member,
                call.datasetId,
                call.token,
            )?)
        }
        _ => return None,
    })
}
