// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {CommitteeKind, CommitteeParams, SealedAnswer} from "../src/interfaces/ICommittee.sol";
import {SealedEvidence} from "../src/interfaces/IQueryMarket.sol";
import {World} from "./World.sol";

/// @title A world with key holders
abstract contract SealedWorld is World {
    /// Constants, because the compiler reads the chain's id anew wherever it is used.
    uint256 internal constant HOME_CHAIN = 31_337;
    uint256 internal constant OTHER_CHAIN = 777;
    bytes32 internal constant CIPHERTEXTS = keccak256("sum of cubes");

    /// Private keys of the holders, ascending by address.
    uint256[] internal holders;
    bytes32 internal committeeId;

    /// @notice Registers `size` holders with threshold `threshold` and names them for the dataset's next snapshot.
    function appoint(uint256 size, uint8 threshold) internal {
        holders = holderKeys(size, "holder");
        committeeId = enrol(committeeOf(holders, threshold, CommitteeKind.Cubes), holders);
        vm.prank(ADMIN);
        committee.bind(dataset, committeeId);
    }

    function holderKeys(uint256 size, string memory seed) internal pure returns (uint256[] memory keys) {
        keys = new uint256[](size);
        for (uint256 i = 0; i < size; i++) {
            uint256 key = uint256(keccak256(abi.encode(seed, i))) >> 8;
            uint256 j = i;
            for (; j != 0 && vm.addr(keys[j - 1]) > vm.addr(key); j--) {
                keys[j] = keys[j - 1];
            }
            keys[j] = key;
        }
    }

    function committeeOf(uint256[] memory keys, uint8 threshold, CommitteeKind kind)
        internal
        pure
        returns (CommitteeParams memory params)
    {
        params.kind = kind;
        params.threshold = threshold;
        params.keyHash = keccak256("joint key");
        params.members = new address[](keys.length);
        for (uint256 i = 0; i < keys.length; i++) {
            params.members[i] = vm.addr(keys[i]);
        }
    }

    function enrol(CommitteeParams memory params, uint256[] memory keys) internal returns (bytes32) {
        return committee.register(params, acceptances(params, keys));
    }

    function acceptances(CommitteeParams memory params, uint256[] memory keys) internal view returns (bytes memory) {
        return signAll(keys, committee.acceptanceDigest(params));
    }

    function signAll(uint256[] memory keys, bytes32 digest) internal pure returns (bytes memory signatures) {
        for (uint256 i = 0; i < keys.length; i++) {
            signatures = bytes.concat(signatures, signOne(keys[i], digest));
        }
    }

    function signOne(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @notice The first `count` holders.
    function some(uint256 count) internal view returns (uint256[] memory keys) {
        keys = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            keys[i] = holders[i];
        }
    }

    function pair(uint256 a, uint256 b) internal pure returns (uint256[] memory keys) {
        keys = new uint256[](2);
        (keys[0], keys[1]) = (a, b);
    }

    function sealedAnswer(bytes32 queryId, bytes memory plan, PassResult[] memory list)
        internal
        view
        returns (SealedAnswer memory answer)
    {
        answer.queryId = queryId;
        answer.datasetId = dataset;
        answer.snapshotId = market.query(queryId).snapshotId;
        answer.committeeId = committeeId;
        answer.ciphertextHash = CIPHERTEXTS;
        answer.planHash = keccak256(plan);
        answer.resultsHash = keccak256(abi.encode(list));
        answer.releaseHash = keccak256(abi.encode(uint256(MIN_COHORT), uint256(MIN_CELL)));
    }

    function evidence(uint256[] memory keys, SealedAnswer memory answer) internal view returns (SealedEvidence memory) {
        return SealedEvidence(answer.committeeId, answer.ciphertextHash, signAll(keys, committee.digestOf(answer)));
    }

    function evidenceFor(bytes32 queryId, bytes memory plan, PassResult[] memory list, uint256[] memory keys)
        internal
        view
        returns (SealedEvidence memory)
    {
        return evidence(keys, sealedAnswer(queryId, plan, list));
    }
}
