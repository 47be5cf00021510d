// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnswerVerifier} from "../interfaces/IAnswerVerifier.sol";

/// @notice Where the parts of one pass lie in the plan bytes.
struct PlanPass {
    uint256 image;
    uint256 values;
    uint256 baseMask;
    /// Byte offset of the column indices, two bytes each.
    uint256 columns;
    /// Byte offset of the runs, five bytes each.
    uint256 runs;
    uint256 runCount;
    /// Byte offset just behind the pass.
    uint256 end;
}

/// @title Reads plan bytes, version 1
/// @notice `version u8 | K u8 | passes u8`, then per pass `image u8 | values u8 | base_mask u64 | columns K x u16 |
/// run_count u16 | runs (len u8, value u16, slope u16)`, big endian.
library Plan {
    uint256 internal constant MOMENTS = 0;
    uint256 internal constant CELLS = 1;
    uint256 internal constant MAX_VALUES = 64;
    /// @notice Codes that a table covers: 1..=255. Code 0 always fails.
    uint256 internal constant TABLE_CODES = 255;
    uint256 internal constant HEAD_BYTES = 3;
    uint256 private constant RUN_BYTES = 5;
    uint256 private constant VERSION = 1;

    /// @notice Columns per pass and number of passes.
    function head(bytes calldata plan) internal pure returns (uint256 columns, uint256 passes) {
        uint256 version;
        assembly ("memory-safe") {
            let first := calldataload(plan.offset)
            version := byte(0, first)
            columns := byte(1, first)
            passes := byte(2, first)
        }
        if (plan.length < HEAD_BYTES || version != VERSION || columns == 0 || passes == 0) {
            revert IAnswerVerifier.MalformedPlan();
        }
    }

    /// @notice Reads the pass that starts at byte `offset`; runs are not looked at.
    function passAt(bytes calldata plan, uint256 offset, uint256 columns) internal pure returns (PlanPass memory pass) {
        unchecked {
            // No overflow: offset is at most plan.length and everything added is below 2^20.
            uint256 runs = offset + 12 + 2 * columns;
            if (runs > plan.length) revert IAnswerVerifier.MalformedPlan();
            uint256 word;
            uint256 runCount;
            assembly ("memory-safe") {
                word := calldataload(add(plan.offset, offset))
                runCount := shr(240, calldataload(add(plan.offset, sub(runs, 2))))
            }
            pass.image = word >> 248;
            pass.values = (word >> 240) & 0xff;
            pass.baseMask = (word >> 176) & type(uint64).max;
            pass.columns = offset + 10;
            pass.runs = runs;
            pass.runCount = runCount;
            pass.end = runs + RUN_BYTES * runCount;
            if (
                pass.end > plan.length || pass.image > CELLS || pass.values == 0 || pass.values > MAX_VALUES
                    || (pass.image == MOMENTS && pass.values % 3 != 0)
            ) revert IAnswerVerifier.MalformedPlan();
        }
    }

    /// @notice Column index at position `position` of a pass.
    function column(bytes calldata plan, PlanPass memory pass, uint256 position) internal pure returns (uint256 index) {
        uint256 offset = pass.columns + 2 * position;
        assembly ("memory-safe") {
            index := shr(240, calldataload(add(plan.offset, offset)))
        }
    }
}
