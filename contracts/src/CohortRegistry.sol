// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {CircuitShape, IAnswerVerifier} from "./interfaces/IAnswerVerifier.sol";
import {
    AnswerTerms,
    Dataset,
    DatasetParams,
    ICohortRegistry,
    Member,
    Membership
} from "./interfaces/ICohortRegistry.sol";
import {ColumnSums} from "./ColumnSums.sol";
import {Plan} from "./proof/Plan.sol";
import {Basis, Registration} from "./proof/Registration.sol";

/// @title Consent and membership: who is in which snapshot of which dataset
/// @dev A dataset is in period p = snapshots taken + 1; what is written in period p is contained in snapshot p.
contract CohortRegistry is ICohortRegistry, EIP712, ColumnSums {
    bytes32 public constant CONSENT_TYPEHASH = keccak256(
        "Consent(uint256 dataset,uint32 chunk,uint32 slot,bytes32 purposes,uint64 expiryEpoch,bytes32 commitmentsHash,bytes32 payoutId,uint256 nonce)"
    );
    bytes32 public constant OPT_OUT_TYPEHASH = keccak256("OptOut(uint256 dataset,uint32 chunk,uint32 slot)");
    uint256 private constant MAX_BPS = 10_000;

    struct Policy {
        // One slot, read by every answer.
        address custodian;
        uint32 minCohort;
        uint32 minCell;
        uint16 rewardBps;
        uint8 columns;
        uint8 depth;
        // One slot.
        address admin;
        uint32 epochLength;
        uint32 slots;
        bytes32 schemaHash;
        bytes32 purposes;
        bytes32 basisRoot;
        uint256 hX;
        uint256 hY;
        bytes32 circuitK4;
        bytes32 circuitK8Low;
        bytes32 circuitK8High;
    }

    /// One slot.
    struct State {
        uint32 chunks;
        uint32 members;
        uint24 snapshots;
        uint32 epoch;
        uint40 nextEpochAt;
    }

    /// One slot.
    struct Snapshot {
        uint32 chunks;
        uint32 members;
    }

    /// Two slots.
    struct Slot {
        address member;
        uint32 expiryEpoch;
        uint24 joined;
        uint24 left;
        uint16 nonce;
        bytes32 commitmentsHash;
    }

    IAnswerVerifier public immutable verifier;

    uint256 public datasetCount;
    mapping(uint256 datasetId => Policy) private _policies;
    mapping(uint256 datasetId => State) private _states;
    mapping(uint256 datasetId => mapping(address => bool)) public isIssuer;
    mapping(uint256 datasetId => mapping(address token => uint96)) public price;
    mapping(uint256 datasetId => mapping(uint256 snapshotId => Snapshot)) private _snapshots;
    /// Key: dataset, chunk, slot.
    mapping(uint256 key => Slot) private _slots;

    constructor(IAnswerVerifier verifier_) EIP712("Salus", "1") {
        verifier = verifier_;
    }

    modifier onlyAdmin(uint256 datasetId) {
        if (msg.sender != _policy(datasetId).admin) revert NotAdmin();
        _;
    }

    modifier onlyIssuer(uint256 datasetId) {
        if (!isIssuer[datasetId][msg.sender]) revert NotIssuer();
        _;
    }

    // ---------------------------------------------------------------- datasets

    /// @inheritdoc ICohortRegistry
    function createDataset(DatasetParams calldata params) external returns (uint256 datasetId) {
        if (
            params.columns == 0 || params.columns > MAX_COLUMNS || params.minCohort == 0 || params.minCell == 0
                || params.rewardBps > MAX_BPS || params.custodian == address(0)
                || (params.token == address(0)) != (params.price == 0)
        ) revert InvalidParams();
        CircuitShape memory shape = _requireCircuits(params);

        datasetId = ++datasetCount;
        if (datasetId > type(uint32).max) revert InvalidParams();
        Policy storage policy = _policies[datasetId];
        policy.custodian = params.custodian;
        policy.minCohort = params.minCohort;
        policy.minCell = params.minCell;
        policy.rewardBps = params.rewardBps;
        policy.columns = uint8(params.columns);
        policy.depth = uint8(Math.log2(shape.slots, Math.Rounding.Ceil));
        policy.admin = msg.sender;
        policy.epochLength = params.epochLength;
        policy.slots = uint32(shape.slots);
        policy.schemaHash = params.schemaHash;
        policy.purposes = params.purposes;
        policy.basisRoot = shape.basisRoot;
        policy.hX = shape.hX;
        policy.hY = shape.hY;
        policy.circuitK4 = params.circuitK4;
        policy.circuitK8Low = params.circuitK8Low;
        policy.circuitK8High = params.circuitK8High;
        if (params.epochLength != 0) {
            _states[datasetId].nextEpochAt = uint40(block.timestamp + params.epochLength);
        }
        if (params.token != address(0)) price[datasetId][params.token] = params.price;
        emit DatasetCreated(datasetId, msg.sender, params);
    }

    /// @dev All circuits were made for the same basis and together count each slot once.
    function _requireCircuits(DatasetParams calldata params) private view returns (CircuitShape memory shape) {
        bool four = params.circuitK4 != 0;
        bool eight = params.circuitK8Low != 0;
        if (!four && !eight || eight != (params.circuitK8High != 0)) revert InvalidParams();
        if (four) {
            shape = verifier.circuit(params.circuitK4);
            if (shape.columns != 4 || shape.lo != 0 || shape.hi != shape.slots) revert InvalidParams();
        }
        if (eight) {
            CircuitShape memory low = verifier.circuit(params.circuitK8Low);
            CircuitShape memory high = verifier.circuit(params.circuitK8High);
            if (
                low.columns != 8 || high.columns != 8 || low.lo != 0 || low.hi != high.lo || high.hi != high.slots
                    || !_sameBasis(low, high) || four && !_sameBasis(low, shape)
            ) revert InvalidParams();
            shape = low;
        }
    }

    function _sameBasis(CircuitShape memory a, CircuitShape memory b) private pure returns (bool) {
        return a.slots == b.slots && a.basisRoot == b.basisRoot && a.hX == b.hX && a.hY == b.hY && a.family == b.family;
    }

    /// @inheritdoc ICohortRegistry
    function transferAdmin(uint256 datasetId, address admin) external onlyAdmin(datasetId) {
        if (admin == address(0)) revert InvalidParams();
        _policies[datasetId].admin = admin;
        emit AdminTransferred(datasetId, msg.sender, admin);
    }

    /// @inheritdoc ICohortRegistry
    function setIssuer(uint256 datasetId, address issuer, bool allowed) external onlyAdmin(datasetId) {
        isIssuer[datasetId][issuer] = allowed;
        emit IssuerSet(datasetId, issuer, allowed);
    }

    /// @inheritdoc ICohortRegistry
    function setCustodian(uint256 datasetId, address custodian) external onlyAdmin(datasetId) {
        if (custodian == address(0)) revert InvalidParams();
        _policies[datasetId].custodian = custodian;
        emit CustodianSet(datasetId, custodian);
    }

    /// @inheritdoc ICohortRegistry
    function setPrice(uint256 datasetId, address token, uint96 price_) external onlyAdmin(datasetId) {
        if (token == address(0)) revert InvalidParams();
        price[datasetId][token] = price_;
        emit PriceSet(datasetId, token, price_);
    }

    // ---------------------------------------------------------------- membership

    /// @inheritdoc ICohortRegistry
    function optIn(uint256 datasetId, uint32 chunk, Member[] calldata batch) external onlyIssuer(datasetId) {
        if (batch.length == 0) revert EmptyBatch();
        Policy storage policy = _policies[datasetId];
        Basis memory basis = _basis(policy);
        State memory state = _states[datasetId];
        if (chunk > state.chunks) revert ChunkOutOfOrder(chunk);
        if (chunk == state.chunks) state.chunks = chunk + 1;

        // Neighbours with the same expiry are summed in memory and written together.
        uint256[] memory sums = new uint256[](2 * uint256(policy.columns));
        uint32 gathered;
        uint256 period = uint256(state.snapshots) + 1;
        for (uint256 i = 0; i < batch.length; i++) {
            Member calldata m = batch[i];
            if (gathered != 0 && m.expiryEpoch != batch[i - 1].expiryEpoch) {
                _join(datasetId, chunk, period, uint32(batch[i - 1].expiryEpoch), sums, gathered);
                gathered = 0;
                sums = new uint256[](sums.length);
            }
            if (_slots[_slotKey(datasetId, chunk, m.slot)].member != address(0)) revert SlotTaken(m.slot);
            bytes32 commitmentsHash = _requireRegistration(policy, basis, state.epoch, datasetId, chunk, m);
            _slots[_slotKey(datasetId, chunk, m.slot)] =
                Slot(m.member, uint32(m.expiryEpoch), uint24(period), 0, uint16(m.nonce), commitmentsHash);
            _addAll(sums, m.commitments);
            gathered++;
            emit MemberJoined(
                datasetId,
                chunk,
                m.slot,
                m.member,
                msg.sender,
                uint32(period),
                uint32(m.expiryEpoch),
                m.payoutId,
                commitmentsHash
            );
        }
        _join(datasetId, chunk, period, uint32(batch[batch.length - 1].expiryEpoch), sums, gathered);
        state.members += uint32(batch.length);
        _states[datasetId] = state;
    }

    /// @inheritdoc ICohortRegistry
    function rectify(uint256 datasetId, uint32 chunk, Member calldata update, uint256[] calldata previous)
        external
        onlyIssuer(datasetId)
    {
        Policy storage policy = _policies[datasetId];
        State memory state = _states[datasetId];
        Slot storage slot = _activeSlot(datasetId, chunk, update.slot);
        if (slot.member != update.member) revert NotMember();
        if (update.nonce <= slot.nonce) revert NonceTooLow(update.slot);
        _requireCommitments(slot, update.slot, previous);
        bytes32 commitmentsHash = _requireRegistration(policy, _basis(policy), state.epoch, datasetId, chunk, update);

        uint256 period = uint256(state.snapshots) + 1;
        uint256[] memory sums = new uint256[](previous.length);
        _subtractAll(sums, previous);
        _leave(datasetId, chunk, period, slot.expiryEpoch, sums);
        sums = new uint256[](previous.length);
        _addAll(sums, update.commitments);
        _join(datasetId, chunk, period, uint32(update.expiryEpoch), sums, 1);

        slot.expiryEpoch = uint32(update.expiryEpoch);
        slot.nonce = uint16(update.nonce);
        slot.commitmentsHash = commitmentsHash;
        emit MemberRectified(
            datasetId,
            chunk,
            update.slot,
            update.member,
            msg.sender,
            uint32(period),
            uint32(update.expiryEpoch),
            update.payoutId,
            commitmentsHash
        );
    }

    /// @inheritdoc ICohortRegistry
    function optOut(
        uint256 datasetId,
        uint32 chunk,
        uint32 slotIndex,
        uint256[] calldata commitments,
        bytes calldata signature
    ) external {
        Slot storage slot = _activeSlot(datasetId, chunk, slotIndex);
        address member = slot.member;
        if (signature.length == 0) {
            if (msg.sender != member) revert NotMember();
        } else {
            bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(OPT_OUT_TYPEHASH, datasetId, chunk, slotIndex)));
            if (!_isSigned(digest, signature, member)) revert ConsentRejected(slotIndex);
        }
        _requireCommitments(slot, slotIndex, commitments);

        State storage state = _states[datasetId];
        uint256 period = uint256(state.snapshots) + 1;
        slot.left = uint24(period);
        state.members -= 1;
        uint256[] memory sums = new uint256[](commitments.length);
        _subtractAll(sums, commitments);
        _leave(datasetId, chunk, period, slot.expiryEpoch, sums);
        emit MemberLeft(datasetId, chunk, slotIndex, member, uint32(period));
    }

    /// @dev Everything that a registration or rectification must satisfy, apart from the slot's own state.
    function _requireRegistration(
        Policy storage policy,
        Basis memory basis,
        uint256 epoch,
        uint256 datasetId,
        uint32 chunk,
        Member calldata m
    ) private view returns (bytes32 commitmentsHash) {
        if (m.slot >= policy.slots) revert SlotOutOfRange(m.slot);
        if (m.commitments.length != 2 * uint256(policy.columns)) revert WrongColumnCount(m.slot);
        if (m.expiryEpoch <= epoch || m.expiryEpoch > type(uint32).max) revert ExpiryOutOfRange(m.slot);
        if (m.nonce > type(uint16).max) revert NonceTooLarge(m.slot);
        bytes32 purposes = policy.purposes;
        if (m.purposes & purposes != purposes) revert PurposesNotCovered(m.slot);
        commitmentsHash = Registration.check(datasetId, chunk, m, basis);
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    CONSENT_TYPEHASH,
                    datasetId,
                    chunk,
                    m.slot,
                    m.purposes,
                    m.expiryEpoch,
                    commitmentsHash,
                    m.payoutId,
                    m.nonce
                )
            )
        );
        if (!_isSigned(digest, m.signature, m.member)) revert ConsentRejected(m.slot);
    }

    function _requireCommitments(Slot storage slot, uint32 slotIndex, uint256[] calldata commitments) private view {
        if (keccak256(abi.encodePacked(commitments)) != slot.commitmentsHash) revert CommitmentsMismatch(slotIndex);
    }

    function _isSigned(bytes32 digest, bytes calldata signature, address signer) private pure returns (bool) {
        (address recovered, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(digest, signature);
        return problem == ECDSA.RecoverError.NoError && recovered == signer;
    }

    // ---------------------------------------------------------------- epochs and snapshots

    /// @inheritdoc ICohortRegistry
    function advanceEpoch(uint256 datasetId) external returns (uint32 epoch) {
        Policy storage policy = _policy(datasetId);
        State storage state = _states[datasetId];
        uint32 length = policy.epochLength;
        if (length == 0) {
            if (msg.sender != policy.admin) revert NotAdmin();
        } else {
            if (block.timestamp < state.nextEpochAt) revert EpochNotDue();
            state.nextEpochAt += length;
        }
        _requireExpired(datasetId, state.epoch);
        epoch = state.epoch + 1;
        state.epoch = epoch;
        emit EpochAdvanced(datasetId, epoch);
    }

    /// @inheritdoc ICohortRegistry
    function expireChunk(uint256 datasetId, uint32 chunk) external {
        State storage state = _states[datasetId];
        uint32 epoch = state.epoch;
        uint256 period = uint256(state.snapshots) + 1;
        uint32 members = _expire(datasetId, chunk, period, epoch, _policy(datasetId).columns);
        state.members -= members;
        emit ChunkExpired(datasetId, chunk, epoch, members, uint32(period));
    }

    /// @inheritdoc ICohortRegistry
    function snapshot(uint256 datasetId) external returns (uint32 snapshotId) {
        Policy storage policy = _policy(datasetId);
        if (msg.sender != policy.admin && msg.sender != policy.custodian) revert NotAdmin();
        State storage state = _states[datasetId];
        if (policy.epochLength != 0 && block.timestamp >= state.nextEpochAt) revert EpochDue();
        _requireExpired(datasetId, state.epoch);
        snapshotId = uint32(state.snapshots) + 1;
        // One below the limit: the period after the last snapshot must fit as well.
        if (snapshotId >= type(uint24).max) revert InvalidParams();
        state.snapshots = uint24(snapshotId);
        _snapshots[datasetId][snapshotId] = Snapshot(state.chunks, state.members);
        emit SnapshotTaken(datasetId, snapshotId, state.epoch, state.chunks, state.members);
    }

    function _requireExpired(uint256 datasetId, uint32 epoch) private view {
        uint32 pending = _expiringChunks(datasetId, epoch);
        if (pending != 0) revert ExpiryPending(pending);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ICohortRegistry
    function dataset(uint256 datasetId) external view returns (Dataset memory d) {
        Policy storage policy = _policy(datasetId);
        State storage state = _states[datasetId];
        d.admin = policy.admin;
        d.custodian = policy.custodian;
        d.schemaHash = policy.schemaHash;
        d.purposes = policy.purposes;
        d.columns = policy.columns;
        d.slots = policy.slots;
        d.basisRoot = policy.basisRoot;
        d.hX = policy.hX;
        d.hY = policy.hY;
        d.circuitK4 = policy.circuitK4;
        d.circuitK8Low = policy.circuitK8Low;
        d.circuitK8High = policy.circuitK8High;
        d.minCohort = policy.minCohort;
        d.minCell = policy.minCell;
        d.rewardBps = policy.rewardBps;
        d.epochLength = policy.epochLength;
        d.epoch = state.epoch;
        d.nextEpochAt = state.nextEpochAt;
        d.snapshots = state.snapshots;
        d.chunks = state.chunks;
        d.members = state.members;
    }

    /// @inheritdoc ICohortRegistry
    function latestSnapshot(uint256 datasetId) external view returns (uint32) {
        return _states[datasetId].snapshots;
    }

    /// @inheritdoc ICohortRegistry
    function chunkCount(uint256 datasetId, uint256 snapshotId) external view returns (uint32) {
        _requireSnapshot(datasetId, snapshotId);
        return _snapshots[datasetId][snapshotId].chunks;
    }

    /// @inheritdoc ICohortRegistry
    function memberCount(uint256 datasetId, uint256 snapshotId) external view returns (uint32) {
        _requireSnapshot(datasetId, snapshotId);
        return _snapshots[datasetId][snapshotId].members;
    }

    /// @inheritdoc ICohortRegistry
    function pendingExpiries(uint256 datasetId) external view returns (uint32) {
        return _expiringChunks(datasetId, _states[datasetId].epoch);
    }

    /// @inheritdoc ICohortRegistry
    function membership(uint256 datasetId, uint32 chunk, uint32 slotIndex) external view returns (Membership memory) {
        Slot storage slot = _slots[_slotKey(datasetId, chunk, slotIndex)];
        uint32 left = slot.left;
        if (left == 0 && slot.member != address(0)) left = uint32(_expiredAt(datasetId, chunk, slot.expiryEpoch));
        return Membership(slot.member, slot.expiryEpoch, slot.joined, left, slot.nonce, slot.commitmentsHash);
    }

    /// @inheritdoc ICohortRegistry
    function memberAt(uint256 datasetId, uint256 snapshotId, uint32 chunk, uint32 slotIndex)
        external
        view
        returns (address)
    {
        _requireSnapshot(datasetId, snapshotId);
        Slot storage slot = _slots[_slotKey(datasetId, chunk, slotIndex)];
        address member = slot.member;
        if (member == address(0) || slot.joined > snapshotId) return address(0);
        uint256 left = slot.left;
        if (left == 0) left = _expiredAt(datasetId, chunk, slot.expiryEpoch);
        return left == 0 || snapshotId < left ? member : address(0);
    }

    /// @inheritdoc ICohortRegistry
    function columnCommitment(uint256 datasetId, uint256 snapshotId, uint32 chunk, uint16 column)
        external
        view
        returns (uint256 x, uint256 y)
    {
        _requireSnapshot(datasetId, snapshotId);
        if (column >= _policies[datasetId].columns) revert UnknownColumn(column);
        return _commitment(datasetId, chunk, snapshotId, column);
    }

    /// @inheritdoc ICohortRegistry
    function currentCommitment(uint256 datasetId, uint32 chunk, uint16 column)
        external
        view
        returns (uint256 x, uint256 y)
    {
        if (column >= _policy(datasetId).columns) revert UnknownColumn(column);
        return _commitment(datasetId, chunk, type(uint24).max, column);
    }

    /// @inheritdoc ICohortRegistry
    function commitmentsAt(uint256 datasetId, uint256 snapshotId, uint256[] calldata columns, uint256 perPass)
        external
        view
        returns (uint256[] memory words)
    {
        _requireSnapshot(datasetId, snapshotId);
        if (perPass == 0 || columns.length % perPass != 0) revert InvalidParams();
        uint256 limit = _policies[datasetId].columns;
        for (uint256 i = 0; i < columns.length; i++) {
            if (columns[i] >= limit) revert UnknownColumn(columns[i]);
        }
        return _commitments(datasetId, _snapshots[datasetId][snapshotId].chunks, snapshotId, columns, perPass);
    }

    /// @inheritdoc ICohortRegistry
    function answerInputs(uint256 datasetId, uint256 snapshotId, bytes calldata plan)
        external
        view
        returns (AnswerTerms memory terms, uint256[] memory words)
    {
        // A snapshot without chunks holds nothing to ask for, so its absence needs no look-up of its own.
        uint256 chunks = _snapshots[datasetId][snapshotId].chunks;
        if (chunks == 0) revert UnknownSnapshot(snapshotId);
        Policy storage policy = _policies[datasetId];
        terms.custodian = policy.custodian;
        terms.minCohort = policy.minCohort;
        terms.minCell = policy.minCell;
        terms.chunks = uint32(chunks);
        (uint256 perPass, uint256 passes) = Plan.head(plan);
        if (perPass == 4) {
            terms.circuitIds[0] = policy.circuitK4;
        } else if (perPass == 8) {
            terms.circuitIds[0] = policy.circuitK8Low;
            terms.circuitIds[1] = policy.circuitK8High;
        }
        if (terms.circuitIds[0] == 0) revert UnsupportedCircuit(perPass);
        words = _commitmentsOf(datasetId, chunks, snapshotId, plan, passes, perPass, policy.columns);
    }

    /// @inheritdoc ICohortRegistry
    function payoutTerms(uint256 datasetId) external view returns (address custodian, uint16 rewardBps) {
        Policy storage policy = _policies[datasetId];
        return (policy.custodian, policy.rewardBps);
    }

    /// @inheritdoc ICohortRegistry
    function releaseTerms(uint256 datasetId)
        external
        view
        returns (address custodian, uint32 minCohort, uint32 minCell)
    {
        Policy storage policy = _policies[datasetId];
        return (policy.custodian, policy.minCohort, policy.minCell);
    }

    // ---------------------------------------------------------------- internal reads

    function _policy(uint256 datasetId) private view returns (Policy storage policy) {
        policy = _policies[datasetId];
        if (policy.admin == address(0)) revert UnknownDataset(datasetId);
    }

    function _basis(Policy storage policy) private view returns (Basis memory) {
        return Basis(policy.basisRoot, policy.depth, policy.hX, policy.hY);
    }

    function _requireSnapshot(uint256 datasetId, uint256 snapshotId) private view {
        if (snapshotId == 0 || snapshotId > _states[datasetId].snapshots) revert UnknownSnapshot(snapshotId);
    }

    function _activeSlot(uint256 datasetId, uint32 chunk, uint32 slotIndex) private view returns (Slot storage slot) {
        slot = _slots[_slotKey(datasetId, chunk, slotIndex)];
        if (slot.member == address(0) || slot.left != 0 || _expiredAt(datasetId, chunk, slot.expiryEpoch) != 0) {
            revert SlotEmpty(slotIndex);
        }
    }

    function _slotKey(uint256 datasetId, uint32 chunk, uint32 slotIndex) private pure returns (uint256) {
        return datasetId << 64 | uint256(chunk) << 32 | slotIndex;
    }
}
