// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title 32-byte words in memory and calldata, by address and index
/// @dev Hash preimages and precompile inputs are laid out word by word; bounds are the caller's to keep.
library Words {
    /// @notice Address of freshly allocated, zeroed words.
    function allocate(uint256 count) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := mload(0x40)
            mstore(0x40, add(ptr, mul(count, 0x20)))
            calldatacopy(ptr, calldatasize(), mul(count, 0x20))
        }
    }

    function get(uint256 ptr, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(ptr, mul(index, 0x20)))
        }
    }

    function set(uint256 ptr, uint256 index, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(ptr, mul(index, 0x20)), word)
        }
    }

    /// @notice keccak256 of `count` words.
    function hash(uint256 ptr, uint256 count) internal pure returns (uint256 digest) {
        assembly ("memory-safe") {
            digest := keccak256(ptr, mul(count, 0x20))
        }
    }

    /// @notice Copies calldata words `from .. from + count` to `ptr`.
    function copyFrom(uint256 ptr, uint256[] calldata words, uint256 from, uint256 count) internal pure {
        assembly ("memory-safe") {
            calldatacopy(ptr, add(words.offset, mul(from, 0x20)), mul(count, 0x20))
        }
    }

    function wordOf(bytes calldata words, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(words.offset, mul(index, 0x20)))
        }
    }
}
