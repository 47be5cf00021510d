//! Decoders of messages.

use proptest::prelude::*;
use salus_committee::answer::{
    HolderSignature, ReleasedPass, Report, SealedAnswer, Signature, SignedAnswer,
};
use salus_committee::ledger::Address;
use salus_committee::message::{
    MessageError, OpenRequest, Opening, Phase, Reply, Request, Target, Values, Wire,
};
use salus_committee::opening::{CheckRequest, Failure, ZeroTarget};
use salus_committee::refusal::{MAX_DETAIL, Refusal, RefusalCode};
use salus_committee::shape::{HolderIndex, SubsetIndex};

fn opening() -> Opening {
    Opening {
        request: OpenRequest {
            query: [1; 32],
            question: "{}".to_owned(),
            dataset: 300,
            snapshot: 2,
            target: Target::Cube([4; 32]),
        },
        ciphertext_hash: [5; 32],
    }
}

fn requests() -> Vec<Request> {
    let values = vec![Values(vec![1, u128::MAX]), Values(vec![])];
    vec![
        Request::Status,
        Request::Open(opening().request),
        Request::Counts(opening()),
        Request::Sums(opening(), values.clone()),
        Request::Sign(opening(), values.clone(), values),
        Request::Vouch(
            opening(),
            Phase::Sums,
            vec![Values(vec![4; 2])],
            vec![(SubsetIndex(300), [6; 32])],
        ),
        Request::ZeroPartial(CheckRequest {
            check: [7; 32],
            target: ZeroTarget::Subset {
                round: 1,
                subset: 2,
                from: 3,
                to: 400,
            },
            excluded: vec![1, 500],
            expected: [8; 32],
            coin: vec![[9; 32], [10; 32]],
        }),
        Request::Coin([11; 32]),
        Request::CoinSeeds([12; 32]),
    ]
}

fn replies() -> Vec<Reply> {
    let report = Report {
        liars: vec![HolderIndex(2)],
        refused: vec![(
            HolderIndex(1),
            Refusal::new(RefusalCode::NotFunded, "no escrow"),
        )],
        unchecked: vec![SubsetIndex(3)],
        ..Report::default()
    };
    vec![
        Reply::Answer(Box::new(SignedAnswer {
            answer: SealedAnswer {
                query: [1; 32],
                dataset: 1,
                snapshot: 2,
                committee: [3; 32],
                ciphertext_hash: [4; 32],
                plan_hash: [5; 32],
                results: vec![ReleasedPass {
                    mask: 1 << 63,
                    values: vec![0, 7],
                }],
                min_cohort: 10,
                min_cell: 5,
            },
            signatures: vec![HolderSignature {
                holder: HolderIndex(0),
                address: Address([9; 20]),
                signature: Signature([7; 65]),
            }],
            report: report.clone(),
            noise_micro_sigma: 0,
        })),
        Reply::Partials(vec![Values(vec![3; 5])]),
        Reply::Signature(Signature([1; 65])),
        Reply::Vouched(Some(vec![SubsetIndex(1)])),
        Reply::Verdict(true),
        Reply::Taken,
        Reply::Refused(Refusal::new(RefusalCode::BelowCohort, "few")),
        Reply::Failed(Box::new(Failure::Disagreement {
            subset: SubsetIndex(1),
            holders: vec![HolderIndex(4)],
            report: Box::new(report),
        })),
    ]
}

#[test]
fn messages_come_back_from_their_encoding() {
    for request in requests() {
        let bytes = request.encode().unwrap();
        assert_eq!(Request::decode(request.kind(), &bytes), Ok(request));
    }
    for reply in replies() {
        let bytes = reply.encode().unwrap();
        assert_eq!(Reply::decode(reply.kind(), &bytes), Ok(reply));
    }
}

#[test]
fn a_message_of_another_kind_or_length_is_refused() {
    for request in requests() {
        let mut bytes = request.encode().unwrap();
        let other = (request.kind() + 1) % 8;
        assert!(Request::decode(other, &bytes).is_err());
        bytes.push(0);
        assert!(Request::decode(request.kind(), &bytes).is_err());
        bytes.truncate(bytes.len() - 2);
        assert!(Request::decode(request.kind(), &bytes).is_err());
    }
    assert_eq!(
        Request::decode(77, &[]),
        Err(MessageError::Kind { found: 77 })
    );
    let long = OpenRequest {
        question: "x".repeat(70_000),
        ..opening().request
    };
    assert!(matches!(
        Request::Open(long).encode(),
        Err(MessageError::Size { kind: 1, .. })
    ));
}

#[test]
fn a_second_encoding_of_the_same_message_is_refused() {
    let request = Request::Open(opening().request);
    let bytes = request.encode().unwrap();
    // The length of the question, 2, as a two-byte variable-length integer.
    let at = bytes.iter().rposition(|&b| b == b'{').unwrap() - 1;
    assert_eq!(bytes[at], 2);
    let mut padded = bytes[..at].to_vec();
    padded.extend([0x82, 0x00]);
    padded.extend(&bytes[at + 1..]);
    assert_eq!(
        Request::decode(1, &padded),
        Err(MessageError::Encoding { kind: 1 })
    );
}

#[test]
fn every_largest_honest_message_fits() {
    let values = Values(vec![u128::MAX; 4096]);
    let all = vec![values; 200];
    assert!(
        Request::Sign(opening(), all.clone(), all.clone())
            .encode()
            .is_ok()
    );
    assert!(Reply::Partials(all).encode().is_ok());
    let detail = Refusal::new(RefusalCode::Unavailable, "é".repeat(5 * MAX_DETAIL));
    assert!(detail.detail.len() <= MAX_DETAIL);
    assert!(Reply::Refused(detail).encode().is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoders_panic(kind in 0u8..10, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = Request::decode(kind, &bytes) {
            prop_assert_eq!(request.encode().unwrap(), bytes.clone());
        }
        if let Ok(reply) = Reply::decode(kind, &bytes) {
            prop_assert_eq!(reply.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn a_changed_message_is_refused_or_another_one(which in 0usize..15, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (kind, mut bytes, request) = match requests().get(which) {
            Some(request) => (request.kind(), request.encode().unwrap(), true),
            None => {
                let reply = &replies()[which - 7];
                (reply.kind(), reply.encode().unwrap(), false)
            }
        };
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if request {
            if let Ok(changed) = Request::decode(kind, &bytes) {
                prop_assert_eq!(changed.encode().unwrap(), bytes);
            }
        } else if let Ok(changed) = Reply::decode(kind, &bytes) {
            prop_assert_eq!(changed.encode().unwrap(), bytes);
        }
    }
}
