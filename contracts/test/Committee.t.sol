// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Committee} from "../src/Committee.sol";
import {QueryMarket} from "../src/QueryMarket.sol";
import {ICohortRegistry} from "../src/interfaces/ICohortRegistry.sol";
import {
    Bond,
    CommitteeKind,
    CommitteeParams,
    ICommittee,
    MemberStatus,
    QueryFacts,
    SealedAnswer
} from "../src/interfaces/ICommittee.sol";
import {IQueryMarket, QueryStatus} from "../src/interfaces/IQueryMarket.sol";
import {IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {FeeOnTransferToken, ReentrantToken} from "./cheaters/Tokens.sol";
import {SealedWorld} from "./SealedWorld.sol";

contract CommitteeTest is SealedWorld {
    address private constant REPORTER = address(0x4E9047);
    uint96 private constant BOND = 1_001;

    function setUp() external {
        deploy();
        appoint(4, 2);
        join(0, 3);
        takeSnapshot();
        token.mint(address(this), 1e24);
        token.approve(address(committee), type(uint256).max);
    }

    // ---------------------------------------------------------------- registration

    function test_registers_what_every_member_accepted() external {
        uint256[] memory keys = holderKeys(7, "other");
        CommitteeParams memory params = committeeOf(keys, 3, CommitteeKind.AdHoc);
        bytes32 id = enrol(params, keys);
        assertEq(id, committee.idOf(params), "id");
        CommitteeParams memory kept = committee.committee(id);
        assertEq(keccak256(abi.encode(kept)), keccak256(abi.encode(params)), "content");
        assertTrue(committee.memberStatus(id, vm.addr(keys[6])) == MemberStatus.Active, "member");
        assertTrue(committee.memberStatus(id, address(this)) == MemberStatus.None, "stranger");
    }

    function test_the_id_is_the_typed_hash_of_the_content() external view {
        CommitteeParams memory params = committeeOf(holders, 2, CommitteeKind.Cubes);
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("CommitteeAcceptance(uint8 kind,uint8 threshold,bytes32 keyHash,address[] members)"),
                uint256(1),
                uint256(2),
                params.keyHash,
                keccak256(abi.encodePacked(params.members))
            )
        );
        assertEq(committee.idOf(params), structHash, "id");
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Salus Committee"),
                keccak256("1"),
                block.chainid,
                address(committee)
            )
        );
        assertEq(
            committee.acceptanceDigest(params), keccak256(abi.encodePacked(hex"1901", domain, structHash)), "digest"
        );
    }

    function test_refuses_a_committee_twice_and_knows_no_other() external {
        CommitteeParams memory params = committeeOf(holders, 2, CommitteeKind.Cubes);
        bytes memory signatures = acceptances(params, holders);
        vm.expectPartialRevert(ICommittee.CommitteeExists.selector);
        committee.register(params, signatures);
        vm.expectPartialRevert(ICommittee.UnknownCommittee.selector);
        committee.committee(keccak256("no committee"));
    }

    function _refusesForm(CommitteeParams memory params, uint256[] memory keys) private {
        bytes memory signatures = acceptances(params, keys);
        vm.expectRevert(ICommittee.InvalidCommittee.selector);
        committee.register(params, signatures);
    }

    function test_refuses_committees_of_a_wrong_form() external {
        uint256[] memory keys = holderKeys(3, "other");
        _refusesForm(committeeOf(keys, 2, CommitteeKind.None), keys);
        _refusesForm(committeeOf(keys, 0, CommitteeKind.Cubes), keys);
        _refusesForm(committeeOf(keys, 1, CommitteeKind.Cubes), keys);
        _refusesForm(committeeOf(keys, 4, CommitteeKind.Cubes), keys);
        CommitteeParams memory params = committeeOf(keys, 2, CommitteeKind.Cubes);
        params.keyHash = 0;
        _refusesForm(params, keys);
        keys = holderKeys(1, "other");
        _refusesForm(committeeOf(keys, 1, CommitteeKind.Cubes), keys);
        keys = holderKeys(17, "other");
        _refusesForm(committeeOf(keys, 2, CommitteeKind.Cubes), keys);
        keys = new uint256[](0);
        _refusesForm(committeeOf(keys, 2, CommitteeKind.Cubes), keys);
    }

    function test_accepts_the_largest_committee() external {
        uint256[] memory keys = holderKeys(16, "other");
        enrol(committeeOf(keys, 16, CommitteeKind.Cubes), keys);
    }

    function test_refuses_members_that_repeat_or_are_out_of_order() external {
        uint256[] memory keys = holderKeys(3, "other");
        (keys[0], keys[1]) = (keys[1], keys[0]);
        _refusesForm(committeeOf(keys, 2, CommitteeKind.Cubes), keys);
        (keys[0], keys[1]) = (keys[1], keys[1]);
        _refusesForm(committeeOf(keys, 2, CommitteeKind.Cubes), keys);
        keys = holderKeys(2, "other");
        CommitteeParams memory params = committeeOf(keys, 2, CommitteeKind.Cubes);
        params.members[0] = address(0);
        _refusesForm(params, keys);
    }

    function _refusesAcceptance(CommitteeParams memory params, bytes memory signatures, bytes memory reason) private {
        vm.expectRevert(reason);
        committee.register(params, signatures);
    }

    function test_refuses_members_that_did_not_accept() external {
        uint256[] memory keys = holderKeys(3, "other");
        CommitteeParams memory params = committeeOf(keys, 2, CommitteeKind.Cubes);
        bytes memory good = acceptances(params, keys);
        // Accepted another threshold.
        params.threshold = 3;
        _refusesAcceptance(params, good, abi.encodeWithSelector(ICommittee.AcceptanceRejected.selector, 0));
        params.threshold = 2;
        // Somebody else's signature in the second place.
        bytes memory digestOnly = signOne(0xBAD, committee.acceptanceDigest(params));
        bytes memory forged = bytes.concat(signOne(keys[0], committee.acceptanceDigest(params)), digestOnly);
        forged = bytes.concat(forged, signOne(keys[2], committee.acceptanceDigest(params)));
        _refusesAcceptance(params, forged, abi.encodeWithSelector(ICommittee.AcceptanceRejected.selector, 1));
        // Accepted on another chain.
        vm.chainId(OTHER_CHAIN);
        bytes memory foreign = acceptances(params, keys);
        vm.chainId(HOME_CHAIN);
        _refusesAcceptance(params, foreign, abi.encodeWithSelector(ICommittee.AcceptanceRejected.selector, 0));
        // Accepted by fewer, or with something added.
        bytes memory malformed = abi.encodeWithSelector(ICommittee.MalformedSignatures.selector);
        _refusesAcceptance(params, signAll(pair(keys[0], keys[1]), committee.acceptanceDigest(params)), malformed);
        _refusesAcceptance(params, bytes.concat(good, hex"00"), malformed);
        committee.register(params, good);
    }

    function test_a_market_refuses_a_committee_made_for_another() external {
        Committee other = new Committee(registry, pool, address(market));
        vm.expectRevert(IQueryMarket.WrongCommittee.selector);
        new QueryMarket(registry, verifier, pool, other);
    }

    // ---------------------------------------------------------------- datasets

    function test_a_binding_holds_from_the_next_snapshot_on() external {
        uint256[] memory keys = holderKeys(3, "other");
        bytes32 next = enrol(committeeOf(keys, 2, CommitteeKind.Cubes), keys);
        vm.prank(ADMIN);
        committee.bind(dataset, next);
        assertEq(committee.committeeAt(dataset, 0, CommitteeKind.Cubes), bytes32(0), "before the first");
        assertEq(committee.committeeAt(dataset, 1, CommitteeKind.Cubes), committeeId, "taken snapshot");
        assertEq(committee.committeeAt(dataset, 2, CommitteeKind.Cubes), next, "next snapshot");
        assertEq(committee.committeeAt(dataset, 2, CommitteeKind.AdHoc), bytes32(0), "other kind");
        // Nothing was taken since, so the choice can still be changed.
        vm.prank(ADMIN);
        committee.bind(dataset, committeeId);
        assertEq(committee.committeeAt(dataset, 2, CommitteeKind.Cubes), committeeId, "changed");
        takeSnapshot();
        vm.prank(ADMIN);
        committee.unbind(dataset, CommitteeKind.Cubes);
        takeSnapshot();
        assertEq(committee.committeeAt(dataset, 2, CommitteeKind.Cubes), committeeId, "as it was");
        assertEq(committee.committeeAt(dataset, 3, CommitteeKind.Cubes), bytes32(0), "taken away");
    }

    function test_a_dataset_has_one_committee_of_each_kind() external {
        bytes32 other = enrol(committeeOf(holders, 3, CommitteeKind.AdHoc), holders);
        vm.prank(ADMIN);
        committee.bind(dataset, other);
        assertEq(committee.committeeAt(dataset, 2, CommitteeKind.Cubes), committeeId, "cubes");
        assertEq(committee.committeeAt(dataset, 2, CommitteeKind.AdHoc), other, "ad hoc");
    }

    function test_only_the_admin_binds_committees_that_exist() external {
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        committee.bind(dataset, committeeId);
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        committee.unbind(dataset, CommitteeKind.Cubes);
        vm.prank(ADMIN);
        vm.expectPartialRevert(ICommittee.UnknownCommittee.selector);
        committee.bind(dataset, keccak256("no committee"));
        vm.prank(ADMIN);
        vm.expectRevert(ICommittee.InvalidCommittee.selector);
        committee.unbind(dataset, CommitteeKind.None);
        vm.prank(ADMIN);
        vm.expectPartialRevert(ICohortRegistry.UnknownDataset.selector);
        committee.bind(77, committeeId);
    }

    function test_tells_holders_about_a_query() external {
        bytes memory plan = plan4(cellsPass(), 1);
        bytes32 queryId = fund(plan, 1);
        QueryFacts memory facts = committee.queryFacts(queryId);
        assertTrue(facts.open && facts.status == QueryStatus.Funded, "open");
        assertEq(facts.datasetId, dataset, "dataset");
        assertEq(facts.snapshotId, 1, "snapshot");
        assertEq(facts.deadline, block.timestamp + 1 days, "deadline");
        assertEq(facts.planHash, keccak256(plan), "plan");
        assertEq(facts.custodian, CUSTODIAN, "custodian");
        assertEq(facts.minCohort, MIN_COHORT, "cohort");
        assertEq(facts.minCell, MIN_CELL, "cell");
        assertEq(facts.members, 3, "members");
        assertEq(facts.cubes, committeeId, "cubes");
        assertEq(facts.adHoc, bytes32(0), "ad hoc");
        vm.warp(block.timestamp + 1 days + 1);
        assertTrue(!committee.queryFacts(queryId).open, "past the deadline");
        market.refundExpired(queryId);
        facts = committee.queryFacts(queryId);
        assertTrue(!facts.open && facts.status == QueryStatus.Expired, "expired");
        facts = committee.queryFacts(keccak256("no query"));
        assertTrue(!facts.open && facts.status == QueryStatus.None && facts.datasetId == 0, "unknown");
    }

    // ---------------------------------------------------------------- equivocation

    function _answers() private view returns (SealedAnswer memory a, SealedAnswer memory b) {
        a.queryId = keccak256("query");
        a.datasetId = dataset;
        a.snapshotId = 1;
        a.committeeId = committeeId;
        a.resultsHash = keccak256("twelve");
        b = abi.decode(abi.encode(a), (SealedAnswer));
        b.resultsHash = keccak256("thirteen");
    }

    function _report(uint256 key) private returns (address) {
        (SealedAnswer memory a, SealedAnswer memory b) = _answers();
        bytes memory signatureA = signOne(key, committee.digestOf(a));
        bytes memory signatureB = signOne(key, committee.digestOf(b));
        vm.prank(REPORTER);
        return committee.reportEquivocation(committeeId, a, b, signatureA, signatureB);
    }

    function test_marks_a_member_that_signed_two_answers_once() external {
        address liar = _report(holders[1]);
        assertEq(liar, vm.addr(holders[1]), "who");
        assertTrue(committee.memberStatus(committeeId, liar) == MemberStatus.Equivocated, "marked");
        (SealedAnswer memory a, SealedAnswer memory b) = _answers();
        bytes memory signatureA = signOne(holders[1], committee.digestOf(a));
        bytes memory signatureB = signOne(holders[1], committee.digestOf(b));
        vm.expectPartialRevert(ICommittee.MemberEquivocated.selector);
        committee.reportEquivocation(committeeId, b, a, signatureB, signatureA);
    }

    function _refusesReport(SealedAnswer memory a, SealedAnswer memory b, bytes memory x, bytes memory y, bytes4 reason)
        private
    {
        vm.expectPartialRevert(reason);
        committee.reportEquivocation(committeeId, a, b, x, y);
    }

    function test_refuses_reports_that_show_nothing() external {
        (SealedAnswer memory a, SealedAnswer memory b) = _answers();
        bytes4 nothing = ICommittee.NotEquivocation.selector;
        (bytes32 digestA, bytes32 digestB) = (committee.digestOf(a), committee.digestOf(b));
        (uint256 one, uint256 two) = (holders[0], holders[1]);
        bytes memory signed = signOne(one, digestA);
        // The same answer twice, two members, a stranger, void signatures.
        _refusesReport(a, a, signed, signed, nothing);
        _refusesReport(a, b, signed, signOne(two, digestB), nothing);
        _refusesReport(a, b, signOne(9, digestA), signOne(9, digestB), ICommittee.NotCommitteeMember.selector);
        _refusesReport(a, b, new bytes(65), new bytes(65), nothing);
        _refusesReport(a, b, "", signOne(one, digestB), nothing);
        _refusesReport(a, b, signed, "", nothing);
        _refusesReport(a, b, highS(signed), signOne(one, digestB), nothing);
        // Two queries.
        b.queryId = keccak256("other query");
        _refusesReport(a, b, signed, signOne(one, committee.digestOf(b)), nothing);
        // Two committees.
        (, b) = _answers();
        b.committeeId = keccak256("other committee");
        bytes memory other = signOne(one, committee.digestOf(b));
        _refusesReport(a, b, signed, other, nothing);
        _refusesReport(b, a, other, signed, nothing);
    }

    function test_refuses_reports_signed_for_another_chain_or_market() external {
        (SealedAnswer memory a, SealedAnswer memory b) = _answers();
        bytes memory signed = signOne(holders[0], committee.digestOf(a));
        vm.chainId(OTHER_CHAIN);
        bytes memory foreign = signOne(holders[0], committee.digestOf(b));
        vm.chainId(HOME_CHAIN);
        _refusesReport(a, b, signed, foreign, ICommittee.NotEquivocation.selector);
        Committee other = new Committee(registry, pool, address(this));
        foreign = signOne(holders[0], other.digestOf(b));
        _refusesReport(a, b, signed, foreign, ICommittee.NotEquivocation.selector);
        foreign = signTyped(holders[0], address(market), keccak256("anything"));
        _refusesReport(a, b, signed, foreign, ICommittee.NotEquivocation.selector);
    }

    function highS(bytes memory signature) internal pure returns (bytes memory) {
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes32 r;
        uint256 s;
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        return abi.encodePacked(r, order - s, uint8(55) - uint8(signature[64]));
    }

    // ---------------------------------------------------------------- bonds

    function _deposit(uint256 holder) private {
        committee.depositBond(committeeId, vm.addr(holders[holder]), dataset, address(token), BOND);
    }

    function test_a_slashed_bond_goes_to_reporter_and_dataset_members() external {
        _deposit(1);
        address liar = vm.addr(holders[1]);
        vm.expectPartialRevert(ICommittee.NotEquivocated.selector);
        committee.slashBond(committeeId, liar, dataset, address(token));
        _report(holders[1]);
        committee.slashBond(committeeId, liar, dataset, address(token));
        assertEq(token.balanceOf(REPORTER), 100, "reporter");
        assertEq(pool.deposited(dataset, 1, address(token)), 901, "members");
        assertEq(committee.obligations(address(token)), 0, "nothing owed");
        assertEq(token.balanceOf(address(committee)), 0, "nothing left");
        vm.expectRevert(ICommittee.NothingBonded.selector);
        committee.slashBond(committeeId, liar, dataset, address(token));
    }

    function test_slashes_a_bond_too_small_to_share() external {
        address liar = vm.addr(holders[0]);
        committee.depositBond(committeeId, liar, dataset, address(token), 9);
        _report(holders[0]);
        committee.slashBond(committeeId, liar, dataset, address(token));
        assertEq(token.balanceOf(REPORTER), 0, "reporter");
        assertEq(pool.deposited(dataset, 1, address(token)), 9, "members");
    }

    function test_a_bond_leaves_after_its_notice() external {
        _deposit(0);
        address member = vm.addr(holders[0]);
        vm.prank(member);
        committee.giveNotice(committeeId, dataset, address(token), 1_000);
        Bond memory held = committee.bond(committeeId, member, dataset, address(token));
        assertEq(held.amount, BOND, "amount");
        assertEq(held.leaving, 1_000, "leaving");
        assertEq(held.releaseAt, block.timestamp + 30 days, "when");
        vm.warp(block.timestamp + 30 days - 1);
        vm.prank(member);
        vm.expectPartialRevert(ICommittee.NoticeNotOver.selector);
        committee.withdrawBond(committeeId, dataset, address(token));
        vm.warp(block.timestamp + 1);
        vm.prank(member);
        assertEq(committee.withdrawBond(committeeId, dataset, address(token)), 1_000, "withdrawn");
        assertEq(token.balanceOf(member), 1_000, "paid");
        assertEq(committee.obligations(address(token)), 1, "rest");
        vm.prank(member);
        vm.expectRevert(ICommittee.NothingBonded.selector);
        committee.withdrawBond(committeeId, dataset, address(token));
    }

    function test_a_notice_does_not_save_a_bond() external {
        _deposit(0);
        address member = vm.addr(holders[0]);
        vm.prank(member);
        committee.giveNotice(committeeId, dataset, address(token), BOND);
        _report(holders[0]);
        vm.warp(block.timestamp + 31 days);
        vm.prank(member);
        vm.expectPartialRevert(ICommittee.MemberEquivocated.selector);
        committee.withdrawBond(committeeId, dataset, address(token));
        vm.prank(member);
        vm.expectPartialRevert(ICommittee.MemberEquivocated.selector);
        committee.giveNotice(committeeId, dataset, address(token), 1);
        vm.expectPartialRevert(ICommittee.MemberEquivocated.selector);
        _deposit(0);
        committee.slashBond(committeeId, member, dataset, address(token));
    }

    function _refusesDeposit(bytes32 id, address member, uint256 dataset_, uint256 amount, bytes4 reason) private {
        vm.expectPartialRevert(reason);
        committee.depositBond(id, member, dataset_, address(token), amount);
    }

    function test_refuses_bonds_that_nobody_could_claim() external {
        address member = vm.addr(holders[0]);
        _refusesDeposit(committeeId, address(this), dataset, 1, ICommittee.NotCommitteeMember.selector);
        _refusesDeposit(keccak256("no committee"), member, dataset, 1, ICommittee.NotCommitteeMember.selector);
        _refusesDeposit(committeeId, member, 77, 1, ICohortRegistry.UnknownSnapshot.selector);
        _refusesDeposit(committeeId, member, dataset, 0, ICommittee.InvalidAmount.selector);
        _refusesDeposit(committeeId, member, dataset, 1 << 96, ICommittee.InvalidAmount.selector);
        _deposit(0);
        _refusesDeposit(committeeId, member, dataset, type(uint96).max, ICommittee.InvalidAmount.selector);
        vm.prank(member);
        vm.expectRevert(ICommittee.InvalidAmount.selector);
        committee.giveNotice(committeeId, dataset, address(token), BOND + 1);
        vm.prank(member);
        vm.expectRevert(ICommittee.InvalidAmount.selector);
        committee.giveNotice(committeeId, dataset, address(token), 0);
        vm.expectPartialRevert(ICommittee.NotCommitteeMember.selector);
        committee.giveNotice(committeeId, dataset, address(token), 1);
        vm.expectPartialRevert(ICommittee.NotCommitteeMember.selector);
        committee.withdrawBond(committeeId, dataset, address(token));
    }

    function test_refuses_a_bond_in_a_token_that_keeps_a_fee() external {
        FeeOnTransferToken fee = new FeeOnTransferToken();
        fee.mint(address(this), 1_000);
        fee.approve(address(committee), 1_000);
        vm.expectPartialRevert(ICommittee.AmountNotReceived.selector);
        committee.depositBond(committeeId, vm.addr(holders[0]), dataset, address(fee), 1_000);
    }

    function test_withstands_a_token_that_reenters_while_slashing() external {
        ReentrantToken evil = new ReentrantToken();
        evil.mint(address(this), 1_000);
        evil.approve(address(committee), 1_000);
        committee.depositBond(committeeId, vm.addr(holders[0]), dataset, address(evil), 500);
        committee.depositBond(committeeId, vm.addr(holders[1]), dataset, address(evil), 500);
        _report(holders[0]);
        _report(holders[1]);
        bytes memory again =
            abi.encodeCall(committee.slashBond, (committeeId, vm.addr(holders[1]), dataset, address(evil)));
        evil.arm(address(committee), again);
        committee.slashBond(committeeId, vm.addr(holders[0]), dataset, address(evil));
        assertTrue(evil.attempted() && !evil.succeeded(), "reentered");
        assertEq(evil.balanceOf(address(committee)), committee.obligations(address(evil)), "committee");
        assertEq(evil.balanceOf(address(pool)), pool.obligations(address(evil)), "pool");
    }

    function test_keeps_a_bond_while_the_dataset_has_nobody_to_pay() external {
        _deposit(0);
        for (uint32 slot = 0; slot < 3; slot++) {
            uint256[] memory commitments = person(0, slot).commitments;
            vm.prank(addressOf(0, slot));
            registry.optOut(dataset, 0, slot, commitments, "");
        }
        takeSnapshot();
        _report(holders[0]);
        vm.expectRevert(IRewardPool.NoMembers.selector);
        committee.slashBond(committeeId, vm.addr(holders[0]), dataset, address(token));
        assertEq(committee.obligations(address(token)), BOND, "kept");
    }
}
