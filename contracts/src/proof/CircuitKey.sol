// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Create3} from "@openzeppelin/contracts/utils/Create3.sol";
import {IAnswerVerifier} from "../interfaces/IAnswerVerifier.sol";

/// @title Where a circuit's words lie, and how to read them back
/// @notice A circuit is stored as contract code: STOP, family, packed shape, then its words. The address follows from the
/// circuit id and the registering contract, so that reading a key needs no storage access.
library CircuitKey {
    // Word positions.
    uint256 internal constant ALPHA = 0;
    uint256 internal constant BETA = 2;
    uint256 internal constant GAMMA1 = 6;
    uint256 internal constant GAMMA3 = 10;
    uint256 internal constant GAMMA0 = 14;
    uint256 internal constant GAMMA2 = 18;
    uint256 internal constant DELTA = 22;
    uint256 internal constant IC_ONE = 26;
    uint256 internal constant IC_GAMMA = 28;
    uint256 internal constant IC_V = 30;
    uint256 internal constant RESULT_BASIS = 32;
    uint256 internal constant SHAPE = 162;
    uint256 internal constant WORDS = 170;

    /// @notice Words in front of the circuit's own: family, packed shape.
    uint256 internal constant PREFIX_WORDS = 2;
    /// @notice What a direct answer needs: prefix and the words before the result basis.
    uint256 internal constant HEAD_WORDS = PREFIX_WORDS + RESULT_BASIS;

    /// @notice Address that holds a circuit registered by `store`, whether or not it exists.
    function codeOf(address store, bytes32 circuitId) internal pure returns (address) {
        return Create3.computeAddress(circuitId, store);
    }

    /// @notice Copies stored words `from .. from + count` to memory address `ptr`.
    function load(uint256 ptr, address store, bytes32 circuitId, uint256 from, uint256 count) internal view {
        address code = codeOf(store, circuitId);
        if (code.code.length == 0) revert IAnswerVerifier.UnknownCircuit(circuitId);
        assembly ("memory-safe") {
            extcodecopy(code, ptr, add(1, shl(5, from)), shl(5, count))
        }
    }
}
