//! Harm done to the sealed path: by whoever publishes uploads and sums, by issuers, and by holders.

use super::tampering::{found, history_of, nth, seal, with_history, with_queries};
use super::world::sealed::{BOND, holders};
use super::{full, world};
use crate::audit::committees::Place;
use crate::audit::fault::{Fault, rule};
use crate::audit::replay::Replay;
use crate::audit::report::AuditReport;
use crate::audit::sealed::Part;
use crate::audit::{Depth, Moment, Topic, audit};
use crate::bundle::blobs;
use crate::bundle::keys::read_basis;
use crate::bundle::manifest::{self, Manifest};
use crate::bundle::sealed::SealedBundle;
use crate::sealed::uploads::{self, UploadRecord, UploadWriter};
use salus_blobs::ContentId;
use salus_contracts::client::{
    ChunkIndex, CommitteeKind, DatasetId, SealedSubmission, SlotIndex, SnapshotId,
};
use salus_contracts::history::{Action, CommitteeAction};
use salus_contracts::primitives::{B256, U256};
use salus_contracts::sealed::{
    SealedAnswer, SealedUpload, by_signer, release_hash, results_hash, sealed_answer_digest,
    sealed_upload_digest, sign,
};
use salus_cubes::sum::{CubeSum, RunningSum};
use salus_cubes::upload::Upload;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn records(dir: &Path) -> Vec<UploadRecord> {
    let mut all = Vec::new();
    uploads::each(dir, |record| all.push(record)).unwrap();
    all
}

fn with_records(change: impl FnOnce(&mut Vec<UploadRecord>)) -> TempDir {
    let dir = world::copy();
    let mut all = records(dir.path());
    change(&mut all);
    fs::remove_file(dir.path().join(uploads::NAME)).unwrap();
    let mut writer = UploadWriter::open(dir.path()).unwrap();
    all.iter().for_each(|record| writer.push(record).unwrap());
    writer.sync().unwrap();
    dir
}

pub(super) fn with_contents(change: impl FnOnce(&Path, &mut SealedBundle)) -> TempDir {
    let dir = world::copy();
    let mut contents = SealedBundle::read(dir.path()).unwrap();
    change(dir.path(), &mut contents);
    contents.write(dir.path()).unwrap();
    dir
}

pub(super) fn blob(dir: &Path, id: &ContentId) -> PathBuf {
    let name = id.to_string();
    blobs::folder(dir).join(&name[name.len() - 2..]).join(name)
}

/// Puts bytes in the place of a blob, whatever its name says.
pub(super) fn put(dir: &Path, id: &ContentId, bytes: &[u8]) {
    let path = blob(dir, id);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Nothing is wrong, but `gap` under `topic` could not be checked.
pub(super) fn not_found(dir: &Path, topic: Topic, gap: &str) -> AuditReport {
    seal(dir);
    let report = full(dir);
    assert_eq!(report.verdict(), "could_not_check", "{}", report.text());
    let error = report.error().unwrap();
    assert_eq!(
        (error.exit_code(), error.code.as_str()),
        (8, "audit_incomplete")
    );
    let check = report.checks.iter().find(|check| check.name == topic);
    let check = check.unwrap();
    assert!(
        check.unchecked > 0 && check.gaps.iter().any(|g| g.contains(gap)),
        "{gap} not found in:\n{}",
        report.text()
    );
    report
}

#[test]
fn the_report_says_what_was_done_again_and_what_rests_on_trust() {
    let report = full(world::bundle());
    let [first, second, third] = report.sealed_answers.as_slice() else {
        panic!("{}", report.text());
    };
    let again = [
        Part::Signatures,
        Part::ReleaseRule,
        Part::Sum,
        Part::CiphertextHash,
        Part::Rows,
    ];
    assert_eq!(second.re_executed, again);
    assert_eq!(second.attested, [Part::Opening, Part::UploadChecks]);
    // The first snapshot is also linked to the column commitments.
    assert!(again.iter().all(|part| first.re_executed.contains(part)));
    assert!(first.re_executed.contains(&Part::LinkProof));
    assert!(first.attested.contains(&Part::LinkOpening));
    assert!(first.unchecked.is_empty());
    // Nothing connects the second snapshot's ciphertexts with commitments.
    assert_eq!(second.unchecked, [Part::LinkProof]);
    for finding in [first, second] {
        assert_eq!(finding.cube.as_deref(), Some("`habits`"));
    }
    assert_eq!((first.uploads, first.signers.len()), (Some(100), 2));
    assert_eq!((second.uploads, second.signers.len()), (Some(99), 3));
    assert_eq!(third.kind, CommitteeKind::AdHoc);
    assert_eq!(
        third.attested,
        [Part::Opening, Part::Evaluation, Part::Dealer]
    );
    assert!(!third.re_executed.contains(&Part::Sum));

    let text = report.text();
    for line in [
        "done again:  2 of 3 holders' signatures, 2 needed",
        "done again:  sum of cube `habits` added again from 100 uploads, each signed by its issuer",
        "on trust:    the opening: the signatures vouch for it",
        "on trust:    the evaluation on ad-hoc ciphertexts: it was not repeated here",
    ] {
        assert!(text.contains(line), "{line} not found in:\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    let answer = &json["sealed_answers"][0];
    assert_eq!(answer["uploads"], 100);
    assert_eq!(answer["kind"], "cubes");
    let attested = json!(["opening", "upload_checks", "link_opening", "link_coin"]);
    assert_eq!(answer["attested"], attested);
}

#[test]
fn the_progress_of_adding_is_told_in_megabytes() {
    let mut last = (0, 0);
    let told = |name: &str, done, total| {
        if name == "add uploads, MB" {
            last = (done, total);
        }
    };
    audit(world::bundle(), Depth::Answers, told).unwrap();
    assert_eq!(last, (9, 9));
}

#[test]
fn a_changed_upload_is_found_by_its_name() {
    let dir = world::copy();
    let record = &records(dir.path())[17];
    let id = ContentId::from_digest(record.digest);
    let mut bytes = fs::read(blob(dir.path(), &id)).unwrap();
    bytes[50_000] ^= 1;
    put(dir.path(), &id, &bytes);
    found(dir.path(), Topic::Uploads, "holds other bytes");
    let report = full(dir.path());
    assert!(report.sealed_answers[0].unchecked.contains(&Part::Sum));
}

#[test]
fn a_missing_upload_or_sum_is_not_wrong_but_could_not_be_checked() {
    let dir = world::copy();
    let digest = records(dir.path())[17].digest;
    fs::remove_file(blob(dir.path(), &ContentId::from_digest(digest))).unwrap();
    let report = not_found(dir.path(), Topic::Uploads, "is not in the bundle");
    assert!(report.sealed_answers[0].unchecked.contains(&Part::Sum));
    assert!(report.line("audit").starts_with("audit: could not check: "));

    let dir = world::copy();
    let contents = SealedBundle::read(dir.path()).unwrap();
    fs::remove_file(blob(dir.path(), &contents.sums[0].sum)).unwrap();
    not_found(dir.path(), Topic::Sums, "is not in the bundle");
    let dir = with_contents(|_, contents| contents.sums.clear());
    not_found(
        dir.path(),
        Topic::SealedAnswers,
        "was opened from is not in the bundle",
    );
    let dir = with_contents(|_, contents| contents.evaluations.clear());
    not_found(dir.path(), Topic::Evaluations, "0 evaluations are listed");
    let dir = with_contents(|_, contents| contents.committees.clear());
    not_found(dir.path(), Topic::Committees, "key of committee");
}

#[test]
fn without_its_sealed_parts_a_bundle_reads_and_says_what_it_lacks() {
    let dir = world::copy();
    let mut manifest = Manifest::read(dir.path()).unwrap();
    for name in manifest::SEALED_FILES {
        manifest.files.remove(name);
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    fs::remove_dir_all(blobs::folder(dir.path())).unwrap();
    manifest.write(dir.path()).unwrap();
    not_found(dir.path(), Topic::SealedAnswers, "is not in the bundle");
    // One of the two is no bundle.
    let half = world::copy();
    let mut manifest = Manifest::read(half.path()).unwrap();
    manifest.files.remove(uploads::NAME);
    manifest.write(half.path()).unwrap();
    let refused = audit(half.path(), Depth::Full, |_, _, _| {}).unwrap_err();
    assert_eq!(refused.code, "bundle_malformed");
}

#[test]
fn swapped_uploads_are_found() {
    let signed = "was not signed by the issuer";
    let dir = with_records(|all| {
        let (one, two) = (all[3].digest, all[4].digest);
        (all[3].digest, all[4].digest) = (two, one);
    });
    found(dir.path(), Topic::Uploads, signed);
    // With their signatures, which name the members.
    let dir = with_records(|all| {
        let one = (all[3].digest, all[3].signature);
        (all[3].digest, all[3].signature) = (all[4].digest, all[4].signature);
        (all[4].digest, all[4].signature) = one;
    });
    found(dir.path(), Topic::Uploads, signed);
    let dir = with_records(|all| {
        let (one, two) = (all[3].member, all[4].member);
        (all[3].member, all[4].member) = (two, one);
    });
    found(dir.path(), Topic::Uploads, "is listed for another member");
}

#[test]
fn everybody_is_in_a_sum_once_and_nobody_is_left_out() {
    let dir = with_records(|all| all.push(all[7].clone()));
    found(dir.path(), Topic::Uploads, "stands twice in uploads.bin");
    let dir = with_records(|all| {
        all.remove(7);
    });
    found(
        dir.path(),
        Topic::Uploads,
        "1 people have no upload in the list",
    );
    // The first version of the rectified person passes for the second.
    let dir = with_records(|all| {
        all.pop();
        let mut old = all
            .iter()
            .find(|r| (r.chunk, r.slot) == (0, 5))
            .unwrap()
            .clone();
        old.version = 2;
        all.push(old);
    });
    found(dir.path(), Topic::Uploads, "was not signed by the issuer");
}

#[test]
fn an_upload_that_a_foreign_issuer_signed_is_found() {
    let at = Manifest::read(world::bundle()).unwrap().deployment;
    let dir = with_records(|all| {
        let record = &mut all[9];
        let said = SealedUpload {
            dataset: DatasetId(1),
            member: record.member,
            chunk: ChunkIndex(record.chunk),
            slot: SlotIndex(record.slot),
            nonce: record.version,
            epoch: record.epoch,
            cube: B256::from(record.cube),
            ciphertext_hash: B256::from(record.digest),
        };
        let digest = sealed_upload_digest(at.chain_id, at.registry, &said);
        assert_eq!(sign(&world::signer(1), digest).unwrap(), record.signature);
        record.signature = sign(&world::signer(2), digest).unwrap();
    });
    found(dir.path(), Topic::Uploads, "was not signed by the issuer");
    // Nor does the signature hold for another epoch.
    let dir = with_records(|all| all[9].epoch += 1);
    found(dir.path(), Topic::Uploads, "was not signed by the issuer");
}

/// A bundle whose first sum is `change` of the true one.
fn with_sum(change: impl FnOnce(&Path, &mut RunningSum)) -> TempDir {
    with_contents(|dir, contents| {
        let entry = &mut contents.sums[0];
        let published = blobs::read(dir, &entry.sum).unwrap();
        let class = CubeSum::from_bytes(&published).unwrap().class();
        let mut running = RunningSum::of(entry.cube.0, class);
        for record in records(dir).iter().filter(|r| r.version == 1) {
            running.add(&upload(dir, record)).unwrap();
        }
        assert_eq!(running.finish().unwrap().to_bytes(), published);
        change(dir, &mut running);
        let bytes = running.finish().unwrap().to_bytes();
        entry.sum = ContentId::of(&bytes);
        put(dir, &entry.sum, &bytes);
    })
}

fn upload(dir: &Path, record: &UploadRecord) -> Upload {
    let bytes = blobs::read(dir, &ContentId::from_digest(record.digest)).unwrap();
    Upload::from_bytes(bytes).unwrap()
}

#[test]
fn a_sum_with_somebody_missing_or_counted_twice_is_found() {
    let dir = with_sum(|dir, sum| sum.subtract(&upload(dir, &records(dir)[0])).unwrap());
    found(dir.path(), Topic::Sums, "is not the sum of its uploads");
    found(dir.path(), Topic::SealedAnswers, "are no sum of a cube");
    let dir = with_sum(|dir, sum| sum.add(&upload(dir, &records(dir)[0])).unwrap());
    found(dir.path(), Topic::Sums, "is not the sum of its uploads");
    // The same number of people, but one of them twice.
    let dir = with_sum(|dir, sum| {
        sum.subtract(&upload(dir, &records(dir)[0])).unwrap();
        sum.add(&upload(dir, &records(dir)[1])).unwrap();
    });
    found(dir.path(), Topic::Sums, "is not the sum of its uploads");
}

#[test]
fn sealed_json_cannot_tell_another_story() {
    let other = B256::repeat_byte(1);
    let dir = with_contents(|_, contents| contents.sums[0].snapshot = 7);
    found(dir.path(), Topic::Sums, "do not add up to the members");
    let dir = with_contents(|_, contents| contents.sums[0].cube = other);
    found(dir.path(), Topic::Sums, "the codebook has no such cube");
    let dir = with_contents(|_, contents| contents.sums[0].committee = other);
    found(dir.path(), Topic::Sums, "had bound for the snapshot");
    let dir = with_contents(|_, contents| contents.sums.push(contents.sums[0].clone()));
    found(dir.path(), Topic::Sums, "stands twice");
    let dir = with_contents(|_, contents| contents.committees[0].id = other);
    found(dir.path(), Topic::Committees, "was never registered");
    let dir = with_contents(|_, contents| contents.committees[0].kind = CommitteeKind::AdHoc);
    found(dir.path(), Topic::Committees, "is of another kind");
    let dir = with_contents(|_, contents| contents.committees[0].key = contents.committees[1].key);
    found(
        dir.path(),
        Topic::Committees,
        "is not the one that it was registered with",
    );
    let dir = with_contents(|_, contents| contents.evaluations[0].hash = other);
    found(
        dir.path(),
        Topic::Evaluations,
        "signed for other ciphertexts",
    );
    let dir = with_contents(|_, contents| contents.evaluations[0].keys = other);
    found(
        dir.path(),
        Topic::Evaluations,
        "other keys than the committee's",
    );
}

#[test]
fn rows_that_nobody_signed_are_found() {
    let dir = with_queries(|queries| {
        let count = queries[2].answer[0]["count"].as_u64().unwrap();
        queries[2].answer[0]["count"] = json!(count + 1);
    });
    found(
        dir.path(),
        Topic::Rows,
        "the rows shown are not what was signed",
    );
    let report = full(dir.path());
    assert_eq!(report.sealed_answers[0].unchecked, [Part::Rows]);
}

/// Flips a byte of the first sealed answer's transaction where `needle` ends.
fn with_answer_changed(needle: &[u8]) -> TempDir {
    with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::AcceptSealedAnswer(_)));
        let mut raw = all[at].0.raw.to_vec();
        let found = raw
            .windows(needle.len())
            .rposition(|w| w == needle)
            .unwrap();
        raw[found + needle.len() - 1] ^= 1;
        all[at].0.raw = raw.into();
    })
}

fn submission(n: usize) -> SealedSubmission {
    let all = history_of(world::bundle());
    let at = nth(&all, n, |a| matches!(a, Action::AcceptSealedAnswer(_)));
    match &all[at].1.action {
        Action::AcceptSealedAnswer(answer) => answer.as_ref().clone(),
        _ => unreachable!(),
    }
}

#[test]
fn changed_results_and_ciphertexts_are_not_what_the_holders_signed() {
    let answer = submission(0);
    let count = answer.passes[0].values[0];
    assert_ne!(count, [0; 32]);
    for needle in [count.as_slice(), answer.ciphertext_hash.as_slice()] {
        let dir = with_answer_changed(needle);
        // Other bytes recover to other signers.
        found(
            dir.path(),
            Topic::SealedAnswers,
            "the contract would have refused it",
        );
    }
}

/// Replays up to the `n`th sealed answer and hands it over.
fn at_answer<T>(
    n: usize,
    look: impl FnOnce(&mut Replay<'_>, SealedSubmission, &Moment, &Place) -> T,
) -> T {
    let manifest = Manifest::read(world::bundle()).unwrap();
    let at = &manifest.deployment;
    let bases = read_basis(world::bundle()).unwrap();
    let mut replay = Replay::new(at, Depth::Answers, DatasetId(manifest.dataset), &bases);
    let mut report = AuditReport::new("test");
    let all = history_of(world::bundle());
    let stop = nth(&all, n, |a| matches!(a, Action::AcceptSealedAnswer(_)));
    all[..stop]
        .iter()
        .for_each(|(mined, _)| replay.step(mined, &mut report));
    assert_eq!(report.verdict(), "ok", "{}", report.text());
    let (mined, transaction) = &all[stop];
    let moment = Moment {
        hash: transaction.hash,
        sender: transaction.sender,
        timestamp: mined.timestamp,
    };
    let place = Place {
        chain_id: at.chain_id,
        contract: at.committee.unwrap(),
        market: at.market,
        commit: false,
    };
    look(&mut replay, submission(n), &moment, &place)
}

/// What the rules say of an answer that `change` was done to; `resign` has the holders sign it again.
fn verdict(
    n: usize,
    resign: bool,
    change: impl FnOnce(&mut SealedSubmission, &mut Replay<'_>),
) -> Option<Fault> {
    at_answer(n, |replay, mut answer, moment, place| {
        change(&mut answer, replay);
        if resign {
            let query = &replay.market.queries[&answer.query.0];
            let digest = digest(&answer, query.snapshot, place);
            let signed = holders().into_iter().map(|key| sign(&key, digest).unwrap());
            let ordered = by_signer(digest, signed);
            answer.signatures = ordered.into_iter().map(|(_, s)| s).collect();
        }
        replay
            .market
            .accept_sealed(&answer, &replay.registry, &replay.committees, moment, place)
            .err()
    })
}

fn digest(answer: &SealedSubmission, snapshot: u32, place: &Place) -> B256 {
    let signed = SealedAnswer {
        query: answer.query,
        dataset: DatasetId(1),
        snapshot: SnapshotId(snapshot),
        committee: answer.committee,
        ciphertext_hash: answer.ciphertext_hash,
        plan_hash: salus_contracts::primitives::keccak256(&answer.plan),
        results_hash: results_hash(&answer.passes),
        release_hash: release_hash(5, 3),
    };
    sealed_answer_digest(place.chain_id, place.market, &signed)
}

#[test]
fn an_answer_needs_enough_distinct_members_in_order() {
    assert_eq!(verdict(1, false, |_, _| {}), None);
    assert_eq!(verdict(1, true, |_, _| {}), None);
    for (name, change) in [
        (
            "TooFewSignatures",
            (|s| s.truncate(1)) as fn(&mut Vec<[u8; 65]>),
        ),
        ("SignersOutOfOrder", |s| s.swap(0, 1)),
        ("SignersOutOfOrder", |s| s[1] = s[0]),
        ("SignatureRejected", |s| s[0][64] = 29),
        ("NotCommitteeMember", |s| s[2][40] ^= 1),
    ] {
        let fault = verdict(1, false, |answer, _| change(&mut answer.signatures));
        let expected = [Some(rule(name)), Some(rule("SignatureRejected"))];
        assert!(
            expected[..1 + usize::from(name.starts_with("Not"))].contains(&fault),
            "{name}: {fault:?}"
        );
    }
}

#[test]
fn signed_answers_keep_the_release_rule_and_the_form_of_plain_results() {
    let impossible = verdict(1, true, |a, _| a.passes[0].values[0] = [0xff; 32]);
    assert_eq!(impossible, Some(Fault::Impossible));
    for (name, change) in [
        (
            "CountBelowMinimum",
            (|a, _| a.passes[0].values[0] = U256::from(2).to_be_bytes())
                as fn(&mut SealedSubmission, &mut Replay<'_>),
        ),
        ("UnexpectedValue", |a, _| {
            a.passes[0].rho = U256::from(1).to_be_bytes()
        }),
        ("UnexpectedValue", |a, _| a.passes[0].mask |= 0b111),
        ("WrongCount", |a, _| a.passes.push(a.passes[0].clone())),
        ("PlanHashMismatch", |a, _| {
            a.plan = a.plan[1..].to_vec().into()
        }),
        ("UnknownCommittee", |a, _| a.committee.0 = B256::ZERO),
        ("CohortBelowMinimum", |_, replay| {
            let dataset = replay.registry.get_mut(DatasetId(1)).unwrap();
            dataset.params.minCohort = 1_000;
        }),
        ("QueryPastDeadline", |a, replay| {
            let query = replay.market.queries.get_mut(&a.query.0).unwrap();
            query.request.deadline = U256::from(1);
        }),
    ] {
        assert_eq!(verdict(1, true, change), Some(rule(name)), "{name}");
    }
}

#[test]
fn a_committee_answers_only_for_snapshots_from_its_binding_on() {
    // The second committee was bound after the first snapshot; its members are the same people.
    let late = submission(2).committee;
    let fault = verdict(0, true, |answer, replay| {
        answer.committee = late;
        let committees = &replay.committees;
        assert!(committees.all.contains_key(&late.0));
    });
    assert_eq!(fault, Some(rule("CommitteeNotBound")));
    at_answer(2, |replay, answer, _, _| {
        let at = |snapshot| {
            let kind = CommitteeKind::AdHoc;
            replay.committees.at(DatasetId(1), snapshot, kind)
        };
        assert_eq!(at(1), None);
        assert_eq!([at(2), at(3), at(9)], [Some(answer.committee.0); 3]);
    });
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| {
            matches!(a, Action::Committee(CommitteeAction::Bind { .. }))
        });
        all.remove(at);
    });
    found(dir.path(), Topic::SealedAnswers, "CommitteeNotBound");
    found(dir.path(), Topic::Sums, "had bound for the snapshot");
}

fn committee_action(n: usize, wanted: fn(&CommitteeAction) -> bool) -> TempDir {
    with_history(|all| {
        let at = nth(
            all,
            n,
            |a| matches!(a, Action::Committee(action) if wanted(action)),
        );
        all.remove(at);
    })
}

#[test]
fn equivocation_is_replayed_and_its_bond_only_slashed_because_of_it() {
    let dir = committee_action(0, |a| matches!(a, CommitteeAction::Report(_)));
    found(dir.path(), Topic::Bonds, "NotEquivocated");
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| {
            matches!(a, Action::Committee(CommitteeAction::Report(_)))
        });
        all.insert(at + 1, all[at].clone());
    });
    found(dir.path(), Topic::Committees, "MemberEquivocated");
    // A member that equivocated no longer counts.
    let fault = verdict(2, false, |_, replay| {
        let all = history_of(world::bundle());
        let mut report = AuditReport::new("test");
        let at = nth(&all, 0, |a| {
            matches!(a, Action::Committee(CommitteeAction::Report(_)))
        });
        replay.step(&all[at].0, &mut report);
    });
    assert_eq!(fault, Some(rule("MemberEquivocated")));
}

#[test]
fn bonds_are_paid_in_before_they_leave_and_after_notice() {
    let dir = committee_action(0, |a| matches!(a, CommitteeAction::DepositBond { .. }));
    found(dir.path(), Topic::Bonds, "NothingBonded");
    let dir = committee_action(1, |a| matches!(a, CommitteeAction::DepositBond { .. }));
    found(dir.path(), Topic::Bonds, "InvalidAmount");
    let dir = committee_action(0, |a| matches!(a, CommitteeAction::GiveNotice { .. }));
    found(dir.path(), Topic::Bonds, "NothingBonded");
    let dir = with_history(|all| {
        let of = |wanted: fn(&CommitteeAction) -> bool, all: &[_]| {
            nth(
                all,
                0,
                |a| matches!(a, Action::Committee(action) if wanted(action)),
            )
        };
        let notice = of(|a| matches!(a, CommitteeAction::GiveNotice { .. }), all);
        let leave = of(|a| matches!(a, CommitteeAction::WithdrawBond(_)), all);
        let soon = all[notice].0.timestamp + 3600;
        all[leave..]
            .iter_mut()
            .for_each(|(mined, _)| mined.timestamp = soon);
    });
    found(dir.path(), Topic::Bonds, "NoticeNotOver");
    // A tenth to the reporter, rounded down; the rest to the members.
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| {
            matches!(a, Action::Committee(CommitteeAction::SlashBond(_)))
        });
        let reward = U256::from(BOND / 10).to_be_bytes::<32>();
        let log = all[at].0.logs.last_mut().unwrap();
        assert_eq!(log.data.as_ref(), reward);
        log.data = U256::from(BOND / 10 + 1).to_be_bytes_vec().into();
    });
    found(dir.path(), Topic::Tokens, "not those of the rules");
}

#[test]
fn a_committee_needs_every_members_acceptance() {
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| {
            matches!(a, Action::Committee(CommitteeAction::Register { .. }))
        });
        let Action::Committee(CommitteeAction::Register { acceptances, .. }) = &all[at].1.action
        else {
            unreachable!();
        };
        let needle = acceptances[1];
        let mut raw = all[at].0.raw.to_vec();
        let found = raw.windows(65).position(|w| w == needle).unwrap();
        raw[found + 10] ^= 1;
        all[at].0.raw = raw.into();
    });
    found(dir.path(), Topic::Committees, "AcceptanceRejected");
}
