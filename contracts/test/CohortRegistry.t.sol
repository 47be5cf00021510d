// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DatasetParams, ICohortRegistry, Member, Membership} from "../src/interfaces/ICohortRegistry.sol";
import {Bn254} from "../src/proof/Bn254.sol";
import {SimulatedProver} from "./SimulatedProver.sol";
import {World} from "./World.sol";

contract CohortRegistryTest is World {
    function setUp() external {
        deploy();
    }

    function _optIn(uint32 chunk, Member memory m) private {
        vm.prank(ISSUER);
        registry.optIn(dataset, chunk, one(m));
    }

    function _refuses(uint32 chunk, Member memory m, bytes4 reason) private {
        vm.expectPartialRevert(reason);
        _optIn(chunk, m);
    }

    function _optOut(uint32 chunk, uint32 slot, uint256[] memory commitments) private {
        vm.prank(addressOf(chunk, slot));
        registry.optOut(dataset, chunk, slot, commitments, "");
    }

    function _sum(uint256[] memory sums, uint256[] memory points) private view {
        for (uint256 i = 0; i < sums.length; i += 2) {
            (sums[i], sums[i + 1]) = Bn254.add(sums[i], sums[i + 1], points[i], points[i + 1]);
        }
    }

    function _assertColumns(uint256 snapshotId, uint32 chunk, uint256[] memory expected, string memory what)
        private
        view
    {
        for (uint16 column = 0; column < COLUMNS; column++) {
            (uint256 x, uint256 y) = snapshotId == 0
                ? registry.currentCommitment(dataset, chunk, column)
                : registry.columnCommitment(dataset, snapshotId, chunk, column);
            assertEq(x, expected[2 * column], what);
            assertEq(y, expected[2 * column + 1], what);
        }
    }

    // ---------------------------------------------------------------- datasets

    function _refusesParams(DatasetParams memory p) private {
        vm.expectRevert(ICohortRegistry.InvalidParams.selector);
        registry.createDataset(p);
    }

    function test_refuses_datasets_that_contradict_themselves() external {
        DatasetParams memory p = params();
        p.columns = 0;
        _refusesParams(p);
        p = params();
        p.columns = 256;
        _refusesParams(p);
        p = params();
        p.minCohort = 0;
        _refusesParams(p);
        p = params();
        p.minCell = 0;
        _refusesParams(p);
        p = params();
        p.rewardBps = 10_001;
        _refusesParams(p);
        p = params();
        p.custodian = address(0);
        _refusesParams(p);
        p = params();
        p.price = 0;
        _refusesParams(p);
        p = params();
        (p.circuitK4, p.circuitK8Low, p.circuitK8High) = (bytes32(0), bytes32(0), bytes32(0));
        _refusesParams(p);
        p = params();
        p.circuitK8High = 0;
        _refusesParams(p);
        p = params();
        (p.circuitK8Low, p.circuitK8High) = (p.circuitK8High, p.circuitK8Low);
        _refusesParams(p);
        p = params();
        p.circuitK4 = p.circuitK8Low;
        _refusesParams(p);
    }

    function test_takes_slots_basis_and_blinding_base_from_the_circuits() external view {
        assertEq(registry.dataset(dataset).slots, 8, "slots");
        assertEq(registry.dataset(dataset).basisRoot, SimulatedProver.basisRoot(), "root");
        (uint256 hX,) = Bn254.mul(1, 2, SimulatedProver.blindingBase());
        assertEq(registry.dataset(dataset).hX, hX, "H");
    }

    function test_lets_only_the_admin_administer() external {
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        registry.setIssuer(dataset, address(this), true);
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        registry.setPrice(dataset, address(token), 1);
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        registry.setCustodian(dataset, address(this));
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        registry.transferAdmin(dataset, address(this));
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        registry.snapshot(dataset);
        vm.expectRevert(ICohortRegistry.NotAdmin.selector);
        registry.advanceEpoch(dataset);
        vm.prank(ADMIN);
        registry.transferAdmin(dataset, address(this));
        registry.setCustodian(dataset, address(this));
        assertEq(registry.dataset(dataset).custodian, address(this), "custodian");
    }

    function test_refuses_unknown_datasets() external {
        vm.expectPartialRevert(ICohortRegistry.UnknownDataset.selector);
        registry.dataset(99);
        vm.expectPartialRevert(ICohortRegistry.UnknownDataset.selector);
        registry.advanceEpoch(99);
    }

    // ---------------------------------------------------------------- opt in

    function test_adds_commitments_to_the_columns() external {
        uint256[] memory expected = new uint256[](2 * COLUMNS);
        for (uint32 slot = 0; slot < 3; slot++) {
            _sum(expected, person(0, slot).commitments);
        }
        join(0, 3);
        _assertColumns(0, 0, expected, "current");
        takeSnapshot();
        _assertColumns(1, 0, expected, "snapshot");
        assertEq(registry.memberCount(dataset, 1), 3, "members");
        assertEq(registry.chunkCount(dataset, 1), 1, "chunks");
    }

    function test_sums_members_of_different_expiries_in_one_batch() external {
        Member[] memory batch = new Member[](4);
        uint256[] memory expected = new uint256[](2 * COLUMNS);
        for (uint32 slot = 0; slot < 4; slot++) {
            batch[slot] = person(dataset, 0, slot, slot < 2 ? 5 : slot, 0, 0);
            _sum(expected, batch[slot].commitments);
        }
        vm.prank(ISSUER);
        registry.optIn(dataset, 0, batch);
        _assertColumns(0, 0, expected, "sum of all");
    }

    function test_refuses_strangers_as_issuers() external {
        Member memory m = person(0, 0);
        vm.expectRevert(ICohortRegistry.NotIssuer.selector);
        registry.optIn(dataset, 0, one(m));
        vm.prank(ADMIN);
        registry.setIssuer(dataset, ISSUER, false);
        _refuses(0, m, ICohortRegistry.NotIssuer.selector);
    }

    function test_refuses_an_empty_batch() external {
        vm.prank(ISSUER);
        vm.expectRevert(ICohortRegistry.EmptyBatch.selector);
        registry.optIn(dataset, 0, new Member[](0));
    }

    function test_refuses_a_slot_twice() external {
        join(0, 2);
        _refuses(0, person(0, 1), ICohortRegistry.SlotTaken.selector);
        Member[] memory twice = new Member[](2);
        twice[0] = person(0, 5);
        twice[1] = twice[0];
        vm.prank(ISSUER);
        vm.expectPartialRevert(ICohortRegistry.SlotTaken.selector);
        registry.optIn(dataset, 0, twice);
    }

    function test_refuses_slots_and_chunks_out_of_range() external {
        Member memory m = person(0, 0);
        m.slot = 8;
        _refuses(0, m, ICohortRegistry.SlotOutOfRange.selector);
        _refuses(1, person(1, 0), ICohortRegistry.ChunkOutOfOrder.selector);
    }

    function test_refuses_another_number_of_columns() external {
        Member memory m = person(0, 0);
        m.commitments = new uint256[](2 * COLUMNS - 2);
        _refuses(0, m, ICohortRegistry.WrongColumnCount.selector);
    }

    function test_refuses_bad_commitments() external {
        Member memory m = person(0, 0);
        (m.commitments[2], m.commitments[3]) = (0, 0);
        _refuses(0, m, ICohortRegistry.InvalidPoint.selector);
        m = person(0, 0);
        m.commitments[2] += Bn254.P;
        _refuses(0, m, ICohortRegistry.InvalidPoint.selector);
        m = person(0, 0);
        m.commitments[5] ^= 1;
        _refuses(0, m, ICohortRegistry.InvalidPoint.selector);
        m = person(0, 0);
        m.rX ^= 1;
        _refuses(0, m, ICohortRegistry.InvalidPoint.selector);
        m = person(0, 0);
        m.s1 += Bn254.R;
        _refuses(0, m, ICohortRegistry.NonCanonicalScalar.selector);
        m = person(0, 0);
        m.s2 += Bn254.R;
        _refuses(0, m, ICohortRegistry.NonCanonicalScalar.selector);
    }

    function test_refuses_the_base_of_another_slot() external {
        Member memory other = person(0, 1);
        Member memory m = person(0, 0);
        (m.basisX, m.basisY, m.path) = (other.basisX, other.basisY, other.path);
        _refuses(0, m, ICohortRegistry.WrongSlotBase.selector);
        m = person(0, 0);
        m.path[1] = bytes32("x");
        _refuses(0, m, ICohortRegistry.WrongSlotBase.selector);
        m = person(0, 0);
        m.path = new bytes32[](2);
        _refuses(0, m, ICohortRegistry.WrongSlotBase.selector);
    }

    /// @notice c_0 + B_j would add one to what slot j says. Its holder knows every exponent and still cannot prove it.
    function test_refuses_a_commitment_with_a_component_on_another_slot() external {
        Member memory m = person(0, 0);
        (uint256 x, uint256 y) = Bn254.mul(1, 2, SimulatedProver.slotBase(3));
        (m.commitments[0], m.commitments[1]) = Bn254.add(m.commitments[0], m.commitments[1], x, y);
        prove(m, dataset, 0, 0);
        sign(m, dataset, 0);
        _refuses(0, m, ICohortRegistry.KnowledgeProofRejected.selector);
    }

    function testFuzz_refuses_a_changed_knowledge_proof(uint256 s1, uint256 s2) external {
        Member memory m = person(0, 0);
        vm.assume(s1 % Bn254.R != m.s1 || s2 % Bn254.R != m.s2);
        (m.s1, m.s2) = (s1 % Bn254.R, s2 % Bn254.R);
        _refuses(0, m, ICohortRegistry.KnowledgeProofRejected.selector);
    }

    function test_refuses_a_registration_made_for_another_place() external {
        uint256 second = createDataset();
        Member memory m = person(0, 0);
        vm.prank(ISSUER);
        vm.expectPartialRevert(ICohortRegistry.KnowledgeProofRejected.selector);
        registry.optIn(second, 0, one(m));
        join(0, 1);
        _refuses(1, m, ICohortRegistry.KnowledgeProofRejected.selector);
        m = person(0, 1);
        m.member = address(this);
        _refuses(0, m, ICohortRegistry.KnowledgeProofRejected.selector);
        m = person(0, 1);
        vm.chainId(5);
        _refuses(0, m, ICohortRegistry.KnowledgeProofRejected.selector);
    }

    function test_refuses_consent_that_the_member_did_not_give() external {
        Member memory m = person(0, 0);
        m.signature = signTyped(keyOf(0, 1), address(registry), consentHash(m, dataset, 0));
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
        m = person(0, 0);
        m.payoutId = bytes32("changed");
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
        m = person(0, 0);
        m.expiryEpoch += 1;
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
        m = person(0, 0);
        m.purposes = bytes32(uint256(7));
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
        m = person(0, 0);
        m.nonce = 1;
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
        m = person(0, 0);
        m.signature = hex"00";
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
        m = person(0, 0);
        m.signature = signTyped(keyOf(0, 0), address(market), consentHash(m, dataset, 0));
        _refuses(0, m, ICohortRegistry.ConsentRejected.selector);
    }

    function test_refuses_consent_that_does_not_cover_the_purposes() external {
        Member memory m = person(0, 0);
        m.purposes = bytes32(uint256(4));
        sign(m, dataset, 0);
        _refuses(0, m, ICohortRegistry.PurposesNotCovered.selector);
        m.purposes = bytes32(uint256(15));
        sign(m, dataset, 0);
        _optIn(0, m);
    }

    function test_refuses_expiries_and_nonces_out_of_range() external {
        _refuses(0, person(dataset, 0, 0, 0, 0, 0), ICohortRegistry.ExpiryOutOfRange.selector);
        _refuses(0, person(dataset, 0, 0, uint64(1) << 32, 0, 0), ICohortRegistry.ExpiryOutOfRange.selector);
        _refuses(0, person(dataset, 0, 0, EXPIRY, 65536, 0), ICohortRegistry.NonceTooLarge.selector);
    }

    // ---------------------------------------------------------------- opt out

    function test_subtracts_what_a_leaving_member_committed() external {
        join(0, 3);
        takeSnapshot();
        uint256[] memory expected = new uint256[](2 * COLUMNS);
        _sum(expected, person(0, 0).commitments);
        _sum(expected, person(0, 2).commitments);
        _optOut(0, 1, person(0, 1).commitments);
        _assertColumns(0, 0, expected, "after leaving");
        takeSnapshot();
        assertEq(registry.memberCount(dataset, 1), 3, "members before");
        assertEq(registry.memberCount(dataset, 2), 2, "members after");
        assertEq(registry.memberAt(dataset, 1, 0, 1), addressOf(0, 1), "was a member");
        assertEq(registry.memberAt(dataset, 2, 0, 1), address(0), "is no member");
    }

    function test_takes_an_opt_out_through_a_relayer() external {
        join(0, 1);
        uint256[] memory commitments = person(0, 0).commitments;
        bytes memory forged = optOutSignature(keyOf(0, 1), 0, 0);
        vm.expectPartialRevert(ICohortRegistry.ConsentRejected.selector);
        registry.optOut(dataset, 0, 0, commitments, forged);
        registry.optOut(dataset, 0, 0, commitments, optOutSignature(keyOf(0, 0), 0, 0));
        assertEq(registry.dataset(dataset).members, 0, "members");
        _assertColumns(0, 0, new uint256[](2 * COLUMNS), "nobody left");
    }

    function test_refuses_an_opt_out_by_another() external {
        join(0, 1);
        uint256[] memory commitments = person(0, 0).commitments;
        vm.expectRevert(ICohortRegistry.NotMember.selector);
        registry.optOut(dataset, 0, 0, commitments, "");
    }

    function test_refuses_an_opt_out_with_other_commitments() external {
        join(0, 2);
        uint256[] memory commitments = person(0, 1).commitments;
        vm.prank(addressOf(0, 0));
        vm.expectPartialRevert(ICohortRegistry.CommitmentsMismatch.selector);
        registry.optOut(dataset, 0, 0, commitments, "");
    }

    function test_refuses_leaving_twice_and_using_the_slot_again() external {
        join(0, 1);
        uint256[] memory commitments = person(0, 0).commitments;
        _optOut(0, 0, commitments);
        vm.prank(addressOf(0, 0));
        vm.expectPartialRevert(ICohortRegistry.SlotEmpty.selector);
        registry.optOut(dataset, 0, 0, commitments, "");
        _refuses(0, person(0, 0), ICohortRegistry.SlotTaken.selector);
    }

    function test_counts_nobody_who_joined_and_left_between_snapshots() external {
        takeSnapshot();
        join(0, 1);
        _optOut(0, 0, person(0, 0).commitments);
        takeSnapshot();
        assertEq(registry.memberAt(dataset, 1, 0, 0), address(0), "first");
        assertEq(registry.memberAt(dataset, 2, 0, 0), address(0), "second");
        assertEq(registry.memberCount(dataset, 2), 0, "members");
    }

    // ---------------------------------------------------------------- rectify

    function _rectify(Member memory update, uint256[] memory previous) private {
        vm.prank(ISSUER);
        registry.rectify(dataset, 0, update, previous);
    }

    function test_replaces_a_members_commitments() external {
        join(0, 2);
        takeSnapshot();
        uint256[] memory before = new uint256[](2 * COLUMNS);
        _sum(before, person(0, 0).commitments);
        _sum(before, person(0, 1).commitments);
        Member memory update = person(dataset, 0, 1, EXPIRY + 5, 3, 9);
        _rectify(update, person(0, 1).commitments);
        uint256[] memory expected = new uint256[](2 * COLUMNS);
        _sum(expected, person(0, 0).commitments);
        _sum(expected, update.commitments);
        _assertColumns(0, 0, expected, "after");
        _assertColumns(1, 0, before, "snapshot before");
        Membership memory held = registry.membership(dataset, 0, 1);
        assertEq(held.nonce, 3, "nonce");
        assertEq(held.expiryEpoch, EXPIRY + 5, "expiry");
        assertEq(held.joined, 1, "joined");
    }

    function test_refuses_to_rectify_back_to_an_older_consent() external {
        join(0, 1);
        Member memory first = person(dataset, 0, 0, EXPIRY, 1, 1);
        _rectify(first, person(0, 0).commitments);
        Member memory older = person(0, 0);
        vm.expectPartialRevert(ICohortRegistry.NonceTooLow.selector);
        _rectify(older, first.commitments);
        vm.expectPartialRevert(ICohortRegistry.NonceTooLow.selector);
        _rectify(first, first.commitments);
    }

    function test_refuses_to_rectify_without_issuer_member_or_commitments() external {
        join(0, 2);
        uint256[] memory previous = person(0, 0).commitments;
        Member memory update = person(dataset, 0, 0, EXPIRY, 1, 1);
        vm.expectRevert(ICohortRegistry.NotIssuer.selector);
        registry.rectify(dataset, 0, update, previous);
        uint256[] memory other = person(0, 1).commitments;
        vm.expectPartialRevert(ICohortRegistry.CommitmentsMismatch.selector);
        _rectify(update, other);
        update.member = address(this);
        vm.expectRevert(ICohortRegistry.NotMember.selector);
        _rectify(update, previous);
        update = person(dataset, 0, 5, EXPIRY, 1, 1);
        vm.expectPartialRevert(ICohortRegistry.SlotEmpty.selector);
        _rectify(update, previous);
    }

    // ---------------------------------------------------------------- epochs

    function _advance() private {
        vm.prank(ADMIN);
        registry.advanceEpoch(dataset);
    }

    function test_removes_a_lapsed_cohort_at_once() external {
        Member[] memory batch = new Member[](5);
        uint256[] memory staying = new uint256[](2 * COLUMNS);
        for (uint32 slot = 0; slot < 5; slot++) {
            batch[slot] = person(dataset, 0, slot, slot < 3 ? 1 : 2, 0, 0);
            if (slot >= 3) _sum(staying, batch[slot].commitments);
        }
        vm.prank(ISSUER);
        registry.optIn(dataset, 0, batch);
        takeSnapshot();
        vm.expectRevert(ICohortRegistry.NothingToExpire.selector);
        registry.expireChunk(dataset, 0);
        _advance();
        vm.prank(ADMIN);
        vm.expectPartialRevert(ICohortRegistry.ExpiryPending.selector);
        registry.snapshot(dataset);
        vm.prank(ADMIN);
        vm.expectPartialRevert(ICohortRegistry.ExpiryPending.selector);
        registry.advanceEpoch(dataset);
        registry.expireChunk(dataset, 0);
        vm.expectRevert(ICohortRegistry.NothingToExpire.selector);
        registry.expireChunk(dataset, 0);
        _assertColumns(0, 0, staying, "staying");
        takeSnapshot();
        assertEq(registry.memberCount(dataset, 2), 2, "members");
        assertEq(registry.memberAt(dataset, 1, 0, 0), addressOf(0, 0), "was a member");
        assertEq(registry.memberAt(dataset, 2, 0, 0), address(0), "lapsed");
        assertEq(registry.memberAt(dataset, 2, 0, 3), addressOf(0, 3), "stayed");
        assertEq(registry.membership(dataset, 0, 0).left, 2, "left");
        uint256[] memory commitments = batch[0].commitments;
        vm.prank(addressOf(0, 0));
        vm.expectPartialRevert(ICohortRegistry.SlotEmpty.selector);
        registry.optOut(dataset, 0, 0, commitments, "");
    }

    function test_forgets_a_cohort_that_left_before_it_lapsed() external {
        Member memory m = person(dataset, 0, 0, 1, 0, 0);
        _optIn(0, m);
        _optOut(0, 0, m.commitments);
        _advance();
        assertEq(registry.pendingExpiries(dataset), 0, "pending");
        takeSnapshot();
    }

    function test_keeps_a_member_whose_consent_was_renewed() external {
        Member memory m = person(dataset, 0, 0, 1, 0, 0);
        _optIn(0, m);
        _advance();
        Member memory renewed = person(dataset, 0, 0, 4, 1, 1);
        _rectify(renewed, m.commitments);
        assertEq(registry.pendingExpiries(dataset), 0, "pending");
        takeSnapshot();
        assertEq(registry.memberAt(dataset, 1, 0, 0), m.member, "member");
        _assertColumns(1, 0, renewed.commitments, "columns");
    }

    function test_advances_timed_epochs_for_anyone_once_due() external {
        DatasetParams memory p = params();
        p.epochLength = 100;
        vm.prank(ADMIN);
        uint256 timed = registry.createDataset(p);
        vm.expectRevert(ICohortRegistry.EpochNotDue.selector);
        registry.advanceEpoch(timed);
        vm.warp(block.timestamp + 100);
        vm.prank(ADMIN);
        vm.expectRevert(ICohortRegistry.EpochDue.selector);
        registry.snapshot(timed);
        assertEq(registry.advanceEpoch(timed), 1, "epoch");
        vm.expectRevert(ICohortRegistry.EpochNotDue.selector);
        registry.advanceEpoch(timed);
        vm.prank(ADMIN);
        registry.snapshot(timed);
    }

    // ---------------------------------------------------------------- snapshots

    function test_keeps_every_snapshot_readable() external {
        uint256[][] memory expected = new uint256[][](7);
        uint256[] memory sums = new uint256[](2 * COLUMNS);
        for (uint256 s = 1; s <= 6; s++) {
            // Chunk 0 changes in periods 1, 2, 4 and 6.
            if (s != 3 && s != 5) {
                uint32 slot = uint32(s);
                Member memory m = person(0, slot);
                _optIn(0, m);
                _sum(sums, m.commitments);
            }
            expected[s] = new uint256[](sums.length);
            for (uint256 i = 0; i < sums.length; i++) {
                expected[s][i] = sums[i];
            }
            takeSnapshot();
        }
        uint256[] memory columns = new uint256[](COLUMNS);
        for (uint256 l = 0; l < COLUMNS; l++) {
            columns[l] = l;
        }
        for (uint256 s = 1; s <= 6; s++) {
            _assertColumns(s, 0, expected[s], "historic");
            uint256[] memory words = registry.commitmentsAt(dataset, s, columns, COLUMNS);
            for (uint256 i = 0; i < words.length; i++) {
                assertEq(words[i], expected[s][i], "batch view");
            }
            (, words) = registry.answerInputs(dataset, s, plan4(cellsPass(), 1));
            assertEq(words[0], expected[s][0], "first queried column");
            assertEq(words[3], expected[s][7], "second queried column");
        }
    }

    function test_knows_no_chunk_before_its_first_member() external {
        join(0, 1);
        takeSnapshot();
        join(1, 1);
        takeSnapshot();
        assertEq(registry.chunkCount(dataset, 1), 1, "chunks then");
        assertEq(registry.chunkCount(dataset, 2), 2, "chunks now");
        (uint256 x, uint256 y) = registry.columnCommitment(dataset, 1, 1, 0);
        assertEq(x | y, 0, "no commitment then");
    }

    function test_refuses_snapshots_and_columns_that_do_not_exist() external {
        join(0, 1);
        vm.expectPartialRevert(ICohortRegistry.UnknownSnapshot.selector);
        registry.memberCount(dataset, 0);
        vm.expectPartialRevert(ICohortRegistry.UnknownSnapshot.selector);
        registry.memberAt(dataset, 1, 0, 0);
        bytes memory plan = plan4(cellsPass(), 1);
        vm.expectPartialRevert(ICohortRegistry.UnknownSnapshot.selector);
        registry.answerInputs(dataset, 1, plan);
        takeSnapshot();
        vm.expectPartialRevert(ICohortRegistry.UnknownColumn.selector);
        registry.columnCommitment(dataset, 1, 0, uint16(COLUMNS));
        plan[3 + 10 + 1] = 0x05;
        vm.expectPartialRevert(ICohortRegistry.UnknownColumn.selector);
        registry.answerInputs(dataset, 1, plan);
        plan[1] = 0x05;
        vm.expectPartialRevert(ICohortRegistry.UnsupportedCircuit.selector);
        registry.answerInputs(dataset, 1, plan);
    }
}
