//! What stands behind one sealed answer.

use salus_contracts::client::CommitteeKind;
use salus_contracts::primitives::{Address, B256, TxHash};
use serde::Serialize;

/// A part of the way from uploads to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Signatures of the holders, recovered from the answer's bytes.
    Signatures,
    /// Minimum cohort, minimum cell and masks.
    ReleaseRule,
    /// The sum, added from uploads that their issuers signed.
    Sum,
    /// That the hash that was signed is that of this sum.
    CiphertextHash,
    /// The custodian's proof that uploads and column commitments hold the same records.
    LinkProof,
    /// Rows as shown, from the signed results.
    Rows,
    /// The opening of linear forms of the sum.
    Opening,
    /// That every upload encrypts exactly one cell.
    UploadChecks,
    /// That the link's forms open to zero.
    LinkOpening,
    /// That nobody chose the coin of the link's proof.
    LinkCoin,
    /// The evaluation on ad-hoc ciphertexts.
    Evaluation,
    /// That the dealer of the ad-hoc keys has forgotten them.
    Dealer,
}

/// What was found out about a sealed answer. `re_executed` was done again here; `attested` rests on the word of those who
/// hold keys; `unchecked` could have been done again and was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealedFinding {
    /// The query.
    pub query: B256,
    /// The transaction that brought the answer.
    pub transaction: TxHash,
    /// The snapshot.
    pub snapshot: u32,
    /// The committee.
    pub committee: B256,
    /// How its key came about.
    pub kind: CommitteeKind,
    /// Signatures that it needs.
    pub threshold: u8,
    /// How many members it has.
    pub members: usize,
    /// Members that signed.
    pub signers: Vec<Address>,
    /// The cube that was opened, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cube: Option<String>,
    /// Uploads in the sum, when it was added again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<u64>,
    /// Done again.
    pub re_executed: Vec<Part>,
    /// On the word of those who hold keys.
    pub attested: Vec<Part>,
    /// Not looked at: something is missing or wrong.
    pub unchecked: Vec<Part>,
}

impl SealedFinding {
    /// The finding as lines of text.
    pub fn text(&self) -> String {
        let kind = match self.kind {
            CommitteeKind::Cubes => "encrypted cubes",
            CommitteeKind::AdHoc => "ad-hoc ciphertexts",
        };
        let mut out = format!(
            "sealed answer {} (snapshot {}, {kind}, committee {})\n",
            self.query, self.snapshot, self.committee
        );
        for (label, parts) in [
            ("done again:", &self.re_executed),
            ("on trust:", &self.attested),
            ("not checked:", &self.unchecked),
        ] {
            for part in parts {
                out += &format!("  {label:<12} {}\n", self.sentence(*part));
            }
        }
        out
    }

    fn sentence(&self, part: Part) -> String {
        let cube = self.cube.as_deref().unwrap_or("?");
        match part {
            Part::Signatures => format!(
                "{} of {} holders' signatures, {} needed",
                self.signers.len(),
                self.members,
                self.threshold
            ),
            Part::ReleaseRule => "release rule: cohort, cells, masks".to_owned(),
            Part::Sum => match self.uploads {
                Some(uploads) => format!(
                    "sum of cube {cube} added again from {uploads} uploads, each signed by its issuer"
                ),
                None => "the sum of the uploads".to_owned(),
            },
            Part::CiphertextHash => "the hash that was signed names what was opened".to_owned(),
            Part::LinkProof => {
                "custodian's proof that uploads and column commitments hold the same records"
                    .to_owned()
            }
            Part::Rows => "rows decoded from the signed results".to_owned(),
            Part::Opening => {
                "the opening: the signatures vouch for it, nobody can repeat it without the holders' keys".to_owned()
            }
            Part::UploadChecks => {
                "that every upload encrypts exactly one cell: only the holders can check it, and the bundle holds no signature that they did".to_owned()
            }
            Part::LinkOpening => {
                "that the forms of the custodian's link open to zero: only the holders can check it, and the bundle holds no signature that they did"
                    .to_owned()
            }
            Part::LinkCoin => {
                "that others than the custodian drew the link's coin, after its announcement: the proof is worth no more"
                    .to_owned()
            }
            Part::Evaluation if self.re_executed.contains(&part) => format!(
                "evaluation on ad-hoc ciphertexts done again from {} proven uploads, equal byte for byte",
                self.uploads.unwrap_or_default()
            ),
            Part::Evaluation => "the evaluation on ad-hoc ciphertexts: it was not repeated here".to_owned(),
            Part::Dealer => {
                "that the dealer of the ad-hoc keys forgot them".to_owned()
            }
        }
    }
}
