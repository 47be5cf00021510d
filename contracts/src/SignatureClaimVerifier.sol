// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ICohortRegistry} from "./interfaces/ICohortRegistry.sol";
import {Claim, IClaimVerifier} from "./interfaces/IRewardPool.sol";
import {Transcript} from "./proof/Transcript.sol";

/// @title Claims by the member key's EIP-712 signature
/// @notice The claim shows slot and member key, so recipient and membership are linkable on chain.
/// @dev The proof is abi.encode(uint32 chunk, uint32 slot, bytes signature). The domain is name "Salus", version "1", this
/// chain, and the calling pool as verifying contract, so that a claim is good for one pool.
contract SignatureClaimVerifier is IClaimVerifier {
    bytes32 public constant CLAIM_TYPEHASH = keccak256(
        "Claim(uint256 dataset,uint256 snapshot,uint32 chunk,uint32 slot,address token,address recipient,uint256 fee,uint256 paidBefore)"
    );

    /// Name, version, chain id, verifying contract (EIP-5267 bits).
    bytes1 private constant DOMAIN_FIELDS = hex"0f";

    ICohortRegistry public immutable registry;

    constructor(ICohortRegistry registry_) {
        registry = registry_;
    }

    /// @inheritdoc IClaimVerifier
    function verifyClaim(Claim calldata claim, bytes calldata proof) external view {
        (uint32 chunk, uint32 slot, bytes memory signature) = abi.decode(proof, (uint32, uint32, bytes));
        if (claim.nullifier != nullifierOf(claim.datasetId, claim.snapshotId, chunk, slot)) revert ClaimRejected();
        address member = registry.memberAt(claim.datasetId, claim.snapshotId, chunk, slot);
        if (member == address(0)) revert ClaimRejected();
        (address signer, ECDSA.RecoverError problem,) =
            ECDSA.tryRecover(claimDigest(msg.sender, claim, chunk, slot), signature);
        if (problem != ECDSA.RecoverError.NoError || signer != member) revert ClaimRejected();
    }

    /// @notice The share's name: one per slot and snapshot.
    function nullifierOf(uint256 datasetId, uint256 snapshotId, uint32 chunk, uint32 slot)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(Transcript.TAG_CLAIM, datasetId, snapshotId, chunk, slot));
    }

    /// @notice What the member signs for a claim at `pool`.
    function claimDigest(address pool, Claim calldata claim, uint32 chunk, uint32 slot) public view returns (bytes32) {
        bytes32 domain = MessageHashUtils.toDomainSeparator(
            DOMAIN_FIELDS, keccak256("Salus"), keccak256("1"), block.chainid, pool, bytes32(0)
        );
        return MessageHashUtils.toTypedDataHash(
            domain,
            keccak256(
                abi.encode(
                    CLAIM_TYPEHASH,
                    claim.datasetId,
                    claim.snapshotId,
                    chunk,
                    slot,
                    claim.token,
                    claim.recipient,
                    claim.fee,
                    claim.paidBefore
                )
            )
        );
    }
}
