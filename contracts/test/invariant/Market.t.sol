// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Handler} from "./Handler.sol";

/// @notice Numbers refer to README.md next to this file.
contract MarketInvariants is Base {
    Handler private handler;

    function setUp() external {
        handler = new Handler();
        targetContract(address(handler));
    }

    /// @notice 1, 2, 3, 4, 11 and 12.
    function invariant_money_is_conserved() external view {
        assertEq(handler.marketBalance(), handler.marketObligations(), "1: market balance is not what it owes");
        assertEq(handler.marketObligations(), handler.owed(), "2: obligations are not the sum over queries and credits");
        assertEq(handler.poolBalance(), handler.poolObligations(), "3: pool balance is not what it owes");
        assertEq(
            handler.funded(),
            handler.marketBalance() + handler.poolBalance() + handler.committeeBalance() + handler.withdrawn()
                + handler.claimed() + handler.rewarded(),
            "4: money appeared or vanished"
        );
        assertEq(
            handler.committeeBalance(), handler.committeeObligations(), "11: committee balance is not what it owes"
        );
        assertEq(handler.committeeObligations(), handler.bonds(), "12: obligations are not the sum of the bonds");
    }

    /// @notice 5 and 6.
    function invariant_nobody_is_paid_more_than_a_share() external view {
        for (uint256 s = 1; s <= handler.snapshots(); s++) {
            uint256 share = handler.shareOf(s);
            for (uint32 i = 0; i < handler.chunks() * handler.slots(); i++) {
                (uint32 chunk, uint32 slot) = (i % handler.chunks(), i / handler.chunks());
                (uint256 said, uint256 paid) = handler.paidFor(s, chunk, slot);
                assertEq(said, paid, "5: the pool's books are wrong");
                assertTrue(paid <= share, "5: paid more than a share");
                if (paid > 0) assertTrue(handler.isMember(s, chunk, slot), "6: paid to someone who was not a member");
            }
        }
    }

    /// @notice 7 and 8.
    function invariant_columns_are_the_sum_of_active_members() external view {
        for (uint32 chunk = 0; chunk < handler.chunks(); chunk++) {
            assertEq(
                handler.columns(0, chunk),
                keccak256(abi.encodePacked(handler.expectedColumns(chunk))),
                "7: current columns are not the sum of active members"
            );
            for (uint256 s = 1; s <= handler.snapshots(); s++) {
                assertEq(handler.columns(s, chunk), handler.columnsAt(s, chunk), "8: a snapshot's columns changed");
            }
        }
    }

    /// @notice 9 and 10.
    function invariant_snapshots_know_their_members() external view {
        for (uint256 s = 1; s <= handler.snapshots(); s++) {
            uint256 found;
            for (uint32 i = 0; i < handler.chunks() * handler.slots(); i++) {
                (uint32 chunk, uint32 slot) = (i % handler.chunks(), i / handler.chunks());
                bool member = handler.memberAt(s, chunk, slot);
                assertTrue(member == handler.isMember(s, chunk, slot), "9: membership at a snapshot changed");
                if (member) found++;
            }
            assertEq(found, handler.memberCount(s), "10: member count is not the number of members");
            assertEq(found, handler.membersAt(s), "10: member count changed");
        }
    }
}
