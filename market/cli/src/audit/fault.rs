//! Why a transaction could not have had its effect.

use crate::bundle::keys::KeyWordsError;
use salus_circuits::aggregate::VerifyError;
use salus_circuits::registration::RegistrationError;
use salus_circuits::words::WordError;
use salus_schema::plan::MalformedPlan;

/// Why the rules do not let a transaction pass. Rules carry the names of the contracts' errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A rule of a contract.
    #[error("the contract would have refused it: {rule}")]
    Rule {
        /// Name of the contract's error.
        rule: &'static str,
    },
    /// A rule of a contract about one slot.
    #[error("slot {slot} of chunk {chunk}: the contract would have refused it: {rule}")]
    Slot {
        /// Name of the contract's error.
        rule: &'static str,
        /// The chunk.
        chunk: u32,
        /// The slot.
        slot: u32,
    },
    /// Calldata that is no call of the contract.
    #[error("it succeeded, but is no call that the contract knows")]
    UnknownCall,
    /// Other code than this program's at the address of a contract.
    #[error("it puts other code at the address of a contract")]
    ForeignCode,
    /// The contracts are not wired to each other.
    #[error("it creates a contract that is not part of the deployment it claims to be")]
    ForeignWiring,
    /// A slot base that is not the one of basis.bin.
    #[error("slot {slot} of chunk {chunk}: its base is not the one in basis.bin")]
    SlotBase {
        /// The chunk.
        chunk: u32,
        /// The slot.
        slot: u32,
    },
    /// A published number that no group of people has.
    #[error("a published value needs more than 64 bits, which no count or sum does")]
    Impossible,
    /// A proof of knowledge.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A point or scalar.
    #[error(transparent)]
    Word(#[from] WordError),
    /// A verifying key.
    #[error("verifying key: {0}")]
    Key(#[from] KeyWordsError),
    /// A plan.
    #[error("plan: {0}")]
    Plan(#[from] MalformedPlan),
    /// An answer's proof.
    #[error("the answer is not proven: {0}")]
    Answer(#[from] VerifyError),
}

/// The fault of a broken rule.
pub const fn rule(rule: &'static str) -> Fault {
    Fault::Rule { rule }
}

/// `Ok` if the rule is kept.
pub const fn require(kept: bool, rule: &'static str) -> Result<(), Fault> {
    if kept {
        Ok(())
    } else {
        Err(Fault::Rule { rule })
    }
}
