// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ICohortRegistry} from "./interfaces/ICohortRegistry.sol";
import {
    Bond,
    CommitteeKind,
    CommitteeParams,
    ICommittee,
    MemberStatus,
    QueryFacts,
    SealedAnswer
} from "./interfaces/ICommittee.sol";
import {IQueryMarket, Query, QueryStatus} from "./interfaces/IQueryMarket.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";

/// @title Key holders of the sealed path: who they are, whom they serve, what their signatures are worth
/// @dev A bond is declared for one dataset and, when slashed, goes to that dataset's members. An equivocation towards any
/// dataset slashes all bonds of the member in the committee.
contract Committee is ICommittee, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    bytes32 public constant ACCEPTANCE_TYPEHASH =
        keccak256("CommitteeAcceptance(uint8 kind,uint8 threshold,bytes32 keyHash,address[] members)");
    bytes32 public constant SEALED_ANSWER_TYPEHASH = keccak256(
        "SealedAnswer(bytes32 queryId,uint256 datasetId,uint256 snapshotId,bytes32 committeeId,bytes32 ciphertextHash,bytes32 planHash,bytes32 resultsHash,bytes32 releaseHash)"
    );
    /// @notice Time between a notice and the withdrawal, in which a bond can still be slashed.
    uint64 public constant NOTICE = 30 days;

    uint256 private constant MIN_MEMBERS = 2;
    uint256 private constant MAX_MEMBERS = 16;
    uint256 private constant SIGNATURE_BYTES = 65;
    /// The reporter's part of a slashed bond is one in this many.
    uint256 private constant REPORTER_SHARE = 10;
    /// Name, version, chain id, verifying contract (EIP-5267 bits).
    bytes1 private constant DOMAIN_FIELDS = hex"0f";

    struct Holder {
        MemberStatus status;
        address reporter;
    }

    struct Binding {
        uint32 fromSnapshot;
        bytes32 committeeId;
    }

    ICohortRegistry public immutable registry;
    IRewardPool public immutable rewardPool;
    /// @inheritdoc ICommittee
    address public immutable market;

    mapping(bytes32 committeeId => CommitteeParams) private _committees;
    mapping(bytes32 committeeId => mapping(address => Holder)) private _holders;
    /// Ascending by first snapshot.
    mapping(uint256 datasetId => mapping(CommitteeKind => Binding[])) private _bindings;
    mapping(bytes32 key => Bond) private _bonds;
    /// @inheritdoc ICommittee
    mapping(address token => uint256) public obligations;

    /// @param market_ the market that asks for quorums; it refuses a committee contract that names another
    constructor(ICohortRegistry registry_, IRewardPool rewardPool_, address market_) EIP712("Salus Committee", "1") {
        registry = registry_;
        rewardPool = rewardPool_;
        market = market_;
    }

    // ---------------------------------------------------------------- committees and their datasets

    /// @inheritdoc ICommittee
    function register(CommitteeParams calldata params, bytes calldata acceptances)
        external
        returns (bytes32 committeeId)
    {
        uint256 size = params.members.length;
        if (
            params.kind == CommitteeKind.None || params.keyHash == 0 || size < MIN_MEMBERS || size > MAX_MEMBERS
                || params.threshold < 2 || params.threshold > size
        ) revert InvalidCommittee();
        committeeId = idOf(params);
        if (_committees[committeeId].threshold != 0) revert CommitteeExists(committeeId);
        if (acceptances.length != SIGNATURE_BYTES * size) revert MalformedSignatures();

        bytes32 digest = _hashTypedDataV4(committeeId);
        address previous;
        for (uint256 i = 0; i < size; i++) {
            address member = params.members[i];
            if (member <= previous) revert InvalidCommittee();
            previous = member;
            if (_signer(digest, _signature(acceptances, i)) != member) revert AcceptanceRejected(i);
            _holders[committeeId][member].status = MemberStatus.Active;
        }
        _committees[committeeId] = params;
        emit CommitteeRegistered(committeeId, params);
    }

    /// @inheritdoc ICommittee
    function bind(uint256 datasetId, bytes32 committeeId) external {
        CommitteeKind kind = _committees[committeeId].kind;
        if (kind == CommitteeKind.None) revert UnknownCommittee(committeeId);
        _bind(datasetId, kind, committeeId);
    }

    /// @inheritdoc ICommittee
    function unbind(uint256 datasetId, CommitteeKind kind) external {
        if (kind == CommitteeKind.None) revert InvalidCommittee();
        _bind(datasetId, kind, 0);
    }

    function _bind(uint256 datasetId, CommitteeKind kind, bytes32 committeeId) private {
        if (msg.sender != registry.dataset(datasetId).admin) revert ICohortRegistry.NotAdmin();
        uint32 period = registry.latestSnapshot(datasetId) + 1;
        Binding[] storage bindings = _bindings[datasetId][kind];
        uint256 count = bindings.length;
        // No snapshot has been taken since: nobody can have relied on it.
        if (count != 0 && bindings[count - 1].fromSnapshot == period) {
            bindings[count - 1].committeeId = committeeId;
        } else {
            bindings.push(Binding(period, committeeId));
        }
        emit CommitteeBound(datasetId, kind, committeeId, period);
    }

    // ---------------------------------------------------------------- answers

    /// @inheritdoc ICommittee
    function requireQuorum(SealedAnswer calldata answer, bytes calldata signatures) external view {
        bytes32 committeeId = answer.committeeId;
        CommitteeParams storage params = _committees[committeeId];
        (CommitteeKind kind, uint256 threshold) = (params.kind, params.threshold);
        if (kind == CommitteeKind.None) revert UnknownCommittee(committeeId);
        if (committeeAt(answer.datasetId, answer.snapshotId, kind) != committeeId) {
            revert CommitteeNotBound(committeeId);
        }
        if (signatures.length % SIGNATURE_BYTES != 0) revert MalformedSignatures();
        uint256 count = signatures.length / SIGNATURE_BYTES;
        if (count < threshold) revert TooFewSignatures(count, threshold);

        bytes32 digest = digestOf(answer);
        address previous;
        // More than members cannot be in order, which bounds the loop.
        for (uint256 i = 0; i < count; i++) {
            address signer = _signer(digest, _signature(signatures, i));
            if (signer == address(0)) revert SignatureRejected(i);
            _requireActive(committeeId, signer);
            if (signer <= previous) revert SignersOutOfOrder(i);
            previous = signer;
        }
    }

    /// @inheritdoc ICommittee
    function reportEquivocation(
        bytes32 committeeId,
        SealedAnswer calldata answerA,
        SealedAnswer calldata answerB,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external returns (address member) {
        if (
            answerA.committeeId != committeeId || answerB.committeeId != committeeId
                || answerA.queryId != answerB.queryId
        ) revert NotEquivocation();
        (bytes32 digestA, bytes32 digestB) = (digestOf(answerA), digestOf(answerB));
        if (digestA == digestB) revert NotEquivocation();
        member = _signer(digestA, signatureA);
        if (member == address(0) || member != _signer(digestB, signatureB)) revert NotEquivocation();
        _requireActive(committeeId, member);
        _holders[committeeId][member] = Holder(MemberStatus.Equivocated, msg.sender);
        emit EquivocationReported(committeeId, member, answerA.queryId, msg.sender, digestA, digestB);
    }

    function _requireActive(bytes32 committeeId, address account) private view {
        MemberStatus status = _holders[committeeId][account].status;
        if (status == MemberStatus.None) revert NotCommitteeMember(account);
        if (status == MemberStatus.Equivocated) revert MemberEquivocated(account);
    }

    function _signature(bytes calldata signatures, uint256 index) private pure returns (bytes calldata) {
        return signatures[index * SIGNATURE_BYTES:(index + 1) * SIGNATURE_BYTES];
    }

    /// @dev Zero when the signature is void.
    function _signer(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
    }

    // ---------------------------------------------------------------- bonds

    /// @inheritdoc ICommittee
    function depositBond(bytes32 committeeId, address member, uint256 datasetId, address token, uint256 amount)
        external
        nonReentrant
    {
        _requireActive(committeeId, member);
        // A dataset without members could never be paid.
        if (registry.latestSnapshot(datasetId) == 0) revert ICohortRegistry.UnknownSnapshot(0);
        Bond storage held = _bonds[_bondKey(committeeId, member, datasetId, token)];
        if (amount == 0 || amount > type(uint96).max - held.amount) revert InvalidAmount();
        held.amount += uint96(amount);
        obligations[token] += amount;
        emit BondDeposited(committeeId, member, datasetId, token, msg.sender, amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert AmountNotReceived(amount, received);
    }

    /// @inheritdoc ICommittee
    function giveNotice(bytes32 committeeId, uint256 datasetId, address token, uint256 amount) external {
        _requireActive(committeeId, msg.sender);
        Bond storage held = _bonds[_bondKey(committeeId, msg.sender, datasetId, token)];
        if (amount == 0 || amount > held.amount) revert InvalidAmount();
        uint64 releaseAt = uint64(block.timestamp) + NOTICE;
        (held.leaving, held.releaseAt) = (uint96(amount), releaseAt);
        emit BondNoticeGiven(committeeId, msg.sender, datasetId, token, amount, releaseAt);
    }

    /// @inheritdoc ICommittee
    function withdrawBond(bytes32 committeeId, uint256 datasetId, address token)
        external
        nonReentrant
        returns (uint256 amount)
    {
        _requireActive(committeeId, msg.sender);
        Bond storage held = _bonds[_bondKey(committeeId, msg.sender, datasetId, token)];
        amount = held.leaving;
        if (amount == 0) revert NothingBonded();
        if (block.timestamp < held.releaseAt) revert NoticeNotOver(held.releaseAt);
        (held.amount, held.leaving, held.releaseAt) = (held.amount - uint96(amount), 0, 0);
        obligations[token] -= amount;
        emit BondWithdrawn(committeeId, msg.sender, datasetId, token, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc ICommittee
    function slashBond(bytes32 committeeId, address member, uint256 datasetId, address token) external nonReentrant {
        Holder memory holder = _holders[committeeId][member];
        if (holder.status != MemberStatus.Equivocated) revert NotEquivocated(member);
        bytes32 key = _bondKey(committeeId, member, datasetId, token);
        uint256 amount = _bonds[key].amount;
        if (amount == 0) revert NothingBonded();
        delete _bonds[key];
        obligations[token] -= amount;
        uint256 reward = amount / REPORTER_SHARE;
        uint256 rewards = amount - reward;
        emit BondSlashed(committeeId, member, datasetId, token, holder.reporter, reward, rewards);
        IERC20(token).forceApprove(address(rewardPool), rewards);
        rewardPool.deposit(datasetId, registry.latestSnapshot(datasetId), token, rewards);
        if (reward != 0) IERC20(token).safeTransfer(holder.reporter, reward);
    }

    function _bondKey(bytes32 committeeId, address member, uint256 datasetId, address token)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(committeeId, member, datasetId, token));
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ICommittee
    function committee(bytes32 committeeId) external view returns (CommitteeParams memory params) {
        params = _committees[committeeId];
        if (params.kind == CommitteeKind.None) revert UnknownCommittee(committeeId);
    }

    /// @inheritdoc ICommittee
    function idOf(CommitteeParams calldata params) public pure returns (bytes32) {
        return keccak256(
            abi.encode(
                ACCEPTANCE_TYPEHASH,
                params.kind,
                params.threshold,
                params.keyHash,
                keccak256(abi.encodePacked(params.members))
            )
        );
    }

    /// @inheritdoc ICommittee
    function acceptanceDigest(CommitteeParams calldata params) external view returns (bytes32) {
        return _hashTypedDataV4(idOf(params));
    }

    /// @inheritdoc ICommittee
    function digestOf(SealedAnswer calldata answer) public view returns (bytes32) {
        bytes32 domain = MessageHashUtils.toDomainSeparator(
            DOMAIN_FIELDS, keccak256("Salus QueryMarket"), keccak256("1"), block.chainid, market, bytes32(0)
        );
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(SEALED_ANSWER_TYPEHASH, answer)));
    }

    /// @inheritdoc ICommittee
    function committeeAt(uint256 datasetId, uint256 snapshotId, CommitteeKind kind) public view returns (bytes32) {
        Binding[] storage bindings = _bindings[datasetId][kind];
        for (uint256 i = bindings.length; i != 0; i--) {
            if (bindings[i - 1].fromSnapshot <= snapshotId) return bindings[i - 1].committeeId;
        }
        return 0;
    }

    /// @inheritdoc ICommittee
    function memberStatus(bytes32 committeeId, address account) external view returns (MemberStatus) {
        return _holders[committeeId][account].status;
    }

    /// @inheritdoc ICommittee
    function bond(bytes32 committeeId, address member, uint256 datasetId, address token)
        external
        view
        returns (Bond memory)
    {
        return _bonds[_bondKey(committeeId, member, datasetId, token)];
    }

    /// @inheritdoc ICommittee
    function queryFacts(bytes32 queryId) external view returns (QueryFacts memory facts) {
        Query memory q = IQueryMarket(market).query(queryId);
        if (q.status == QueryStatus.None) return facts;
        facts.open = q.status == QueryStatus.Funded && block.timestamp <= q.deadline;
        facts.status = q.status;
        facts.datasetId = q.datasetId;
        facts.snapshotId = q.snapshotId;
        facts.deadline = q.deadline;
        facts.planHash = q.planHash;
        (facts.custodian, facts.minCohort, facts.minCell) = registry.releaseTerms(q.datasetId);
        facts.members = registry.memberCount(q.datasetId, q.snapshotId);
        facts.cubes = committeeAt(q.datasetId, q.snapshotId, CommitteeKind.Cubes);
        facts.adHoc = committeeAt(q.datasetId, q.snapshotId, CommitteeKind.AdHoc);
    }
}
