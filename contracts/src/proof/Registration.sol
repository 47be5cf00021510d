// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ICohortRegistry, Member} from "../interfaces/ICohortRegistry.sol";
import {Bn254} from "./Bn254.sol";
import {Transcript} from "./Transcript.sol";
import {Words} from "./Words.sol";

/// @notice What a registration is checked against.
struct Basis {
    bytes32 root;
    uint256 depth;
    uint256 hX;
    uint256 hY;
}

/// @title Checks that a member's commitments open in (B_slot, H) only
/// @notice Without this, a commitment with a component on another slot would silently change someone else's record.
library Registration {
    /// @notice Returns the hash of the commitments, or reverts with the slot and the reason.
    function check(uint256 datasetId, uint32 chunk, Member calldata m, Basis memory basis)
        internal
        view
        returns (bytes32 commitmentsHash)
    {
        uint256 words = m.commitments.length;
        for (uint256 i = 0; i < words; i += 2) {
            if (!Bn254.isOnCurve(m.commitments[i], m.commitments[i + 1])) {
                revert ICohortRegistry.InvalidPoint(m.slot);
            }
        }
        if (!Bn254.isOnCurve(m.basisX, m.basisY) || !Bn254.isOnCurve(m.rX, m.rY)) {
            revert ICohortRegistry.InvalidPoint(m.slot);
        }
        if (m.s1 >= Bn254.R || m.s2 >= Bn254.R) revert ICohortRegistry.NonCanonicalScalar(m.slot);
        _requireSlotBase(m, basis);

        // tag, chain, registry, dataset, chunk, slot, member, commitments
        uint256 ptr = Words.allocate(7 + words);
        Words.set(ptr, 0, uint256(Transcript.TAG_REGISTER));
        Words.set(ptr, 1, block.chainid);
        Words.set(ptr, 2, uint256(uint160(address(this))));
        Words.set(ptr, 3, datasetId);
        Words.set(ptr, 4, chunk);
        Words.set(ptr, 5, m.slot);
        Words.set(ptr, 6, uint256(uint160(m.member)));
        Words.load(ptr + 7 * 32, Words.start(m.commitments), words);
        uint256 mu = Words.hash(ptr, 7 + words) % Bn254.R;
        commitmentsHash = bytes32(Words.hash(ptr + 7 * 32, words));
        _requireKnowledge(m, basis, mu);
    }

    /// @dev Positional Merkle path: left and right by the bits of the slot, exactly `depth` levels.
    function _requireSlotBase(Member calldata m, Basis memory basis) private pure {
        bytes32[] calldata path = m.path;
        if (path.length != basis.depth) revert ICohortRegistry.WrongSlotBase(m.slot);
        uint256 x = m.basisX;
        uint256 y = m.basisY;
        uint256 position = m.slot;
        bytes32 node;
        assembly ("memory-safe") {
            mstore(0, x)
            mstore(0x20, y)
            node := keccak256(0, 0x40)
            let end := add(path.offset, mul(path.length, 0x20))
            for { let sibling := path.offset } lt(sibling, end) { sibling := add(sibling, 0x20) } {
                let side := mul(and(position, 1), 0x20)
                mstore(side, node)
                mstore(xor(side, 0x20), calldataload(sibling))
                node := keccak256(0, 0x40)
                position := shr(1, position)
            }
        }
        if (node != basis.root) revert ICohortRegistry.WrongSlotBase(m.slot);
    }

    /// @dev s1 B + s2 H = R + e (c_0 + mu c_1 + mu^2 c_2 + ...).
    function _requireKnowledge(Member calldata m, Basis memory basis, uint256 mu) private view {
        uint256 e = uint256(keccak256(abi.encode(Transcript.TAG_POK, mu, m.rX, m.rY))) % Bn254.R;
        uint256 ptr = Words.allocate(4);
        Bn254.mulAddTo(ptr, m.basisX, m.basisY, m.s1);
        Bn254.mulAddTo(ptr, basis.hX, basis.hY, m.s2);
        Bn254.addTo(ptr + 64, m.rX, m.rY);
        for (uint256 i = 0; i < m.commitments.length; i += 2) {
            Bn254.mulAddTo(ptr + 64, m.commitments[i], m.commitments[i + 1], e);
            e = mulmod(e, mu, Bn254.R);
        }
        if (Words.get(ptr, 0) != Words.get(ptr, 2) || Words.get(ptr, 1) != Words.get(ptr, 3)) {
            revert ICohortRegistry.KnowledgeProofRejected(m.slot);
        }
    }
}
