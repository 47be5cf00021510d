// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Arithmetic on BN254's first group through the precompiles of EIP-196
/// @dev Points are affine (x, y); infinity is (0, 0). The precompiles refuse coordinates that are not below p and points
/// off the curve.
library Bn254 {
    /// @notice Base field order p.
    uint256 internal constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @notice Group order r.
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    /// @notice A precompile refused its input, or had too little gas.
    error PrecompileFailed();

    /// @notice True for points of the group other than infinity, in canonical coordinates.
    function isOnCurve(uint256 x, uint256 y) internal pure returns (bool ok) {
        assembly ("memory-safe") {
            ok := and(and(lt(x, P), lt(y, P)), eq(mulmod(y, y, P), addmod(mulmod(x, mulmod(x, x, P), P), 3, P)))
        }
    }

    /// @notice The y coordinate of the negated point.
    function negated(uint256 y) internal pure returns (uint256) {
        return y == 0 ? 0 : P - y;
    }

    /// @notice Sum of two points.
    function add(uint256 ax, uint256 ay, uint256 bx, uint256 by) internal view returns (uint256 x, uint256 y) {
        bool ok;
        assembly ("memory-safe") {
            let f := mload(0x40)
            mstore(f, ax)
            mstore(add(f, 0x20), ay)
            mstore(add(f, 0x40), bx)
            mstore(add(f, 0x60), by)
            ok := staticcall(gas(), 6, f, 0x80, f, 0x40)
            x := mload(f)
            y := mload(add(f, 0x20))
        }
        if (!ok) revert PrecompileFailed();
    }

    /// @notice `scalar` times a point.
    function mul(uint256 ax, uint256 ay, uint256 scalar) internal view returns (uint256 x, uint256 y) {
        bool ok;
        assembly ("memory-safe") {
            let f := mload(0x40)
            mstore(f, ax)
            mstore(add(f, 0x20), ay)
            mstore(add(f, 0x40), scalar)
            ok := staticcall(gas(), 7, f, 0x60, f, 0x40)
            x := mload(f)
            y := mload(add(f, 0x20))
        }
        if (!ok) revert PrecompileFailed();
    }

    /// @notice Writes `scalar` times a point to memory address `ptr`.
    function mulInto(uint256 ptr, uint256 ax, uint256 ay, uint256 scalar) internal view {
        bool ok;
        assembly ("memory-safe") {
            mstore(ptr, ax)
            mstore(add(ptr, 0x20), ay)
            ok := 1
            if iszero(eq(scalar, 1)) {
                let f := mload(0x40)
                mcopy(f, ptr, 0x40)
                mstore(add(f, 0x40), scalar)
                ok := staticcall(gas(), 7, f, 0x60, ptr, 0x40)
            }
        }
        if (!ok) revert PrecompileFailed();
    }

    /// @notice Adds a point to the one stored at memory address `ptr`.
    function addTo(uint256 ptr, uint256 ax, uint256 ay) internal view {
        bool ok;
        assembly ("memory-safe") {
            let f := mload(0x40)
            mstore(f, ax)
            mstore(add(f, 0x20), ay)
            mcopy(add(f, 0x40), ptr, 0x40)
            ok := staticcall(gas(), 6, f, 0x80, ptr, 0x40)
        }
        if (!ok) revert PrecompileFailed();
    }

    /// @notice Adds `scalar` times a point to the one stored at memory address `ptr`.
    function mulAddTo(uint256 ptr, uint256 ax, uint256 ay, uint256 scalar) internal view {
        bool ok;
        assembly ("memory-safe") {
            let f := mload(0x40)
            mstore(f, ax)
            mstore(add(f, 0x20), ay)
            ok := 1
            if iszero(eq(scalar, 1)) {
                mstore(add(f, 0x40), scalar)
                ok := staticcall(gas(), 7, f, 0x60, f, 0x40)
            }
            mcopy(add(f, 0x40), ptr, 0x40)
            ok := and(ok, staticcall(gas(), 6, f, 0x80, ptr, 0x40))
        }
        if (!ok) revert PrecompileFailed();
    }
}
