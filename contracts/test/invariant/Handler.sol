// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PassResult} from "../../src/interfaces/IAnswerVerifier.sol";
import {MemberStatus, SealedAnswer} from "../../src/interfaces/ICommittee.sol";
import {Member} from "../../src/interfaces/ICohortRegistry.sol";
import {QueryRequest, QueryStatus, SealedEvidence} from "../../src/interfaces/IQueryMarket.sol";
import {Claim} from "../../src/interfaces/IRewardPool.sol";
import {Bn254} from "../../src/proof/Bn254.sol";
import {SealedWorld} from "../SealedWorld.sol";

/// @notice Everybody at once: members come and go, researchers pay, custodian or committee answers, the custodian refuses
/// or time passes, holders put up bonds, take them back or lose them, anyone settles, withdraws and claims. Keeps its own
/// books to compare with.
contract Handler is SealedWorld {
    uint32 internal constant CHUNKS = 2;
    uint32 internal constant SLOTS = 6;
    address internal constant WALLET = address(0x3A11E7);
    address internal constant RELAYER = address(0x4E1A);
    address internal constant REPORTER = address(0x4E9047);

    struct Slot {
        uint64 expiry;
        uint256 nonce;
        uint256 seed;
        uint256 joined;
        uint256 left;
    }

    bytes32[] public queries;
    uint256 public funded;
    uint256 public withdrawn;
    uint256 public claimed;
    /// Calls that did something, by name, so that a run that only reverts is noticed.
    mapping(bytes32 action => uint256) public done;
    mapping(uint32 chunk => mapping(uint32 slot => Slot)) private _slots;
    mapping(bytes32 nullifier => uint256) public claimedBy;
    /// Column sums as they were when each snapshot was taken.
    mapping(uint256 snapshotId => mapping(uint32 chunk => bytes32)) public columnsAt;
    mapping(uint256 snapshotId => uint256) public membersAt;

    constructor() {
        deploy();
        appoint(4, 2);
        join(0, 3);
        for (uint32 slot = 0; slot < 3; slot++) {
            _slots[0][slot] = Slot(EXPIRY, 0, 0, 1, 0);
        }
        _snapshot();
        vm.prank(RELAYER);
        token.approve(address(pool), type(uint256).max);
        vm.prank(RELAYER);
        token.approve(address(committee), type(uint256).max);
        token.mint(RELAYER, 1e30);
    }

    modifier counted(bytes32 action) {
        _;
        done[action]++;
    }

    // ---------------------------------------------------------------- members

    function optIn(uint256 pick, uint64 expiry) external counted("opt in") {
        (uint32 chunk, uint32 slot) = _place(pick);
        uint64 last = uint64(registry.dataset(dataset).epoch) + uint64(bound(expiry, 1, 3));
        Member memory m = person(dataset, chunk, slot, last, 0, pick);
        vm.prank(ISSUER);
        registry.optIn(dataset, chunk, one(m));
        _slots[chunk][slot] = Slot(last, 0, pick, registry.latestSnapshot(dataset) + 1, 0);
    }

    function rectify(uint256 pick, uint64 expiry, uint256 seed) external counted("rectify") {
        (uint32 chunk, uint32 slot) = _place(pick);
        Slot storage held = _slots[chunk][slot];
        uint64 last = uint64(registry.dataset(dataset).epoch) + uint64(bound(expiry, 1, 3));
        uint256[] memory previous = person(dataset, chunk, slot, held.expiry, held.nonce, held.seed).commitments;
        Member memory m = person(dataset, chunk, slot, last, held.nonce + 1, seed);
        vm.prank(ISSUER);
        registry.rectify(dataset, chunk, m, previous);
        (held.expiry, held.nonce, held.seed) = (last, held.nonce + 1, seed);
    }

    function optOut(uint256 pick) external counted("opt out") {
        (uint32 chunk, uint32 slot) = _place(pick);
        Slot storage held = _slots[chunk][slot];
        uint256[] memory commitments = person(dataset, chunk, slot, held.expiry, held.nonce, held.seed).commitments;
        vm.prank(addressOf(chunk, slot));
        registry.optOut(dataset, chunk, slot, commitments, "");
        held.left = registry.latestSnapshot(dataset) + 1;
    }

    function advanceEpoch() external counted("advance") {
        vm.prank(ADMIN);
        uint32 epoch = registry.advanceEpoch(dataset);
        for (uint32 chunk = 0; chunk < CHUNKS; chunk++) {
            bool any;
            for (uint32 slot = 0; slot < SLOTS; slot++) {
                Slot storage held = _slots[chunk][slot];
                if (held.joined == 0 || held.left != 0 || held.expiry != epoch) continue;
                held.left = registry.latestSnapshot(dataset) + 1;
                any = true;
            }
            if (any) registry.expireChunk(dataset, chunk);
        }
    }

    function takeSnapshotNow() external counted("snapshot") {
        _snapshot();
    }

    function _snapshot() private {
        uint256 snapshotId = takeSnapshot();
        membersAt[snapshotId] = activeMembers();
        for (uint32 chunk = 0; chunk < CHUNKS; chunk++) {
            columnsAt[snapshotId][chunk] = keccak256(abi.encodePacked(expectedColumns(chunk)));
        }
    }

    // ---------------------------------------------------------------- queries

    function fundQuery(uint256 nonce, uint96 extra) external counted("fund") {
        QueryRequest memory asked = request(plan4(cellsPass(), 1), nonce);
        asked.amount = PRICE + extra % PRICE;
        asked.deadline = block.timestamp + (nonce % 3 == 0 ? 1 hours : 30 days);
        vm.prank(RESEARCHER);
        queries.push(market.fund(asked));
        funded += asked.amount;
    }

    function answer(uint256 pick) external counted("answer") {
        bytes32 queryId = _query(pick);
        uint256 snapshotId = market.query(queryId).snapshotId;
        bytes memory plan = plan4(cellsPass(), 1);
        PassResult[] memory list =
            results(result(0, registry.chunkCount(dataset, snapshotId) == 1 ? 0 : pick % Bn254.R, 12, 7, 31));
        uint256[] memory proofs = simulate(queryId, snapshotId, plan, list);
        vm.prank(CUSTODIAN);
        market.acceptAnswer(queryId, plan, list, proofs);
    }

    function answerSealed(uint256 pick, uint256 signers) external counted("answer sealed") {
        bytes32 queryId = _query(pick);
        bytes memory plan = plan4(cellsPass(), 1);
        PassResult[] memory list = results(result(0, 0, 12, 7, 31));
        SealedEvidence memory proof = evidenceFor(queryId, plan, list, some(1 + signers % 4));
        vm.prank(RELAYER);
        market.acceptSealedAnswer(queryId, plan, list, proof);
        assertTrue(signers % 4 != 0, "one signature was enough");
    }

    function refuse(uint256 pick) external counted("refuse") {
        bytes32 queryId = _query(pick);
        if (pick % 4 != 0) return;
        vm.prank(CUSTODIAN);
        market.refuse(queryId, 1);
    }

    function refundExpired(uint256 pick) external counted("refund") {
        market.refundExpired(_query(pick));
    }

    function settle(uint256 pick) external counted("settle") {
        market.settle(ids(_query(pick)));
    }

    function withdraw(bool custodian) external counted("withdraw") {
        withdrawn += market.withdraw(address(token), custodian ? CUSTODIAN : RESEARCHER);
    }

    function passTime(uint256 duration) external {
        vm.warp(block.timestamp + bound(duration, 1 hours, 10 hours));
    }

    // ---------------------------------------------------------------- bonds

    function depositBond(uint256 pick, uint96 amount) external counted("bond") {
        amount = 1 + amount % 1e9;
        vm.prank(RELAYER);
        committee.depositBond(committeeId, _holder(pick), dataset, address(token), amount);
        funded += amount;
    }

    function giveNotice(uint256 pick, uint256 part, bool wait) external counted("notice") {
        uint256 held = committee.bond(committeeId, _holder(pick), dataset, address(token)).amount;
        vm.prank(_holder(pick));
        committee.giveNotice(committeeId, dataset, address(token), bound(part, 1, held));
        if (wait) vm.warp(block.timestamp + 30 days);
    }

    function withdrawBond(uint256 pick) external counted("withdraw bond") {
        vm.prank(_holder(pick));
        withdrawn += committee.withdrawBond(committeeId, dataset, address(token));
    }

    /// @notice The last holder cheats; the others remain enough for an answer.
    function slashBond(uint256 pick) external counted("slash") {
        address cheater = _holder(3);
        if (committee.memberStatus(committeeId, cheater) == MemberStatus.Active) {
            if (pick % 4 != 0) return;
            SealedAnswer memory a;
            SealedAnswer memory b;
            (a.committeeId, b.committeeId, b.resultsHash) = (committeeId, committeeId, bytes32(pick + 1));
            bytes memory signatureA = signOne(holders[3], committee.digestOf(a));
            bytes memory signatureB = signOne(holders[3], committee.digestOf(b));
            vm.prank(REPORTER);
            committee.reportEquivocation(committeeId, a, b, signatureA, signatureB);
        }
        committee.slashBond(committeeId, cheater, dataset, address(token));
    }

    function _holder(uint256 pick) private view returns (address) {
        return vm.addr(holders[pick % 4]);
    }

    // ---------------------------------------------------------------- claims

    function claim(uint32 pick_, uint256 snapshotId, uint256 fee) external counted("claim") {
        uint256 pick = pick_;
        snapshotId = bound(snapshotId, 1, registry.latestSnapshot(dataset));
        (uint32 chunk, uint32 slot) = _place(pick);
        // The next place with a share to claim, if there is one.
        for (uint256 i = 0; i < CHUNKS * SLOTS && !isMember(snapshotId, chunk, slot); i++) {
            (chunk, slot) = _place(++pick);
        }
        if (fee % 2 == 0) _donate(snapshotId, 1e6);
        Claim memory c = claimOf(snapshotId, chunk, slot, WALLET, fee % 1000);
        bytes memory proof = claimProof(c, chunk, slot, keyOf(chunk, slot));
        vm.prank(RELAYER);
        uint256 amount = pool.claim(c, proof);
        assertTrue(isMember(snapshotId, chunk, slot), "paid to a stranger");
        claimed += amount;
        claimedBy[c.nullifier] += amount;
    }

    function donate(uint256 snapshotId, uint96 amount) external counted("donate") {
        snapshotId = bound(snapshotId, 1, registry.latestSnapshot(dataset));
        _donate(snapshotId, 1 + amount % 1e9);
    }

    function _donate(uint256 snapshotId, uint256 amount) private {
        vm.prank(RELAYER);
        pool.deposit(dataset, snapshotId, address(token), amount);
        funded += amount;
    }

    // ---------------------------------------------------------------- books

    function _place(uint256 pick) private pure returns (uint32 chunk, uint32 slot) {
        return (uint32(pick % CHUNKS), uint32(pick / CHUNKS % SLOTS));
    }

    function _query(uint256 pick) private view returns (bytes32) {
        return queries[pick % queries.length];
    }

    function isActive(uint32 chunk, uint32 slot) public view returns (bool) {
        return _slots[chunk][slot].joined != 0 && _slots[chunk][slot].left == 0;
    }

    function isMember(uint256 snapshotId, uint32 chunk, uint32 slot) public view returns (bool) {
        Slot storage held = _slots[chunk][slot];
        return held.joined != 0 && held.joined <= snapshotId && (held.left == 0 || snapshotId < held.left);
    }

    function activeMembers() public view returns (uint256 count) {
        for (uint32 i = 0; i < CHUNKS * SLOTS; i++) {
            if (isActive(i % CHUNKS, i / CHUNKS)) count++;
        }
    }

    /// @notice Sum of the active members' commitments, from their openings.
    function expectedColumns(uint32 chunk) public view returns (uint256[] memory sums) {
        sums = new uint256[](2 * COLUMNS);
        for (uint32 slot = 0; slot < SLOTS; slot++) {
            if (!isActive(chunk, slot)) continue;
            Slot storage held = _slots[chunk][slot];
            uint256[] memory points = person(dataset, chunk, slot, held.expiry, held.nonce, held.seed).commitments;
            for (uint256 i = 0; i < sums.length; i += 2) {
                (sums[i], sums[i + 1]) = Bn254.add(sums[i], sums[i + 1], points[i], points[i + 1]);
            }
        }
    }

    function columns(uint256 snapshotId, uint32 chunk) public view returns (bytes32) {
        uint256[] memory words = new uint256[](2 * COLUMNS);
        for (uint16 column = 0; column < COLUMNS; column++) {
            (words[2 * column], words[2 * column + 1]) = snapshotId == 0
                ? registry.currentCommitment(dataset, chunk, column)
                : registry.columnCommitment(dataset, snapshotId, chunk, column);
        }
        return keccak256(abi.encodePacked(words));
    }

    function chunks() external pure returns (uint32) {
        return CHUNKS;
    }

    function slots() external pure returns (uint32) {
        return SLOTS;
    }

    function snapshots() public view returns (uint256) {
        return registry.latestSnapshot(dataset);
    }

    function memberCount(uint256 snapshotId) external view returns (uint256) {
        return registry.memberCount(dataset, snapshotId);
    }

    function memberAt(uint256 snapshotId, uint32 chunk, uint32 slot) external view returns (bool) {
        return registry.memberAt(dataset, snapshotId, chunk, slot) != address(0);
    }

    function marketBalance() external view returns (uint256) {
        return token.balanceOf(address(market));
    }

    function poolBalance() external view returns (uint256) {
        return token.balanceOf(address(pool));
    }

    function committeeBalance() external view returns (uint256) {
        return token.balanceOf(address(committee));
    }

    function committeeObligations() external view returns (uint256) {
        return committee.obligations(address(token));
    }

    function bonds() external view returns (uint256 sum) {
        for (uint256 i = 0; i < 4; i++) {
            sum += committee.bond(committeeId, _holder(i), dataset, address(token)).amount;
        }
    }

    /// @notice What the reporter of a cheating holder was paid.
    function rewarded() external view returns (uint256) {
        return token.balanceOf(REPORTER);
    }

    function marketObligations() external view returns (uint256) {
        return market.obligations(address(token));
    }

    function poolObligations() external view returns (uint256) {
        return pool.obligations(address(token));
    }

    /// @notice What the market owes, counted from queries and credits.
    function owed() external view returns (uint256 sum) {
        for (uint256 i = 0; i < queries.length; i++) {
            QueryStatus status = market.query(queries[i]).status;
            if (status == QueryStatus.Funded || status == QueryStatus.Answered) {
                sum += market.query(queries[i]).amount;
            }
        }
        sum += market.credit(address(token), CUSTODIAN) + market.credit(address(token), RESEARCHER);
    }

    function queryCount() external view returns (uint256) {
        return queries.length;
    }

    function shareOf(uint256 snapshotId) public view returns (uint256) {
        uint256 members = registry.memberCount(dataset, snapshotId);
        return members == 0 ? 0 : pool.deposited(dataset, snapshotId, address(token)) / members;
    }

    /// @notice What the pool says it paid for a place, and what this contract saw it pay.
    function paidFor(uint256 snapshotId, uint32 chunk, uint32 slot) external view returns (uint256 said, uint256 seen) {
        bytes32 nullifier = claimVerifier.nullifierOf(dataset, snapshotId, chunk, slot);
        return (pool.paid(dataset, snapshotId, address(token), nullifier), claimedBy[nullifier]);
    }
}
