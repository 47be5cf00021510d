// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Domain separation tags of every hash in the protocol
library Transcript {
    bytes32 internal constant TAG_HEADER = keccak256("salus.v1.header");
    bytes32 internal constant TAG_ZETA = keccak256("salus.v1.zeta");
    bytes32 internal constant TAG_GAMMA = keccak256("salus.v1.gamma");
    bytes32 internal constant TAG_BATCH = keccak256("salus.v1.batch");
    bytes32 internal constant TAG_WEIGHT = keccak256("salus.v1.weight");
    bytes32 internal constant TAG_REGISTER = keccak256("salus.v1.register");
    bytes32 internal constant TAG_POK = keccak256("salus.v1.pok");
    bytes32 internal constant TAG_CLAIM = keccak256("salus.v1.claim");

    /// @notice Hash that binds every proof of an answer to chain, market, dataset, snapshot and query.
    function header(address market, uint256 datasetId, uint256 snapshotId, bytes32 queryId)
        internal
        view
        returns (bytes32)
    {
        return
            keccak256(abi.encode(TAG_HEADER, block.chainid, uint256(uint160(market)), datasetId, snapshotId, queryId));
    }
}
