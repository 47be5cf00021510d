// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnswerVerifier, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {ICohortRegistry} from "../src/interfaces/ICohortRegistry.sol";
import {IQueryMarket, Query, QueryRequest, QueryStatus} from "../src/interfaces/IQueryMarket.sol";
import {FeeOnTransferToken, ReentrantToken} from "./cheaters/Tokens.sol";
import {World} from "./World.sol";

contract QueryMarketTest is World {
    uint256 private constant RESEARCHER_KEY = 0xBEEF;

    function setUp() external {
        deploy();
        join(0, 8);
        takeSnapshot();
    }

    function _plan() private pure returns (bytes memory) {
        return plan4(cellsPass(), 1);
    }

    function _values() private pure returns (PassResult[] memory) {
        return results(result(0, 0, 12, 7, 31));
    }

    function _accept(bytes32 queryId, bytes memory plan, PassResult[] memory list) private {
        uint256[] memory proofs = simulate(queryId, registry.latestSnapshot(dataset), plan, list);
        vm.prank(CUSTODIAN);
        market.acceptAnswer(queryId, plan, list, proofs);
    }

    function _refusesAnswer(bytes memory plan, PassResult[] memory list, bytes4 reason) private {
        bytes32 queryId = fund(plan, uint256(keccak256(abi.encode(plan, list))));
        uint256[] memory proofs = simulate(queryId, 1, plan, list);
        vm.prank(CUSTODIAN);
        vm.expectPartialRevert(reason);
        market.acceptAnswer(queryId, plan, list, proofs);
    }

    function _status(bytes32 queryId) private view returns (QueryStatus) {
        return market.query(queryId).status;
    }

    // ---------------------------------------------------------------- funding

    function test_takes_the_payment_into_escrow() external {
        QueryRequest memory asked = request(_plan(), 1);
        vm.prank(RESEARCHER);
        bytes32 queryId = market.fund(asked);
        assertEq(
            queryId,
            keccak256(
                abi.encode(
                    block.chainid,
                    address(market),
                    dataset,
                    uint256(1),
                    asked.planHash,
                    asked.bodyHash,
                    RESEARCHER,
                    uint256(1)
                )
            ),
            "query id"
        );
        assertEq(token.balanceOf(address(market)), PRICE, "balance");
        assertEq(market.obligations(address(token)), PRICE, "obligations");
        assertEq(market.query(queryId).beneficiary, RESEARCHER, "beneficiary");
    }

    function _refusesFunding(QueryRequest memory asked, bytes4 reason) private {
        vm.prank(RESEARCHER);
        vm.expectPartialRevert(reason);
        market.fund(asked);
    }

    function test_refuses_requests_that_it_cannot_honour() external {
        QueryRequest memory asked = request(_plan(), 1);
        asked.amount = PRICE - 1;
        _refusesFunding(asked, IQueryMarket.AmountBelowPrice.selector);
        asked.amount = 1 << 96;
        _refusesFunding(asked, IQueryMarket.AmountTooLarge.selector);
        asked = request(_plan(), 1);
        asked.deadline = block.timestamp;
        _refusesFunding(asked, IQueryMarket.InvalidDeadline.selector);
        asked.deadline = 1 << 32;
        _refusesFunding(asked, IQueryMarket.InvalidDeadline.selector);
        asked = request(_plan(), 1);
        asked.token = address(this);
        _refusesFunding(asked, IQueryMarket.TokenNotAccepted.selector);
        asked = request(_plan(), 1);
        asked.datasetId = 77;
        _refusesFunding(asked, IQueryMarket.SnapshotNotLatest.selector);
        asked = request(_plan(), 1);
        takeSnapshot();
        _refusesFunding(asked, IQueryMarket.SnapshotNotLatest.selector);
        asked = request(_plan(), 1);
        fund(_plan(), 1);
        _refusesFunding(asked, IQueryMarket.QueryExists.selector);
    }

    function test_refuses_a_token_that_keeps_a_fee() external {
        FeeOnTransferToken fee = new FeeOnTransferToken();
        vm.prank(ADMIN);
        registry.setPrice(dataset, address(fee), 100);
        fee.mint(RESEARCHER, 1000);
        vm.prank(RESEARCHER);
        fee.approve(address(market), 1000);
        QueryRequest memory asked = request(_plan(), 1);
        asked.token = address(fee);
        asked.amount = 1000;
        _refusesFunding(asked, IQueryMarket.AmountNotReceived.selector);
    }

    function _permit(address owner, uint256 amount) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                owner,
                address(market),
                amount,
                token.nonces(owner),
                type(uint256).max
            )
        );
        return vm.sign(RESEARCHER_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }

    function test_funds_with_a_permit_even_when_someone_else_used_it_first() external {
        address owner = vm.addr(RESEARCHER_KEY);
        token.mint(owner, 10 * PRICE);
        (uint8 v, bytes32 r, bytes32 s) = _permit(owner, PRICE);
        QueryRequest memory asked = request(_plan(), 1);
        vm.prank(owner);
        market.fundWithPermit(asked, type(uint256).max, v, r, s);
        (v, r, s) = _permit(owner, PRICE);
        token.permit(owner, address(market), PRICE, type(uint256).max, v, r, s);
        asked.nonce = 2;
        vm.prank(owner);
        market.fundWithPermit(asked, type(uint256).max, v, r, s);
        assertEq(market.obligations(address(token)), 2 * PRICE, "both funded");
        asked.nonce = 3;
        vm.prank(owner);
        vm.expectRevert();
        market.fundWithPermit(asked, type(uint256).max, v, r, s);
    }

    // ---------------------------------------------------------------- answers

    function test_pays_members_and_custodian_for_an_answer() external {
        bytes32 queryId = fund(_plan(), 1);
        _accept(queryId, _plan(), _values());
        assertTrue(_status(queryId) == QueryStatus.Answered, "answered");
        assertEq(market.obligations(address(token)), PRICE, "still owed");
        uint256 rewards = market.settle(ids(queryId));
        assertEq(rewards, uint256(PRICE) * REWARD_BPS / 10_000, "members' part");
        assertEq(market.credit(address(token), CUSTODIAN), PRICE - rewards, "custodian's part");
        assertEq(token.balanceOf(address(pool)), rewards, "pool");
        assertEq(market.obligations(address(token)), PRICE - rewards, "owed to the custodian");
        market.withdraw(address(token), CUSTODIAN);
        assertEq(token.balanceOf(CUSTODIAN), PRICE - rewards, "withdrawn");
        assertEq(market.obligations(address(token)), 0, "nothing owed");
        assertEq(token.balanceOf(address(market)), 0, "nothing left");
    }

    function test_settles_several_queries_together() external {
        bytes32[] memory queryIds = new bytes32[](3);
        for (uint256 i = 0; i < 3; i++) {
            if (i == 2) takeSnapshot();
            queryIds[i] = fund(_plan(), i);
            _accept(queryIds[i], _plan(), _values());
        }
        uint256 each = uint256(PRICE) * REWARD_BPS / 10_000;
        assertEq(market.settle(queryIds), 3 * each, "rewards");
        assertEq(pool.deposited(dataset, 1, address(token)), 2 * each, "first snapshot");
        assertEq(pool.deposited(dataset, 2, address(token)), each, "second snapshot");
    }

    function test_pays_the_custodian_that_answered() external {
        bytes32 queryId = fund(_plan(), 1);
        _accept(queryId, _plan(), _values());
        vm.prank(ADMIN);
        registry.setCustodian(dataset, address(this));
        market.settle(ids(queryId));
        assertTrue(market.credit(address(token), CUSTODIAN) != 0, "old custodian");
        assertEq(market.credit(address(token), address(this)), 0, "new custodian");
    }

    function test_accepts_two_parts_over_two_chunks() external {
        join(1, 3);
        takeSnapshot();
        PassResult memory r;
        r.rho = 4;
        r.values = new uint256[](2);
        (r.values[0], r.values[1]) = (6, 9);
        bytes32 queryId = fund(plan8(), 1);
        _accept(queryId, plan8(), results(r));
        assertTrue(_status(queryId) == QueryStatus.Answered, "answered");
    }

    function test_accepts_an_answer_over_a_snapshot_that_has_passed() external {
        bytes32 queryId = fund(_plan(), 1);
        join(1, 2);
        takeSnapshot();
        uint256[] memory proofs = simulate(queryId, 1, _plan(), _values());
        vm.prank(CUSTODIAN);
        market.acceptAnswer(queryId, _plan(), _values(), proofs);
    }

    function test_refuses_answers_by_anyone_but_the_custodian() external {
        bytes32 queryId = fund(_plan(), 1);
        uint256[] memory proofs = simulate(queryId, 1, _plan(), _values());
        vm.expectRevert(IQueryMarket.NotCustodian.selector);
        market.acceptAnswer(queryId, _plan(), _values(), proofs);
    }

    function test_refuses_an_answer_twice() external {
        bytes32 queryId = fund(_plan(), 1);
        _accept(queryId, _plan(), _values());
        uint256[] memory proofs = simulate(queryId, 1, _plan(), _values());
        vm.prank(CUSTODIAN);
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.acceptAnswer(queryId, _plan(), _values(), proofs);
        market.settle(ids(queryId));
        vm.prank(CUSTODIAN);
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.acceptAnswer(queryId, _plan(), _values(), proofs);
    }

    function test_refuses_an_answer_after_the_deadline() external {
        bytes32 queryId = fund(_plan(), 1);
        uint256[] memory proofs = simulate(queryId, 1, _plan(), _values());
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(IQueryMarket.QueryNotPastDeadline.selector);
        market.refundExpired(queryId);
        vm.warp(block.timestamp + 1);
        vm.prank(CUSTODIAN);
        vm.expectRevert(IQueryMarket.QueryPastDeadline.selector);
        market.acceptAnswer(queryId, _plan(), _values(), proofs);
    }

    function test_refuses_another_plan() external {
        bytes32 queryId = fund(_plan(), 1);
        bytes memory other = plan4(momentsPass(), 1);
        vm.prank(CUSTODIAN);
        vm.expectRevert(IQueryMarket.PlanHashMismatch.selector);
        market.acceptAnswer(queryId, other, _values(), new uint256[](12));
    }

    function test_refuses_a_proof_made_for_another_query() external {
        bytes32 first = fund(_plan(), 1);
        bytes32 second = fund(_plan(), 2);
        uint256[] memory proofs = simulate(first, 1, _plan(), _values());
        vm.prank(CUSTODIAN);
        vm.expectRevert(IAnswerVerifier.ProofRejected.selector);
        market.acceptAnswer(second, _plan(), _values(), proofs);
    }

    function testFuzz_refuses_an_answer_off_by_one(uint256 t) external {
        bytes32 queryId = fund(_plan(), 1);
        PassResult[] memory list = _values();
        uint256[] memory proofs = simulate(queryId, 1, _plan(), list);
        list[0].values[t % 3] += 1;
        vm.prank(CUSTODIAN);
        vm.expectRevert(IAnswerVerifier.ProofRejected.selector);
        market.acceptAnswer(queryId, _plan(), list, proofs);
    }

    // ---------------------------------------------------------------- release rule

    function test_refuses_a_cohort_below_the_minimum() external {
        _refusesAnswer(_plan(), results(result(4, 0, 5, 4 + 0, 0)), IQueryMarket.CountBelowMinimum.selector);
        _refusesAnswer(_plan(), results(result(6, 0, 9, 0, 0)), IQueryMarket.CohortBelowMinimum.selector);
        _refusesAnswer(_plan(), results(result(7, 0, 0, 0, 0)), IQueryMarket.CohortBelowMinimum.selector);
    }

    function test_counts_the_largest_pass_towards_the_cohort_and_not_the_sum() external {
        bytes memory plan = plan4(bytes.concat(cellsPass(), momentsPass()), 2);
        PassResult[] memory list = results(result(6, 0, 6, 0, 0), result(4, 0, 6, 12, 0));
        _refusesAnswer(plan, list, IQueryMarket.CohortBelowMinimum.selector);
    }

    function test_refuses_a_published_count_below_the_minimum_cell() external {
        _refusesAnswer(_plan(), results(result(0, 0, 12, 4, 31)), IQueryMarket.CountBelowMinimum.selector);
        _refusesAnswer(_plan(), results(result(0, 0, 12, 0, 31)), IQueryMarket.CountBelowMinimum.selector);
    }

    function test_accepts_the_same_cell_suppressed() external {
        bytes32 queryId = fund(_plan(), 1);
        _accept(queryId, _plan(), results(result(2, 0, 12, 0, 31)));
    }

    function test_refuses_masks_that_show_more_than_the_plan() external {
        bytes memory plan = plan4(momentsPass(), 1);
        _refusesAnswer(plan, results(result(0, 0, 12, 40, 99)), IQueryMarket.InvalidMask.selector);
        _refusesAnswer(plan, results(result(2, 0, 12, 0, 99)), IQueryMarket.InvalidMask.selector);
    }

    function test_refuses_sums_of_a_group_whose_count_is_hidden() external {
        bytes memory plan = plan4(momentsPass(), 1);
        _refusesAnswer(plan, results(result(5, 0, 0, 40, 0)), IQueryMarket.InvalidMask.selector);
    }

    function test_refuses_mask_bits_without_a_value() external {
        _refusesAnswer(_plan(), results(result(8, 0, 12, 7, 31)), IQueryMarket.InvalidMask.selector);
    }

    function test_accepts_count_and_sum_of_a_group() external {
        bytes memory plan = plan4(momentsPass(), 1);
        bytes32 queryId = fund(plan, 1);
        _accept(queryId, plan, results(result(4, 0, 12, 40, 0)));
    }

    // ---------------------------------------------------------------- refunds

    function test_refunds_in_full_when_the_custodian_refuses() external {
        bytes32 queryId = fund(_plan(), 1);
        vm.expectRevert(IQueryMarket.NotCustodian.selector);
        market.refuse(queryId, 3);
        vm.prank(CUSTODIAN);
        market.refuse(queryId, 3);
        uint256 before = token.balanceOf(RESEARCHER);
        assertEq(market.withdraw(address(token), RESEARCHER), PRICE, "refund");
        assertEq(token.balanceOf(RESEARCHER) - before, PRICE, "received");
        vm.expectRevert(IQueryMarket.NothingToWithdraw.selector);
        market.withdraw(address(token), RESEARCHER);
    }

    function test_refunds_in_full_after_the_deadline() external {
        bytes32 queryId = fund(_plan(), 1);
        vm.warp(block.timestamp + 1 days + 1);
        market.refundExpired(queryId);
        assertEq(market.credit(address(token), RESEARCHER), PRICE, "credit");
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.refundExpired(queryId);
        vm.prank(CUSTODIAN);
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.refuse(queryId, 1);
    }

    function test_refuses_a_refund_after_an_answer() external {
        bytes32 queryId = fund(_plan(), 1);
        _accept(queryId, _plan(), _values());
        vm.warp(block.timestamp + 2 days);
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.refundExpired(queryId);
        vm.prank(CUSTODIAN);
        vm.expectPartialRevert(IQueryMarket.QueryNotOpen.selector);
        market.refuse(queryId, 1);
    }

    function test_refuses_to_settle_what_is_not_answered_or_settled_already() external {
        bytes32 queryId = fund(_plan(), 1);
        vm.expectPartialRevert(IQueryMarket.QueryNotAnswered.selector);
        market.settle(ids(queryId));
        _accept(queryId, _plan(), _values());
        market.settle(ids(queryId));
        vm.expectPartialRevert(IQueryMarket.QueryNotAnswered.selector);
        market.settle(ids(queryId));
        bytes32[] memory twice = new bytes32[](2);
        (twice[0], twice[1]) = (fund(_plan(), 2), market.queryIdOf(RESEARCHER, request(_plan(), 2)));
        _accept(twice[0], _plan(), _values());
        vm.expectPartialRevert(IQueryMarket.QueryNotAnswered.selector);
        market.settle(twice);
    }

    // ---------------------------------------------------------------- reentrancy

    function _reentrant() private returns (ReentrantToken evil, QueryRequest memory asked) {
        evil = new ReentrantToken();
        vm.prank(ADMIN);
        registry.setPrice(dataset, address(evil), 100);
        evil.mint(RESEARCHER, 1000);
        vm.prank(RESEARCHER);
        evil.approve(address(market), 1000);
        asked = request(_plan(), 1);
        asked.token = address(evil);
        asked.amount = 100;
    }

    function test_withstands_a_token_that_reenters_while_paying_out() external {
        (ReentrantToken evil, QueryRequest memory asked) = _reentrant();
        vm.prank(RESEARCHER);
        bytes32 queryId = market.fund(asked);
        vm.prank(CUSTODIAN);
        market.refuse(queryId, 1);
        asked.nonce = 2;
        vm.prank(RESEARCHER);
        market.fund(asked);
        evil.arm(address(market), abi.encodeCall(market.withdraw, (address(evil), RESEARCHER)));
        market.withdraw(address(evil), RESEARCHER);
        assertTrue(evil.attempted() && !evil.succeeded(), "reentered");
        assertEq(evil.balanceOf(address(market)), 100, "the other escrow is untouched");
        assertEq(market.obligations(address(evil)), 100, "obligations");
    }

    function test_withstands_a_token_that_reenters_while_funding() external {
        (ReentrantToken evil, QueryRequest memory asked) = _reentrant();
        evil.arm(address(market), abi.encodeCall(market.fund, (asked)));
        vm.prank(RESEARCHER);
        market.fund(asked);
        assertTrue(evil.attempted() && !evil.succeeded(), "reentered");
        assertEq(evil.balanceOf(address(market)), market.obligations(address(evil)), "escrow");
    }

    function test_withstands_a_token_that_reenters_while_settling() external {
        (ReentrantToken evil, QueryRequest memory asked) = _reentrant();
        vm.prank(RESEARCHER);
        bytes32 queryId = market.fund(asked);
        _accept(queryId, _plan(), _values());
        evil.arm(address(market), abi.encodeCall(market.settle, (ids(queryId))));
        market.settle(ids(queryId));
        assertTrue(evil.attempted() && !evil.succeeded(), "reentered");
        assertEq(evil.balanceOf(address(market)), market.obligations(address(evil)), "market");
        assertEq(evil.balanceOf(address(pool)), pool.obligations(address(evil)), "pool");
    }
}
