// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnswerVerifier, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {CommitteeKind, CommitteeParams, ICommittee, SealedAnswer} from "../src/interfaces/ICommittee.sol";
import {IQueryMarket, QueryStatus, SealedEvidence} from "../src/interfaces/IQueryMarket.sol";
import {Bn254} from "../src/proof/Bn254.sol";
import {SealedWorld} from "./SealedWorld.sol";

contract SealedAnswerTest is SealedWorld {
    function setUp() external {
        deploy();
        appoint(4, 2);
        join(0, 8);
        takeSnapshot();
    }

    function _plan() private pure returns (bytes memory) {
        return plan4(cellsPass(), 1);
    }

    function _values() private pure returns (PassResult[] memory) {
        return results(result(0, 0, 12, 7, 31));
    }

    function _refuses(bytes32 queryId, PassResult[] memory list, SealedEvidence memory proof, bytes4 reason) private {
        bytes memory plan = _plan();
        vm.expectPartialRevert(reason);
        market.acceptSealedAnswer(queryId, plan, list, proof);
    }

    function _refusesList(bytes memory plan, PassResult[] memory list, bytes4 reason) private {
        bytes32 queryId = fund(plan, uint256(keccak256(abi.encode(plan, list))));
        SealedEvidence memory proof = evidenceFor(queryId, plan, list, some(2));
        vm.expectPartialRevert(reason);
        market.acceptSealedAnswer(queryId, plan, list, proof);
    }

    // ---------------------------------------------------------------- accepted

    function test_pays_members_and_custodian_whoever_relays() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(2));
        vm.expectEmit(address(market));
        emit IQueryMarket.SealedAnswerAccepted(queryId, dataset, 1, committeeId, CIPHERTEXTS, CUSTODIAN, _values());
        market.acceptSealedAnswer(queryId, _plan(), _values(), proof);
        assertTrue(market.query(queryId).status == QueryStatus.Answered, "answered");
        assertEq(market.query(queryId).beneficiary, CUSTODIAN, "beneficiary");
        assertEq(market.query(queryId).planHash, bytes32(0), "plan hash");
        uint256 rewards = market.settle(ids(queryId));
        assertEq(rewards, uint256(PRICE) * REWARD_BPS / 10_000, "members' part");
        assertEq(market.credit(address(token), CUSTODIAN), PRICE - rewards, "custodian's part");
        assertEq(market.credit(address(token), address(this)), 0, "relayer");
        market.withdraw(address(token), CUSTODIAN);
        assertEq(market.obligations(address(token)), 0, "nothing owed");
        assertEq(token.balanceOf(address(market)), 0, "nothing left");
    }

    function test_the_digest_is_that_of_the_market_s_domain() external {
        SealedAnswer memory answer = sealedAnswer(fund(_plan(), 1), _plan(), _values());
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Salus QueryMarket"),
                keccak256("1"),
                block.chainid,
                address(market)
            )
        );
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256(
                    "SealedAnswer(bytes32 queryId,uint256 datasetId,uint256 snapshotId,bytes32 committeeId,bytes32 ciphertextHash,bytes32 planHash,bytes32 resultsHash,bytes32 releaseHash)"
                ),
                answer.queryId,
                answer.datasetId,
                answer.snapshotId,
                answer.committeeId,
                answer.ciphertextHash,
                answer.planHash,
                answer.resultsHash,
                answer.releaseHash
            )
        );
        assertEq(committee.digestOf(answer), keccak256(abi.encodePacked(hex"1901", domain, structHash)), "digest");
    }

    function test_accepts_two_passes_with_suppressed_groups() external {
        bytes memory plan = plan4(bytes.concat(cellsPass(), momentsPass()), 2);
        PassResult[] memory list = results(result(2, 0, 12, 0, 31), result(4, 0, 12, 40, 0));
        bytes32 queryId = fund(plan, 1);
        market.acceptSealedAnswer(queryId, plan, list, evidenceFor(queryId, plan, list, some(3)));
    }

    function test_accepts_an_answer_over_the_snapshot_it_was_asked_of() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(4));
        // Another committee for what comes, and members that come and go, change nothing for this query.
        uint256[] memory keys = holderKeys(3, "other");
        bytes32 next = enrol(committeeOf(keys, 2, CommitteeKind.Cubes), keys);
        vm.prank(ADMIN);
        committee.bind(dataset, next);
        join(1, 2);
        takeSnapshot();
        SealedAnswer memory answer = sealedAnswer(queryId, _plan(), _values());
        answer.committeeId = next;
        _refuses(queryId, _values(), evidence(keys, answer), ICommittee.CommitteeNotBound.selector);
        market.acceptSealedAnswer(queryId, _plan(), _values(), proof);
        queryId = fund(_plan(), 2);
        proof = evidenceFor(queryId, _plan(), _values(), some(4));
        _refuses(queryId, _values(), proof, ICommittee.CommitteeNotBound.selector);
        answer = sealedAnswer(queryId, _plan(), _values());
        answer.committeeId = next;
        market.acceptSealedAnswer(queryId, _plan(), _values(), evidence(keys, answer));
    }

    function test_proven_and_sealed_answers_share_one_escrow() external {
        bytes32 first = fund(_plan(), 1);
        bytes32 second = fund(_plan(), 2);
        uint256[] memory proofs = simulate(first, 1, _plan(), _values());
        vm.prank(CUSTODIAN);
        market.acceptAnswer(first, _plan(), _values(), proofs);
        SealedEvidence memory proof = evidenceFor(first, _plan(), _values(), some(2));
        _refuses(first, _values(), proof, IQueryMarket.QueryNotOpen.selector);
        proof = evidenceFor(second, _plan(), _values(), some(2));
        market.acceptSealedAnswer(second, _plan(), _values(), proof);
        _refuses(second, _values(), proof, IQueryMarket.QueryNotOpen.selector);
        proofs = simulate(second, 1, _plan(), _values());
        vm.prank(CUSTODIAN);
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.acceptAnswer(second, _plan(), _values(), proofs);
        bytes32[] memory both = new bytes32[](2);
        (both[0], both[1]) = (first, second);
        assertEq(market.settle(both), 2 * uint256(PRICE) * REWARD_BPS / 10_000, "rewards");
    }

    // ---------------------------------------------------------------- the query's state

    function test_refuses_an_answer_to_a_query_that_is_not_open() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(2));
        _refuses(keccak256("no query"), _values(), proof, IQueryMarket.QueryNotOpen.selector);
        vm.prank(CUSTODIAN);
        market.refuse(queryId, 1);
        _refuses(queryId, _values(), proof, IQueryMarket.QueryNotOpen.selector);
    }

    function test_refunds_in_full_when_the_committee_never_answers() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(2));
        vm.warp(block.timestamp + 1 days + 1);
        _refuses(queryId, _values(), proof, IQueryMarket.QueryPastDeadline.selector);
        market.refundExpired(queryId);
        assertEq(market.credit(address(token), RESEARCHER), PRICE, "credit");
        _refuses(queryId, _values(), proof, IQueryMarket.QueryNotOpen.selector);
    }

    function test_refuses_another_plan() external {
        bytes32 queryId = fund(_plan(), 1);
        bytes memory other = plan4(momentsPass(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, other, _values(), some(2));
        vm.expectRevert(IQueryMarket.PlanHashMismatch.selector);
        market.acceptSealedAnswer(queryId, other, _values(), proof);
    }

    // ---------------------------------------------------------------- what may be shown

    function test_keeps_to_the_release_rule() external {
        bytes memory moments = plan4(momentsPass(), 1);
        _refusesList(_plan(), results(result(4, 0, 5, 4, 0)), IQueryMarket.CountBelowMinimum.selector);
        _refusesList(_plan(), results(result(6, 0, 9, 0, 0)), IQueryMarket.CohortBelowMinimum.selector);
        _refusesList(_plan(), results(result(8, 0, 12, 7, 31)), IQueryMarket.InvalidMask.selector);
        _refusesList(moments, results(result(0, 0, 12, 40, 99)), IQueryMarket.InvalidMask.selector);
        _refusesList(moments, results(result(5, 0, 0, 40, 0)), IQueryMarket.InvalidMask.selector);
        _refusesList(
            _plan(), results(result(0, 0, 12, 7, 31), result(0, 0, 12, 7, 31)), IAnswerVerifier.WrongCount.selector
        );
        _refusesList(hex"020401", _values(), IAnswerVerifier.MalformedPlan.selector);
    }

    function test_refuses_results_that_are_not_those_of_a_direct_answer() external {
        _refusesList(_plan(), results(result(0, 1, 12, 7, 31)), IAnswerVerifier.UnexpectedValue.selector);
        // A suppressed count that is shown after all.
        _refusesList(_plan(), results(result(2, 0, 12, 3, 31)), IAnswerVerifier.UnexpectedValue.selector);
        _refusesList(_plan(), results(result(0, 0, Bn254.R, 7, 31)), IAnswerVerifier.NonCanonicalScalar.selector);
        bytes32 queryId = fund(_plan(), 1);
        PassResult[] memory list = results(result(0, 0, 12, 7, Bn254.R - 1));
        market.acceptSealedAnswer(queryId, _plan(), list, evidenceFor(queryId, _plan(), list, some(2)));
    }

    // ---------------------------------------------------------------- signatures

    function test_refuses_signatures_of_another_committee() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedAnswer memory answer = sealedAnswer(queryId, _plan(), _values());
        answer.committeeId = keccak256("no committee");
        _refuses(queryId, _values(), evidence(some(2), answer), ICommittee.UnknownCommittee.selector);
        // One that exists, with the same members, but that the dataset did not name.
        answer.committeeId = enrol(committeeOf(holders, 3, CommitteeKind.Cubes), holders);
        _refuses(queryId, _values(), evidence(some(3), answer), ICommittee.CommitteeNotBound.selector);
        // Signatures for it do not count for the one that the dataset named.
        SealedEvidence memory proof = evidence(some(3), answer);
        proof.committeeId = committeeId;
        _refuses(queryId, _values(), proof, ICommittee.NotCommitteeMember.selector);
        uint256[] memory strangers = holderKeys(2, "other");
        proof = evidenceFor(queryId, _plan(), _values(), strangers);
        _refuses(queryId, _values(), proof, ICommittee.NotCommitteeMember.selector);
    }

    function test_a_dataset_without_a_committee_takes_no_sealed_answers() external {
        vm.prank(ADMIN);
        committee.unbind(dataset, CommitteeKind.Cubes);
        takeSnapshot();
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(2));
        _refuses(queryId, _values(), proof, ICommittee.CommitteeNotBound.selector);
    }

    function test_refuses_too_few_or_malformed_signatures() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(1));
        _refuses(queryId, _values(), proof, ICommittee.TooFewSignatures.selector);
        proof.signatures = "";
        _refuses(queryId, _values(), proof, ICommittee.TooFewSignatures.selector);
        proof = evidenceFor(queryId, _plan(), _values(), some(2));
        proof.signatures = bytes.concat(proof.signatures, hex"1b");
        _refuses(queryId, _values(), proof, ICommittee.MalformedSignatures.selector);
        proof.signatures = new bytes(130);
        _refuses(queryId, _values(), proof, ICommittee.SignatureRejected.selector);
    }

    function test_refuses_a_signer_twice_or_out_of_order() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), pair(holders[1], holders[1]));
        _refuses(queryId, _values(), proof, ICommittee.SignersOutOfOrder.selector);
        proof = evidenceFor(queryId, _plan(), _values(), pair(holders[2], holders[1]));
        _refuses(queryId, _values(), proof, ICommittee.SignersOutOfOrder.selector);
    }

    function test_refuses_the_twin_of_a_signature() external {
        bytes32 queryId = fund(_plan(), 1);
        bytes32 digest = committee.digestOf(sealedAnswer(queryId, _plan(), _values()));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(holders[1], digest);
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes memory twin = abi.encodePacked(r, order - uint256(s), 55 - v);
        SealedEvidence memory proof =
            SealedEvidence(committeeId, CIPHERTEXTS, bytes.concat(signOne(holders[0], digest), twin));
        _refuses(queryId, _values(), proof, ICommittee.SignatureRejected.selector);
        // A parity of 0 or 1 instead of 27 or 28.
        proof.signatures = bytes.concat(signOne(holders[0], digest), abi.encodePacked(r, s, v - 27));
        _refuses(queryId, _values(), proof, ICommittee.SignatureRejected.selector);
        proof.signatures = bytes.concat(signOne(holders[0], digest), abi.encodePacked(r, s, v));
        market.acceptSealedAnswer(queryId, _plan(), _values(), proof);
    }

    function test_signatures_of_a_member_that_equivocated_no_longer_count() external {
        bytes32 queryId = fund(_plan(), 1);
        SealedAnswer memory a = sealedAnswer(queryId, _plan(), _values());
        SealedAnswer memory b = sealedAnswer(queryId, _plan(), results(result(0, 0, 12, 8, 31)));
        bytes memory signatureA = signOne(holders[1], committee.digestOf(a));
        bytes memory signatureB = signOne(holders[1], committee.digestOf(b));
        committee.reportEquivocation(committeeId, a, b, signatureA, signatureB);
        SealedEvidence memory proof = evidence(some(2), a);
        _refuses(queryId, _values(), proof, ICommittee.MemberEquivocated.selector);
        proof = evidence(pair(holders[0], holders[2]), a);
        market.acceptSealedAnswer(queryId, _plan(), _values(), proof);
    }

    function test_refuses_signatures_for_another_chain() external {
        bytes32 queryId = fund(_plan(), 1);
        vm.chainId(OTHER_CHAIN);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(2));
        vm.chainId(HOME_CHAIN);
        _refuses(queryId, _values(), proof, ICommittee.NotCommitteeMember.selector);
    }

    // ---------------------------------------------------------------- fuzz

    /// @notice Whatever set of holders signs, the answer is accepted exactly when there are enough of them.
    function testFuzz_any_large_enough_set_of_holders_is_enough(uint256 mask) external {
        bytes32 queryId = fund(_plan(), 1);
        uint256[] memory keys = new uint256[](4);
        uint256 count;
        for (uint256 i = 0; i < 4; i++) {
            if (mask >> i & 1 != 0) keys[count++] = holders[i];
        }
        assembly ("memory-safe") {
            mstore(keys, count)
        }
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), keys);
        if (count < 2) vm.expectPartialRevert(ICommittee.TooFewSignatures.selector);
        market.acceptSealedAnswer(queryId, _plan(), _values(), proof);
    }

    /// @notice Any sequence of three picks from holders and one stranger passes only in strict order without the stranger.
    function testFuzz_only_distinct_holders_in_order_count(uint8[3] memory picks) external {
        bytes32 queryId = fund(_plan(), 1);
        uint256[] memory keys = new uint256[](3);
        bool good = true;
        for (uint256 i = 0; i < 3; i++) {
            uint256 pick = picks[i] % 5;
            keys[i] = pick == 4 ? 0xBAD : holders[pick];
            good = good && pick != 4 && (i == 0 || pick > picks[i - 1] % 5);
        }
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), keys);
        if (!good) vm.expectRevert();
        market.acceptSealedAnswer(queryId, _plan(), _values(), proof);
    }

    /// @notice A change of anything that was signed makes the signatures those of nobody in the committee.
    function testFuzz_refuses_signatures_over_anything_else(uint256 which, bytes32 change) external {
        vm.assume(change != 0);
        bytes32 queryId = fund(_plan(), 1);
        SealedAnswer memory answer = sealedAnswer(queryId, _plan(), _values());
        which = bound(which, 0, 7);
        assembly ("memory-safe") {
            let word := add(answer, mul(32, which))
            mstore(word, xor(mload(word), change))
        }
        SealedEvidence memory proof =
            SealedEvidence(committeeId, CIPHERTEXTS, signAll(some(2), committee.digestOf(answer)));
        _refuses(queryId, _values(), proof, ICommittee.NotCommitteeMember.selector);
    }

    function testFuzz_refuses_values_off_by_one(uint256 t, bool down) external {
        bytes32 queryId = fund(_plan(), 1);
        SealedEvidence memory proof = evidenceFor(queryId, _plan(), _values(), some(2));
        PassResult[] memory list = _values();
        uint256 value = list[0].values[t % 3];
        list[0].values[t % 3] = down ? value - 1 : value + 1;
        _refuses(queryId, list, proof, ICommittee.NotCommitteeMember.selector);
    }
}
