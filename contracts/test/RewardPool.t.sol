// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RewardPool} from "../src/RewardPool.sol";
import {ICohortRegistry, Member} from "../src/interfaces/ICohortRegistry.sol";
import {Claim, IClaimVerifier, IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {FeeOnTransferToken, ReentrantToken} from "./cheaters/Tokens.sol";
import {World} from "./World.sol";

contract RewardPoolTest is World {
    address private constant WALLET = address(0x3A11E7);
    address private constant RELAYER = address(0x4E1A);

    function setUp() external {
        deploy();
        join(0, 3);
        takeSnapshot();
        token.mint(address(this), 1e24);
        token.approve(address(pool), type(uint256).max);
    }

    function _deposit(uint256 snapshotId, uint256 amount) private {
        pool.deposit(dataset, snapshotId, address(token), amount);
    }

    function _claim(uint256 snapshotId, uint32 chunk, uint32 slot) private returns (uint256) {
        Claim memory c = claimOf(snapshotId, chunk, slot, WALLET, 0);
        return pool.claim(c, claimProof(c, chunk, slot, keyOf(chunk, slot)));
    }

    function _refuses(Claim memory c, bytes memory proof, bytes4 reason) private {
        vm.expectPartialRevert(reason);
        pool.claim(c, proof);
    }

    function test_pays_every_member_the_same_share() external {
        _deposit(1, 301);
        for (uint32 slot = 0; slot < 3; slot++) {
            assertEq(_claim(1, 0, slot), 100, "share");
        }
        assertEq(token.balanceOf(WALLET), 300, "paid");
        assertEq(pool.obligations(address(token)), 1, "remainder stays owed");
        assertEq(token.balanceOf(address(pool)), 1, "remainder stays in the pool");
    }

    function test_divides_the_remainder_again_with_the_next_deposit() external {
        _deposit(1, 301);
        _claim(1, 0, 0);
        _deposit(1, 2);
        assertEq(_claim(1, 0, 0), 1, "top-up");
        Claim memory again = claimOf(1, 0, 0, WALLET, 0);
        assertEq(again.paidBefore, 101, "both payments count");
        _refuses(again, claimProof(again, 0, 0, keyOf(0, 0)), IRewardPool.AlreadyClaimed.selector);
        assertEq(_claim(1, 0, 1), 101, "all at once");
        assertEq(_claim(1, 0, 2), 101, "all at once");
        assertEq(pool.obligations(address(token)), 0, "nothing owed");
    }

    function test_refuses_to_pay_twice() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 0);
        bytes memory proof = claimProof(c, 0, 0, keyOf(0, 0));
        pool.claim(c, proof);
        _refuses(c, proof, IRewardPool.AlreadyClaimed.selector);
        Claim memory fresh = claimOf(1, 0, 0, WALLET, 0);
        _refuses(fresh, claimProof(fresh, 0, 0, keyOf(0, 0)), IRewardPool.AlreadyClaimed.selector);
    }

    function test_refuses_an_old_claim_after_a_further_deposit() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 5);
        bytes memory proof = claimProof(c, 0, 0, keyOf(0, 0));
        pool.claim(c, proof);
        _deposit(1, 300);
        _refuses(c, proof, IRewardPool.AlreadyClaimed.selector);
        c.paidBefore = 100;
        _refuses(c, proof, IClaimVerifier.ClaimRejected.selector);
    }

    function test_refuses_claims_by_another() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 0);
        _refuses(c, claimProof(c, 0, 0, keyOf(0, 1)), IClaimVerifier.ClaimRejected.selector);
        // Own slot, someone else's share.
        _refuses(c, claimProof(c, 0, 1, keyOf(0, 1)), IClaimVerifier.ClaimRejected.selector);
        // A name for the share that nobody has.
        c.nullifier = bytes32("invented");
        _refuses(c, claimProof(c, 0, 0, keyOf(0, 0)), IClaimVerifier.ClaimRejected.selector);
        // A slot that nobody holds.
        c = claimOf(1, 0, 7, WALLET, 0);
        _refuses(c, claimProof(c, 0, 7, keyOf(0, 7)), IClaimVerifier.ClaimRejected.selector);
    }

    function test_refuses_changed_recipients_and_fees() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 1);
        bytes memory proof = claimProof(c, 0, 0, keyOf(0, 0));
        c.recipient = RELAYER;
        _refuses(c, proof, IClaimVerifier.ClaimRejected.selector);
        c.recipient = WALLET;
        c.fee = 99;
        _refuses(c, proof, IClaimVerifier.ClaimRejected.selector);
        c.fee = 1;
        c.token = address(market);
        _refuses(c, proof, IRewardPool.AlreadyClaimed.selector);
    }

    function test_refuses_claims_for_another_chain_or_pool() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 0);
        bytes memory proof = claimProof(c, 0, 0, keyOf(0, 0));
        RewardPool second = new RewardPool(registry, claimVerifier);
        token.approve(address(second), 300);
        second.deposit(dataset, 1, address(token), 300);
        vm.expectRevert(IClaimVerifier.ClaimRejected.selector);
        second.claim(c, proof);
        vm.chainId(1);
        _refuses(c, proof, IClaimVerifier.ClaimRejected.selector);
    }

    function test_refuses_claims_for_snapshots_that_one_was_not_in() external {
        join(1, 2);
        uint256[] memory commitments = person(0, 0).commitments;
        vm.prank(addressOf(0, 0));
        registry.optOut(dataset, 0, 0, commitments, "");
        takeSnapshot();
        _deposit(1, 300);
        _deposit(2, 400);
        // Joined later.
        Claim memory c = claimOf(1, 1, 0, WALLET, 0);
        _refuses(c, claimProof(c, 1, 0, keyOf(1, 0)), IClaimVerifier.ClaimRejected.selector);
        // Left before.
        c = claimOf(2, 0, 0, WALLET, 0);
        _refuses(c, claimProof(c, 0, 0, keyOf(0, 0)), IClaimVerifier.ClaimRejected.selector);
        // Left later: the earlier share is still due.
        assertEq(_claim(1, 0, 0), 100, "first snapshot");
        assertEq(_claim(2, 1, 0), 100, "second snapshot");
        c = claimOf(3, 0, 1, WALLET, 0);
        _refuses(c, claimProof(c, 0, 1, keyOf(0, 1)), ICohortRegistry.UnknownSnapshot.selector);
    }

    function test_pays_lapsed_members_for_earlier_snapshots_only() external {
        Member memory m = person(dataset, 1, 0, 1, 0, 0);
        vm.prank(ISSUER);
        registry.optIn(dataset, 1, one(m));
        takeSnapshot();
        vm.prank(ADMIN);
        registry.advanceEpoch(dataset);
        registry.expireChunk(dataset, 1);
        takeSnapshot();
        _deposit(2, 400);
        _deposit(3, 300);
        assertEq(_claim(2, 1, 0), 100, "before lapsing");
        Claim memory c = claimOf(3, 1, 0, WALLET, 0);
        _refuses(c, claimProof(c, 1, 0, keyOf(1, 0)), IClaimVerifier.ClaimRejected.selector);
    }

    function test_pays_the_relayer_its_fee() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 7);
        bytes memory proof = claimProof(c, 0, 0, keyOf(0, 0));
        vm.prank(RELAYER);
        pool.claim(c, proof);
        assertEq(token.balanceOf(RELAYER), 7, "fee");
        assertEq(token.balanceOf(WALLET), 93, "rest");
    }

    function test_refuses_fees_above_the_share_and_empty_recipients() external {
        _deposit(1, 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 101);
        _refuses(c, claimProof(c, 0, 0, keyOf(0, 0)), IRewardPool.FeeAboveShare.selector);
        c = claimOf(1, 0, 0, address(0), 0);
        _refuses(c, claimProof(c, 0, 0, keyOf(0, 0)), IRewardPool.InvalidRecipient.selector);
    }

    function test_passes_over_claims_that_were_paid_in_the_meantime() external {
        _deposit(1, 300);
        Claim[] memory claims = new Claim[](3);
        bytes[] memory proofs = new bytes[](3);
        for (uint32 slot = 0; slot < 3; slot++) {
            claims[slot] = claimOf(1, 0, slot, WALLET, 1);
            proofs[slot] = claimProof(claims[slot], 0, slot, keyOf(0, slot));
        }
        pool.claim(claims[1], proofs[1]);
        vm.prank(RELAYER);
        assertEq(pool.claimMany(claims, proofs), 200, "the other two");
        assertEq(token.balanceOf(RELAYER), 2, "fees");
        vm.prank(RELAYER);
        assertEq(pool.claimMany(claims, proofs), 0, "nothing left");
        vm.expectRevert(IRewardPool.WrongCount.selector);
        pool.claimMany(claims, new bytes[](2));
    }

    function test_refuses_a_batch_with_a_bad_proof() external {
        _deposit(1, 300);
        Claim[] memory claims = new Claim[](2);
        bytes[] memory proofs = new bytes[](2);
        for (uint32 slot = 0; slot < 2; slot++) {
            claims[slot] = claimOf(1, 0, slot, WALLET, 0);
            proofs[slot] = claimProof(claims[slot], 0, slot, keyOf(0, 0));
        }
        vm.expectRevert(IClaimVerifier.ClaimRejected.selector);
        pool.claimMany(claims, proofs);
    }

    function test_refuses_deposits_that_nobody_could_claim() external {
        uint256 empty = createDataset();
        vm.prank(ADMIN);
        registry.snapshot(empty);
        vm.expectRevert(IRewardPool.NoMembers.selector);
        pool.deposit(empty, 1, address(token), 5);
        vm.expectPartialRevert(ICohortRegistry.UnknownSnapshot.selector);
        pool.deposit(dataset, 9, address(token), 5);
    }

    function test_refuses_a_token_that_keeps_a_fee() external {
        FeeOnTransferToken fee = new FeeOnTransferToken();
        fee.mint(address(this), 1000);
        fee.approve(address(pool), 1000);
        vm.expectPartialRevert(IRewardPool.AmountNotReceived.selector);
        pool.deposit(dataset, 1, address(fee), 1000);
    }

    function test_withstands_a_token_that_reenters_while_paying() external {
        ReentrantToken evil = new ReentrantToken();
        evil.mint(address(this), 300);
        evil.approve(address(pool), 300);
        pool.deposit(dataset, 1, address(evil), 300);
        Claim memory c = claimOf(1, 0, 0, WALLET, 0);
        c.token = address(evil);
        bytes memory proof = claimProof(c, 0, 0, keyOf(0, 0));
        evil.arm(address(pool), abi.encodeCall(pool.claim, (c, proof)));
        pool.claim(c, proof);
        assertTrue(evil.attempted() && !evil.succeeded(), "reentered");
        assertEq(evil.balanceOf(WALLET), 100, "paid once");
        assertEq(evil.balanceOf(address(pool)), pool.obligations(address(evil)), "obligations");
    }

    function testFuzz_never_pays_more_than_was_deposited(uint96 first, uint96 second, uint8 order) external {
        token.mint(address(this), uint256(first) + second);
        if (first > 0) _deposit(1, first);
        uint256 paid;
        for (uint32 i = 0; i < 6; i++) {
            uint32 slot = uint32((i + order) % 3);
            if (i == 3 && second > 0) _deposit(1, second);
            Claim memory c = claimOf(1, 0, slot, WALLET, 0);
            if (pool.due(dataset, 1, address(token), c.nullifier) == 0) continue;
            paid += pool.claim(c, claimProof(c, 0, slot, keyOf(0, slot)));
        }
        uint256 total = uint256(first) + second;
        assertEq(paid, total / 3 * 3, "equal shares, all paid");
        assertEq(token.balanceOf(address(pool)), total - paid, "remainder");
    }
}
