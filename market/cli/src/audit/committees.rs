//! Committees, whom they serve and their bonds, replayed by the rules of the committee contract.

use super::fault::{Fault, require, rule};
use super::registry::Registry;
use super::{Effect, Moment, Topic};
use salus_contracts::bindings::ICommittee::{self, CommitteeParams, ICommitteeEvents as Event};
use salus_contracts::client::{CommitteeKind, DatasetId, EventBody, NewCommittee};
use salus_contracts::history::{CommitteeAction, Report};
use salus_contracts::primitives::{Address, B256, U256};
use salus_contracts::sealed::{
    SealedAnswer, committee_acceptance_digest, committee_id, recover, reported_answer_digest,
    sealed_answer_digest,
};
use std::collections::{BTreeMap, HashMap};

/// Fewest and most members.
const MEMBERS: std::ops::RangeInclusive<usize> = 2..=16;

/// Whether a member's signatures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Active,
    /// Signed two answers to one query, as this account reported.
    Equivocated {
        reporter: Address,
    },
}

/// A registered committee.
pub struct Committee {
    /// Its content.
    pub params: NewCommittee,
    standing: HashMap<Address, Standing>,
}

/// All committees and what datasets made of them.
#[derive(Default)]
pub struct Committees {
    /// By id.
    pub all: BTreeMap<B256, Committee>,
    /// By dataset and kind: first snapshot and committee, ascending.
    bindings: BTreeMap<(u32, CommitteeKind), Vec<(u32, B256)>>,
    /// Bonds.
    pub bonds: super::bonds::Bonds,
}

/// Where a committee contract is.
#[derive(Clone, Copy)]
pub struct Place {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The committee contract.
    pub contract: Address,
    /// The market, in whose domain answers are signed.
    pub market: Address,
    /// Whether to change anything.
    pub commit: bool,
}

/// An event of the committee contract.
pub fn event(event: Event) -> EventBody {
    EventBody::Committee(event)
}

/// The contract's number for a kind.
fn code(kind: CommitteeKind) -> u8 {
    match kind {
        CommitteeKind::Cubes => 1,
        CommitteeKind::AdHoc => 2,
    }
}

impl Committees {
    fn get(&self, id: B256) -> Result<&Committee, Fault> {
        self.all.get(&id).ok_or_else(|| rule("UnknownCommittee"))
    }

    /// The committee of a kind that may answer queries on a snapshot.
    pub fn at(&self, dataset: DatasetId, snapshot: u32, kind: CommitteeKind) -> Option<B256> {
        let bindings = self.bindings.get(&(dataset.0, kind))?;
        let found = bindings.iter().rev().find(|(from, _)| *from <= snapshot);
        found.map(|(_, id)| *id).filter(|id| !id.is_zero())
    }

    /// Whether a member's signatures count now.
    pub fn require_active(&self, id: B256, account: Address) -> Result<(), Fault> {
        let standing = self.all.get(&id).and_then(|c| c.standing.get(&account));
        match standing {
            None => Err(rule("NotCommitteeMember")),
            Some(Standing::Equivocated { .. }) => Err(rule("MemberEquivocated")),
            Some(Standing::Active) => Ok(()),
        }
    }

    /// Who reported a member that equivocated.
    pub fn reporter(&self, id: B256, account: Address) -> Result<Address, Fault> {
        match self.all.get(&id).and_then(|c| c.standing.get(&account)) {
            Some(Standing::Equivocated { reporter }) => Ok(*reporter),
            _ => Err(rule("NotEquivocated")),
        }
    }

    /// Everything but bonds.
    pub fn act(
        &mut self,
        action: &CommitteeAction,
        registry: &Registry,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        match action {
            CommitteeAction::Register {
                committee,
                acceptances,
            } => self.register(committee, acceptances, place),
            CommitteeAction::Bind { dataset, committee } => {
                let kind = self.get(committee.0)?.params.kind;
                self.bind(*dataset, kind, committee.0, registry, moment, place)
            }
            CommitteeAction::Unbind { dataset, kind } => {
                self.bind(*dataset, *kind, B256::ZERO, registry, moment, place)
            }
            CommitteeAction::Report(report) => self.report(report, moment, place),
            _ => Err(Fault::UnknownCall),
        }
    }

    fn register(
        &mut self,
        params: &NewCommittee,
        acceptances: &[[u8; 65]],
        place: &Place,
    ) -> Result<Effect, Fault> {
        let size = params.members.len();
        let sound = !params.key_hash.is_zero()
            && MEMBERS.contains(&size)
            && (2..=size).contains(&usize::from(params.threshold));
        require(sound, "InvalidCommittee")?;
        let id = committee_id(params).0;
        require(!self.all.contains_key(&id), "CommitteeExists")?;
        require(acceptances.len() == size, "MalformedSignatures")?;
        let digest = committee_acceptance_digest(place.chain_id, place.contract, params);
        let mut previous = Address::ZERO;
        for (member, acceptance) in params.members.iter().zip(acceptances) {
            require(*member > previous, "InvalidCommittee")?;
            previous = *member;
            require(
                recover(digest, acceptance) == Some(*member),
                "AcceptanceRejected",
            )?;
        }
        if place.commit {
            let members = params.members.iter();
            let committee = Committee {
                params: params.clone(),
                standing: members.map(|m| (*m, Standing::Active)).collect(),
            };
            self.all.insert(id, committee);
        }
        let registered = ICommittee::CommitteeRegistered {
            committeeId: id,
            params: CommitteeParams {
                kind: code(params.kind),
                threshold: params.threshold,
                keyHash: params.key_hash,
                members: params.members.clone(),
            },
        };
        let body = event(Event::CommitteeRegistered(registered));
        Ok(Effect::of(Topic::Committees, body))
    }

    fn bind(
        &mut self,
        dataset: DatasetId,
        kind: CommitteeKind,
        id: B256,
        registry: &Registry,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        let found = registry.get(dataset).map_err(|_| rule("NotAdmin"))?;
        require(found.admin == moment.sender, "NotAdmin")?;
        let period = found.period();
        if place.commit {
            let bindings = self.bindings.entry((dataset.0, kind)).or_default();
            match bindings.last_mut() {
                Some((from, bound)) if *from == period => *bound = id,
                _ => bindings.push((period, id)),
            }
        }
        let bound = ICommittee::CommitteeBound {
            datasetId: U256::from(dataset.0),
            kind: code(kind),
            committeeId: id,
            fromSnapshot: period,
        };
        let body = event(Event::CommitteeBound(bound));
        Ok(Effect::of(Topic::Committees, body))
    }

    fn report(&mut self, report: &Report, moment: &Moment, place: &Place) -> Result<Effect, Fault> {
        let [a, b] = &report.answers;
        let id = report.committee.0;
        let about = a.committeeId == id && b.committeeId == id && a.queryId == b.queryId;
        require(about, "NotEquivocation")?;
        let digest = |answer| reported_answer_digest(place.chain_id, place.market, answer);
        let (digest_a, digest_b) = (digest(a), digest(b));
        require(digest_a != digest_b, "NotEquivocation")?;
        let member = recover(digest_a, &report.signatures[0]);
        let same = member == recover(digest_b, &report.signatures[1]);
        let member = member
            .filter(|_| same)
            .ok_or_else(|| rule("NotEquivocation"))?;
        self.require_active(id, member)?;
        if place.commit
            && let Some(committee) = self.all.get_mut(&id)
        {
            let reporter = moment.sender;
            let standing = Standing::Equivocated { reporter };
            committee.standing.insert(member, standing);
        }
        let reported = ICommittee::EquivocationReported {
            committeeId: id,
            member,
            queryId: a.queryId,
            reporter: moment.sender,
            digestA: digest_a,
            digestB: digest_b,
        };
        let body = event(Event::EquivocationReported(reported));
        Ok(Effect::of(Topic::Committees, body))
    }

    /// Who signed an answer, if they are enough of the committee that the dataset had bound for its snapshot.
    pub fn quorum(
        &self,
        answer: &SealedAnswer,
        signatures: &[[u8; 65]],
        place: &Place,
    ) -> Result<Vec<Address>, Fault> {
        let id = answer.committee.0;
        let params = &self.get(id)?.params;
        require(
            self.at(answer.dataset, answer.snapshot.0, params.kind) == Some(id),
            "CommitteeNotBound",
        )?;
        require(
            signatures.len() >= usize::from(params.threshold),
            "TooFewSignatures",
        )?;
        let digest = sealed_answer_digest(place.chain_id, place.market, answer);
        let mut signers: Vec<Address> = Vec::with_capacity(signatures.len().min(*MEMBERS.end()));
        for signature in signatures {
            let signer = recover(digest, signature).ok_or_else(|| rule("SignatureRejected"))?;
            self.require_active(id, signer)?;
            let in_order = signers.last().is_none_or(|last| signer > *last);
            require(in_order, "SignersOutOfOrder")?;
            signers.push(signer);
        }
        Ok(signers)
    }
}
