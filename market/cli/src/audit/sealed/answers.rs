//! Sealed answers: the hash that was signed must be that of a sum, or evaluation, that was checked.

use super::Subject;
use super::ciphertexts::{Added, Outcome};
use super::evaluations::{Repeated, Repeater};
use super::finding::{Part, SealedFinding};
use super::links::Linked;
use crate::audit::market::{Query, Sealed};
use crate::audit::report::{AuditReport, Topic};
use crate::bundle::sealed::{EvaluationEntry, SealedBundle};
use crate::error::CliError;
use salus_contracts::client::CommitteeKind;
use salus_contracts::primitives::{B256, TxHash};
use salus_cubes::stream::Stream;
use salus_schema::cube::{Cube, forms};
use salus_schema::plan::Plan;

/// What an answer from a cube names as the hash of the ciphertexts.
pub fn cube_ciphertext_hash(cube: &[u8; 32], sum: &[u8; 32]) -> B256 {
    let mut hash = [0; 32];
    Stream::new("salus/v1/sealed/cube", &[cube, sum]).fill(&mut hash);
    B256::from(hash)
}

/// A sealed answer of the dataset.
struct Answered<'a> {
    id: B256,
    query: &'a Query,
    transaction: TxHash,
    sealed: &'a Sealed,
}

/// Checks every sealed answer of the dataset and adds its finding to the report.
pub fn check(
    subject: &Subject<'_>,
    contents: &SealedBundle,
    sums: &[Added],
    links: &[Linked],
    report: &mut AuditReport,
) -> Result<(), CliError> {
    let mut repeater: Option<(B256, Repeater)> = None;
    let mut answered: Vec<Answered<'_>> = subject
        .replay
        .market
        .queries
        .iter()
        .filter(|(_, query)| query.dataset == subject.dataset)
        .filter_map(|(id, query)| {
            Some(Answered {
                id: *id,
                query,
                transaction: query.published.as_ref()?.0,
                sealed: query.sealed.as_ref()?,
            })
        })
        .collect();
    answered.sort_by_key(|answer| (answer.query.snapshot, answer.id));
    for entry in &contents.evaluations {
        if !answered.iter().any(|answer| answer.id == entry.query) {
            let message = format!("the evaluation for query {} has no answer", entry.query);
            report.note(message);
        }
    }
    for answer in answered {
        let committees = &subject.replay.committees.all;
        let Some(committee) = committees.get(&answer.sealed.committee) else {
            continue;
        };
        let params = &committee.params;
        if !contents
            .committees
            .iter()
            .any(|c| c.id == answer.sealed.committee)
        {
            let gap = format!(
                "the key of committee {} is not in the bundle",
                answer.sealed.committee
            );
            report.unchecked(Topic::Committees, gap);
        }
        let mut finding = SealedFinding {
            query: answer.id,
            transaction: answer.transaction,
            snapshot: answer.query.snapshot,
            committee: answer.sealed.committee,
            kind: params.kind,
            threshold: params.threshold,
            members: params.members.len(),
            signers: answer.sealed.signers.clone(),
            cube: None,
            uploads: None,
            // Without these the replay would not have taken the answer.
            re_executed: vec![Part::Signatures, Part::ReleaseRule],
            attested: vec![Part::Opening],
            unchecked: Vec::new(),
        };
        match params.kind {
            CommitteeKind::Cubes => {
                from_cube(subject, &answer, sums, links, &mut finding, report);
            }
            CommitteeKind::AdHoc => {
                let key = params.key_hash;
                let entry = from_evaluation(subject, &answer, contents, key, &mut finding, report);
                if let (Some(entry), Some(path)) = (entry, subject.server_keys) {
                    let id = answer.sealed.committee;
                    if repeater.as_ref().is_none_or(|(of, _)| *of != id) {
                        let key = contents.committees.iter().find(|c| c.id == id);
                        let made = key.map(|c| Repeater::new(subject, &c.key, path));
                        repeater = made.transpose()?.map(|made| (id, made));
                    }
                    if let Some((_, repeater)) = &repeater {
                        repeat(subject, repeater, &answer, entry, &mut finding, report);
                    }
                }
            }
        }
        match subject.shown.contains(&answer.id) {
            true => finding.re_executed.push(Part::Rows),
            false => finding.unchecked.push(Part::Rows),
        }
        report.sealed_answers.push(finding);
    }
    Ok(())
}

/// Does an evaluation again and says what came of it.
fn repeat(
    subject: &Subject<'_>,
    repeater: &Repeater,
    answer: &Answered<'_>,
    entry: &EvaluationEntry,
    finding: &mut SealedFinding,
    report: &mut AuditReport,
) {
    let name = format!("the evaluation for query {}", answer.id);
    finding.attested.retain(|part| *part != Part::Evaluation);
    match repeater.repeat(subject, entry, &answer.sealed.plan, answer.query.snapshot) {
        Repeated::Equal { uploads } => {
            finding.uploads = Some(uploads);
            finding.re_executed.push(Part::Evaluation);
        }
        Repeated::Differs => {
            finding.unchecked.push(Part::Evaluation);
            let gap = format!(
                "{name} gave other bytes here: either it is wrong or another build made it; repeat it on the pinned build"
            );
            report.unchecked(Topic::Evaluations, gap);
        }
        Repeated::Wrong(reason) => {
            finding.unchecked.push(Part::Evaluation);
            let at = Some(answer.transaction);
            report.wrong(Topic::Evaluations, at, format!("{name}: {reason}"));
        }
    }
}

/// Cubes of the codebook that can answer the query.
fn covering<'a>(subject: &Subject<'a>, answer: &Answered<'_>) -> Vec<&'a Cube> {
    let Ok(plan) = Plan::from_bytes(&answer.sealed.plan) else {
        return Vec::new();
    };
    let dataset = subject.replay.registry.get(subject.dataset);
    let members = dataset.ok().and_then(|d| d.snapshot(answer.query.snapshot));
    let people = members.map_or(0, |(_, members)| u64::from(members));
    let cubes = subject.codebook.cubes().iter();
    cubes
        .filter(|cube| forms(cube, &plan, people).is_ok())
        .collect()
}

fn from_cube(
    subject: &Subject<'_>,
    answer: &Answered<'_>,
    sums: &[Added],
    links: &[Linked],
    finding: &mut SealedFinding,
    report: &mut AuditReport,
) {
    finding.attested.push(Part::UploadChecks);
    let missed = [Part::Sum, Part::CiphertextHash];
    let at = Some(answer.transaction);
    let covering = covering(subject, answer);
    let of_snapshot: Vec<&Added> = sums
        .iter()
        .filter(|sum| {
            sum.entry.snapshot == answer.query.snapshot
                && sum.entry.committee == answer.sealed.committee
        })
        .collect();
    let opened = of_snapshot.iter().find(|sum| {
        let hash = cube_ciphertext_hash(&sum.entry.cube.0, sum.entry.sum.digest());
        hash == answer.sealed.ciphertext_hash
    });
    let Some(opened) = opened else {
        finding.unchecked.extend(missed);
        let listed = |cube: &&Cube| of_snapshot.iter().any(|s| s.entry.cube.0 == cube.id());
        if covering.is_empty() {
            let message = format!("no cube of the dataset can answer query {}", answer.id);
            report.wrong(Topic::SealedAnswers, at, message);
        } else if covering.iter().all(listed) {
            let message = format!(
                "the answer to query {} names ciphertexts that are no sum of a cube that can answer it",
                answer.id
            );
            report.wrong(Topic::SealedAnswers, at, message);
        } else {
            let gap = format!(
                "the sum that the answer to query {} was opened from is not in the bundle",
                answer.id
            );
            report.unchecked(Topic::SealedAnswers, gap);
        }
        return;
    };
    finding.cube = Some(subject.cube_name(&opened.entry.cube));
    if !covering.iter().any(|cube| cube.id() == opened.entry.cube.0) {
        let message = format!(
            "query {} cannot be answered from cube {}, which was opened for it",
            answer.id,
            subject.cube_name(&opened.entry.cube)
        );
        report.wrong(Topic::SealedAnswers, at, message);
    }
    match opened.outcome {
        Outcome::Equal { uploads } => {
            finding.uploads = Some(uploads);
            finding.re_executed.extend(missed);
        }
        Outcome::Wrong => {
            finding.re_executed.push(Part::CiphertextHash);
            finding.unchecked.push(Part::Sum);
            let message = format!(
                "the answer to query {} was opened from a sum that does not hold",
                answer.id
            );
            report.wrong(Topic::SealedAnswers, at, message);
        }
        Outcome::Unchecked => {
            finding.re_executed.push(Part::CiphertextHash);
            finding.unchecked.push(Part::Sum);
            let gap = format!(
                "the sum behind the answer to query {} could not be added again",
                answer.id
            );
            report.unchecked(Topic::SealedAnswers, gap);
        }
    }
    let link = links.iter().find(|link| {
        link.cube == opened.entry.cube
            && link.snapshot == opened.entry.snapshot
            && link.committee == opened.entry.committee
    });
    match link {
        Some(link) if link.holds => {
            finding.re_executed.push(Part::LinkProof);
            finding.attested.extend([Part::LinkOpening, Part::LinkCoin]);
        }
        // Without a link nothing connects the ciphertexts with the commitments: that is worse, not better.
        Some(_) | None => finding.unchecked.push(Part::LinkProof),
    }
}

/// Checks what an evaluation is said to be; returns it when nothing is wrong or missing.
fn from_evaluation<'a>(
    subject: &Subject<'_>,
    answer: &Answered<'_>,
    contents: &'a SealedBundle,
    key_hash: B256,
    finding: &mut SealedFinding,
    report: &mut AuditReport,
) -> Option<&'a EvaluationEntry> {
    finding.attested.extend([Part::Evaluation, Part::Dealer]);
    let entries = contents.evaluations.iter();
    let entries: Vec<&EvaluationEntry> = entries.filter(|e| e.query == answer.id).collect();
    let [entry] = entries.as_slice() else {
        finding.unchecked.push(Part::CiphertextHash);
        let message = format!(
            "{} evaluations are listed for query {}",
            entries.len(),
            answer.id
        );
        match entries.len() {
            0 => report.unchecked(Topic::Evaluations, message),
            _ => report.wrong(Topic::Evaluations, None, message),
        }
        return None;
    };
    report.checked(Topic::Evaluations, 1);
    let at = Some(answer.transaction);
    let mut wrong = false;
    for (kept, message) in [
        (
            entry.hash == answer.sealed.ciphertext_hash,
            "its answer was signed for other ciphertexts",
        ),
        (
            entry.hash == B256::from(*entry.output.digest()),
            "its output has another hash",
        ),
        (
            entry.keys == key_hash,
            "it was computed with other keys than the committee's",
        ),
    ] {
        if !kept {
            wrong = true;
            let message = format!("the evaluation for query {}: {message}", answer.id);
            report.wrong(Topic::Evaluations, at, message);
        }
    }
    let uploads = subject.blob(&entry.uploads, Topic::Evaluations, report);
    let output = subject.blob(&entry.output, Topic::Evaluations, report);
    match !wrong && uploads.is_some() && output.is_some() {
        true => {
            finding.re_executed.push(Part::CiphertextHash);
            Some(*entry)
        }
        false => {
            finding.unchecked.push(Part::CiphertextHash);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cube_ciphertext_hash;
    use salus_committee::answer;

    #[test]
    fn the_hash_of_a_sum_is_the_one_that_holders_sign() {
        for (cube, sum) in [([1; 32], [2; 32]), ([2; 32], [1; 32])] {
            let signed = answer::cube_ciphertext_hash(&cube, &sum);
            assert_eq!(cube_ciphertext_hash(&cube, &sum).0, signed);
        }
    }
}
