// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ICohortRegistry} from "./interfaces/ICohortRegistry.sol";
import {Claim, IClaimVerifier, IRewardPool} from "./interfaces/IRewardPool.sol";

/// @title The same share for every member of a snapshot, whether or not the record matched
/// @dev The claim verifier is fixed: two nullifier schemes over the same deposits would pay members twice. Another scheme
/// comes with another pool.
contract RewardPool is IRewardPool, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    ICohortRegistry private immutable _registry;
    /// @inheritdoc IRewardPool
    IClaimVerifier public immutable claimVerifier;

    /// @inheritdoc IRewardPool
    mapping(uint256 datasetId => mapping(uint256 snapshotId => mapping(address token => uint256))) public deposited;
    mapping(bytes32 key => uint256) private _paid;
    /// @inheritdoc IRewardPool
    mapping(address token => uint256) public obligations;

    constructor(ICohortRegistry registry_, IClaimVerifier claimVerifier_) {
        _registry = registry_;
        claimVerifier = claimVerifier_;
    }

    /// @inheritdoc IRewardPool
    function deposit(uint256 datasetId, uint256 snapshotId, address token, uint256 amount) external nonReentrant {
        if (_registry.memberCount(datasetId, snapshotId) == 0) revert NoMembers();
        deposited[datasetId][snapshotId][token] += amount;
        obligations[token] += amount;
        emit RewardDeposited(datasetId, snapshotId, token, msg.sender, amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert AmountNotReceived(amount, received);
    }

    /// @inheritdoc IRewardPool
    function claim(Claim calldata request, bytes calldata proof) external nonReentrant returns (uint256 amount) {
        amount = _claim(request, proof);
        if (amount == 0) revert AlreadyClaimed(request.nullifier);
    }

    /// @inheritdoc IRewardPool
    function claimMany(Claim[] calldata requests, bytes[] calldata proofs)
        external
        nonReentrant
        returns (uint256 amount)
    {
        if (requests.length != proofs.length) revert WrongCount();
        for (uint256 i = 0; i < requests.length; i++) {
            amount += _claim(requests[i], proofs[i]);
        }
    }

    /// @dev Returns zero when the nullifier was paid in the meantime or nothing is due.
    function _claim(Claim calldata request, bytes calldata proof) private returns (uint256 amount) {
        bytes32 key = _paidKey(request.datasetId, request.snapshotId, request.token, request.nullifier);
        uint256 before = _paid[key];
        uint256 share = _share(request.datasetId, request.snapshotId, request.token);
        if (before != request.paidBefore || share <= before) return 0;
        amount = share - before;
        if (request.recipient == address(0)) revert InvalidRecipient();
        if (request.fee > amount) revert FeeAboveShare(amount);
        claimVerifier.verifyClaim(request, proof);

        _paid[key] = share;
        obligations[request.token] -= amount;
        emit RewardClaimed(
            request.datasetId,
            request.snapshotId,
            request.nullifier,
            request.token,
            request.recipient,
            amount,
            request.fee
        );
        IERC20(request.token).safeTransfer(request.recipient, amount - request.fee);
        if (request.fee != 0) IERC20(request.token).safeTransfer(msg.sender, request.fee);
    }

    /// @inheritdoc IRewardPool
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IRewardPool
    function paid(uint256 datasetId, uint256 snapshotId, address token, bytes32 nullifier)
        public
        view
        returns (uint256)
    {
        return _paid[_paidKey(datasetId, snapshotId, token, nullifier)];
    }

    /// @inheritdoc IRewardPool
    function due(uint256 datasetId, uint256 snapshotId, address token, bytes32 nullifier)
        external
        view
        returns (uint256)
    {
        return _share(datasetId, snapshotId, token) - paid(datasetId, snapshotId, token, nullifier);
    }

    function _share(uint256 datasetId, uint256 snapshotId, address token) private view returns (uint256) {
        uint256 members = _registry.memberCount(datasetId, snapshotId);
        return members == 0 ? 0 : deposited[datasetId][snapshotId][token] / members;
    }

    function _paidKey(uint256 datasetId, uint256 snapshotId, address token, bytes32 nullifier)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(datasetId, snapshotId, token, nullifier));
    }
}
