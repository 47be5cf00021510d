// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Folds a pass's public tables into one field element
/// @notice D = (1 - gamma)^2 sum_k e_k gamma^k over all codes of all tables, in closed form per run, so that the cost
/// grows with the number of runs and not with the number of codes.
library TableFold {
    uint256 private constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    /// @notice Address of the powers of gamma that the fold needs, good until the next allocation.
    function powers(uint256 gamma) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            function sixteen(start, base) -> power {
                power := 1
                for { let end := add(start, 0x200) } lt(start, end) { start := add(start, 0x80) } {
                    mstore(start, power)
                    power := mulmod(power, base, R)
                    mstore(add(start, 0x20), power)
                    power := mulmod(power, base, R)
                    mstore(add(start, 0x40), power)
                    power := mulmod(power, base, R)
                    mstore(add(start, 0x60), power)
                    power := mulmod(power, base, R)
                }
            }
            // gamma^0..gamma^15, then gamma^(16 j) for j = 0..15.
            ptr := mload(0x40)
            pop(sixteen(add(ptr, 0x200), sixteen(ptr, gamma)))
        }
    }

    /// @notice gamma^64, out of its powers.
    function power64(uint256 powersPtr) internal pure returns (uint256 power) {
        assembly ("memory-safe") {
            power := mload(add(powersPtr, 0x280))
        }
    }

    /// @notice D, and whether the runs are what they must be: every table covered exactly, every entry at most `cells`.
    /// @param runsPtr calldata address of the first run (len u8, value u16, slope u16)
    /// @param tables number of tables, 255 codes each
    function fold(uint256 gamma, uint256 powersPtr, uint256 runsPtr, uint256 runCount, uint256 tables, uint256 cells)
        internal
        pure
        returns (uint256 folded, bool wellFormed)
    {
        assembly ("memory-safe") {
            let constants := 0
            let slopes := 0
            let malformed := 0
            let power := 1
            let remaining := 255
            for { let end := add(runsPtr, mul(runCount, 5)) } lt(runsPtr, end) { runsPtr := add(runsPtr, 5) } {
                let word := shr(216, calldataload(runsPtr))
                let length := shr(32, word)
                // Zero wraps around: a run of length 0 is refused too.
                malformed := or(malformed, iszero(lt(sub(length, 1), remaining)))
                remaining := sub(remaining, length)
                if iszero(remaining) {
                    remaining := 255
                    tables := sub(tables, 1)
                }
                let next :=
                    mulmod(
                        power,
                        mulmod(
                            mload(add(powersPtr, shl(5, and(length, 15)))),
                            mload(add(powersPtr, add(0x200, shl(5, shr(4, length))))),
                            R
                        ),
                        R
                    )
                word := and(word, 0xffffffff)
                if word {
                    let value := shr(16, word)
                    constants := addmod(constants, mulmod(value, add(power, sub(R, next)), R), R)
                    let slope := and(word, 0xffff)
                    if slope {
                        // gamma^(s+1) - L gamma^(s+L) + (L-1) gamma^(s+L+1)
                        slopes := addmod(
                            slopes,
                            mulmod(
                                slope,
                                add(
                                    mulmod(gamma, addmod(power, mulmod(sub(length, 1), next, R), R), R),
                                    sub(R, mulmod(length, next, R))
                                ),
                                R
                            ),
                            R
                        )
                    }
                    malformed := or(malformed, gt(add(value, mul(slope, sub(length, 1))), cells))
                }
                power := next
            }
            folded := addmod(mulmod(add(1, sub(R, gamma)), constants, R), slopes, R)
            // A table left open, or more or fewer tables than columns.
            wellFormed := iszero(or(malformed, or(tables, sub(remaining, 255))))
        }
    }

    /// @notice sum_t y_t gamma^t over `count` words at memory address `valuesPtr`.
    function polynomial(uint256 gamma, uint256 valuesPtr, uint256 count) internal pure returns (uint256 sum) {
        assembly ("memory-safe") {
            for { let ptr := add(valuesPtr, shl(5, count)) } gt(ptr, valuesPtr) {} {
                ptr := sub(ptr, 0x20)
                sum := addmod(mulmod(sum, gamma, R), mload(ptr), R)
            }
        }
    }
}
