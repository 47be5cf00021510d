// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice A member's request to be paid. What a claim verifier must bind to the member's secret or signature.
struct Claim {
    uint256 datasetId;
    uint256 snapshotId;
    address token;
    /// Names the share without naming the member; one per member and snapshot.
    bytes32 nullifier;
    address recipient;
    /// What the caller receives out of the payment, base units.
    uint256 fee;
    /// What this nullifier was paid before; a claim is therefore good for one payment only.
    uint256 paidBefore;
}

/// @title Decides whether a claim belongs to a member of the snapshot
/// @notice Called by the pool; `msg.sender` is the pool to which the claim must be bound.
interface IClaimVerifier {
    error ClaimRejected();

    /// @notice Returns when the claim is good, reverts otherwise. Must admit exactly one nullifier per member and snapshot.
    function verifyClaim(Claim calldata claim, bytes calldata proof) external view;
}

/// @title Equal shares of a snapshot's rewards for each of its members
/// @notice A member's share is floor(deposited / members). What the division leaves over (less than one base unit per
/// member) stays in the pool, is part of `obligations`, and is divided again with the next deposit for the same
/// snapshot and token.
interface IRewardPool {
    event RewardDeposited(
        uint256 indexed datasetId, uint256 indexed snapshotId, address indexed token, address from, uint256 amount
    );
    event RewardClaimed(
        uint256 indexed datasetId,
        uint256 indexed snapshotId,
        bytes32 indexed nullifier,
        address token,
        address recipient,
        uint256 amount,
        uint256 fee
    );

    error NoMembers();
    error AmountNotReceived(uint256 expected, uint256 received);
    error AlreadyClaimed(bytes32 nullifier);
    error FeeAboveShare(uint256 share);
    error InvalidRecipient();
    error WrongCount();

    /// @notice Adds `amount` of `token`, taken from the caller, to what the snapshot's members share. Anyone may.
    function deposit(uint256 datasetId, uint256 snapshotId, address token, uint256 amount) external;
    /// @notice Step 8 of 8: pays a member's share, less the fee, to the recipient and the fee to the caller.
    function claim(Claim calldata request, bytes calldata proof) external returns (uint256 amount);
    /// @notice Pays several claims. Claims that were paid in the meantime are passed over; a bad proof reverts.
    /// @return amount sum of the shares paid, fees included
    function claimMany(Claim[] calldata requests, bytes[] calldata proofs) external returns (uint256 amount);

    function registry() external view returns (address);
    function claimVerifier() external view returns (IClaimVerifier);
    function deposited(uint256 datasetId, uint256 snapshotId, address token) external view returns (uint256);
    function paid(uint256 datasetId, uint256 snapshotId, address token, bytes32 nullifier)
        external
        view
        returns (uint256);
    /// @notice What a nullifier could claim now, if it belongs to a member.
    function due(uint256 datasetId, uint256 snapshotId, address token, bytes32 nullifier)
        external
        view
        returns (uint256);
    /// @notice Deposits not yet paid out, base units.
    function obligations(address token) external view returns (uint256);
}
