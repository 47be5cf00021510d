// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {CommitteeKind, CommitteeParams, SealedAnswer} from "../src/interfaces/ICommittee.sol";
import {Member} from "../src/interfaces/ICohortRegistry.sol";
import {Claim} from "../src/interfaces/IRewardPool.sol";
import {QueryRequest, SealedEvidence} from "../src/interfaces/IQueryMarket.sol";
import {SealedWorld} from "./SealedWorld.sol";

/// @notice Gas of whole transactions, base cost and calldata included. Every call runs as a transaction of its own
/// (isolation), so that storage is cold as it is on a chain. The figures are written to snapshots/gas.json.
/// forge-config: default.isolate = true
contract GasTest is SealedWorld {
    uint256 private constant DIRECT_LIMIT = 380_000;
    uint256 private constant CHUNK_LIMIT = 120_000;
    uint256 private constant SEALED_LIMIT = 150_000;

    function setUp() external {
        deploy();
        join(0, 8);
        takeSnapshot();
    }

    function _record(string memory name) private returns (uint256 used) {
        used = vm.lastCallGas().gasTotalUsed;
        vm.snapshotValue("gas", name, used);
    }

    function _accept(bytes memory plan, PassResult[] memory list, uint256 nonce) private returns (uint256) {
        bytes32 queryId = fund(plan, nonce);
        uint256[] memory proofs = simulate(queryId, registry.latestSnapshot(dataset), plan, list);
        vm.prank(CUSTODIAN);
        market.acceptAnswer(queryId, plan, list, proofs);
        return vm.lastCallGas().gasTotalUsed;
    }

    function test_direct_answer_stays_within_its_limit() external {
        bytes memory plan = plan4(cellsPass(), 1);
        PassResult[] memory list = results(result(0, 0, 12, 7, 31));
        _accept(plan, list, 1);
        vm.snapshotValue("gas", "answer, one chunk, first of its snapshot", vm.lastCallGas().gasTotalUsed);
        uint256 used = _accept(plan, list, 2);
        vm.snapshotValue("gas", "answer, one chunk", used);
        assertTrue(used <= DIRECT_LIMIT, "direct answer above its limit");
    }

    function test_further_chunk_stays_within_its_limit() external {
        bytes memory plan = plan4(cellsPass(), 1);
        PassResult[] memory list = results(result(0, 123456789, 12, 7, 31));
        join(1, 2);
        takeSnapshot();
        _accept(plan, list, 1);
        uint256 two = _accept(plan, list, 2);
        join(2, 2);
        takeSnapshot();
        _accept(plan, list, 3);
        uint256 three = _accept(plan, list, 4);
        vm.snapshotValue("gas", "answer, two chunks", two);
        vm.snapshotValue("gas", "answer, each further chunk", three - two);
        assertTrue(three - two <= CHUNK_LIMIT, "further chunk above its limit");
    }

    function test_records_the_other_actions() external {
        bytes memory plan = plan4(cellsPass(), 1);
        QueryRequest memory asked = request(plan, 7);
        vm.prank(RESEARCHER);
        market.fund(asked);
        _record("fund, first");
        asked.nonce = 8;
        vm.prank(RESEARCHER);
        bytes32 queryId = market.fund(asked);
        _record("fund");
        PassResult[] memory list = results(result(0, 0, 12, 7, 31));
        uint256[] memory proofs = simulate(queryId, 1, plan, list);
        vm.prank(CUSTODIAN);
        market.acceptAnswer(queryId, plan, list, proofs);
        market.settle(ids(queryId));
        _record("settle, one query, first of its snapshot");

        Claim memory claim = claimOf(1, 0, 3, address(0x7001), 0);
        bytes memory proof = claimProof(claim, 0, 3, keyOf(0, 3));
        pool.claim(claim, proof);
        _record("claim");
        Claim[] memory claims = new Claim[](4);
        bytes[] memory claimProofs = new bytes[](4);
        for (uint32 slot = 4; slot < 8; slot++) {
            claims[slot - 4] = claimOf(1, 0, slot, address(uint160(0x8000 + slot)), 1);
            claimProofs[slot - 4] = claimProof(claims[slot - 4], 0, slot, keyOf(0, slot));
        }
        pool.claimMany(claims, claimProofs);
        vm.snapshotValue("gas", "claim, each of four together", vm.lastCallGas().gasTotalUsed / 4);
        market.withdraw(address(token), CUSTODIAN);
        _record("withdraw");

        asked.nonce = 9;
        vm.prank(RESEARCHER);
        queryId = market.fund(asked);
        vm.prank(CUSTODIAN);
        market.refuse(queryId, 1);
        _record("refuse");

        vm.prank(ADMIN);
        registry.snapshot(dataset);
        _record("snapshot");
    }

    function _appoint(uint256 size, uint8 threshold, string memory name) private {
        holders = holderKeys(size, name);
        CommitteeParams memory members = committeeOf(holders, threshold, CommitteeKind.Cubes);
        bytes memory signatures = acceptances(members, holders);
        committeeId = committee.register(members, signatures);
        _record(string.concat("register committee, ", name));
        vm.prank(ADMIN);
        committee.bind(dataset, committeeId);
    }

    function _acceptSealed(uint256 nonce, uint256 signers) private returns (uint256) {
        bytes memory plan = plan4(cellsPass(), 1);
        PassResult[] memory list = results(result(0, 0, 12, 7, 31));
        bytes32 queryId = fund(plan, nonce);
        SealedEvidence memory proof = evidenceFor(queryId, plan, list, some(signers));
        market.acceptSealedAnswer(queryId, plan, list, proof);
        return vm.lastCallGas().gasTotalUsed;
    }

    function test_sealed_answers_stay_within_their_limit() external {
        _appoint(4, 2, "2 of 4");
        takeSnapshot();
        uint256 two = _acceptSealed(1, 2);
        vm.snapshotValue("gas", "sealed answer, 2 of 4", two);
        _appoint(7, 3, "3 of 7");
        takeSnapshot();
        uint256 three = _acceptSealed(2, 3);
        vm.snapshotValue("gas", "sealed answer, 3 of 7", three);
        assertTrue(three <= SEALED_LIMIT, "sealed answer above its limit");
    }

    function test_records_equivocation_and_bonds() external {
        _appoint(4, 2, "2 of 4");
        address member = vm.addr(holders[0]);
        token.mint(address(this), 1e9);
        token.approve(address(committee), 1e9);
        committee.depositBond(committeeId, member, dataset, address(token), 1e6);
        _record("deposit bond, first");
        SealedAnswer memory a;
        SealedAnswer memory b;
        (a.committeeId, b.committeeId, b.resultsHash) = (committeeId, committeeId, bytes32(uint256(1)));
        bytes memory signatureA = signOne(holders[0], committee.digestOf(a));
        bytes memory signatureB = signOne(holders[0], committee.digestOf(b));
        committee.reportEquivocation(committeeId, a, b, signatureA, signatureB);
        _record("report equivocation");
        committee.slashBond(committeeId, member, dataset, address(token));
        _record("slash bond");
    }

    function test_records_membership() external {
        Member[] memory batch = new Member[](8);
        for (uint32 slot = 0; slot < 8; slot++) {
            batch[slot] = person(1, slot);
        }
        vm.prank(ISSUER);
        registry.optIn(dataset, 1, batch);
        vm.snapshotValue("gas", "opt in, each of 8 together, 5 columns", vm.lastCallGas().gasTotalUsed / 8);
        Member memory single = person(2, 0);
        vm.prank(ISSUER);
        registry.optIn(dataset, 2, one(single));
        _record("opt in, first of a chunk, 5 columns");
        Member memory next = person(2, 1);
        vm.prank(ISSUER);
        registry.optIn(dataset, 2, one(next));
        _record("opt in, alone, 5 columns");
        Member memory renewed = person(dataset, 2, 1, EXPIRY, 1, 1);
        vm.prank(ISSUER);
        registry.rectify(dataset, 2, renewed, next.commitments);
        _record("rectify, 5 columns");
        address leaver = addressOf(2, 0);
        vm.prank(leaver);
        registry.optOut(dataset, 2, 0, single.commitments, "");
        _record("opt out, 5 columns");
    }
}
