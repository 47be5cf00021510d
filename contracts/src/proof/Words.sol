// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title 32-byte words in memory and calldata, by address and index
/// @dev Hash preimages and precompile inputs are laid out word by word; bounds are the caller's to keep.
library Words {
    /// @notice Address of freshly allocated, zeroed words.
    function allocate(uint256 count) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := mload(0x40)
            mstore(0x40, add(ptr, shl(5, count)))
            calldatacopy(ptr, calldatasize(), shl(5, count))
        }
    }

    /// @notice Address of freshly allocated words that hold anything.
    function reserve(uint256 count) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := mload(0x40)
            mstore(0x40, add(ptr, shl(5, count)))
        }
    }

    function get(uint256 ptr, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(ptr, shl(5, index)))
        }
    }

    function set(uint256 ptr, uint256 index, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(ptr, shl(5, index)), word)
        }
    }

    /// @notice keccak256 of `count` words.
    function hash(uint256 ptr, uint256 count) internal pure returns (uint256 digest) {
        assembly ("memory-safe") {
            digest := keccak256(ptr, shl(5, count))
        }
    }

    /// @notice Copies words within memory.
    function copy(uint256 to, uint256 from, uint256 count) internal pure {
        assembly ("memory-safe") {
            mcopy(to, from, shl(5, count))
        }
    }

    /// @notice Copies words from calldata address `from` to memory address `to`.
    function load(uint256 to, uint256 from, uint256 count) internal pure {
        assembly ("memory-safe") {
            calldatacopy(to, from, shl(5, count))
        }
    }

    /// @notice The word at calldata address `ptr`, `index` words on.
    function input(uint256 ptr, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(ptr, shl(5, index)))
        }
    }

    /// @notice Calldata address of the first word.
    function start(uint256[] calldata words) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := words.offset
        }
    }

    /// @notice Calldata address of the first byte.
    function start(bytes calldata data) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := data.offset
        }
    }
}
