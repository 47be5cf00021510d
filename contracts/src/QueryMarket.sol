// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAnswerVerifier, PassResult} from "./interfaces/IAnswerVerifier.sol";
import {ICohortRegistry} from "./interfaces/ICohortRegistry.sol";
import {ICommittee, SealedAnswer} from "./interfaces/ICommittee.sol";
import {IQueryMarket, Query, QueryRequest, QueryStatus, SealedEvidence} from "./interfaces/IQueryMarket.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {Answer, AnswerProof} from "./proof/AnswerProof.sol";
import {Transcript} from "./proof/Transcript.sol";
import {Words} from "./proof/Words.sol";
import {ReleaseLimits, ReleaseRule} from "./ReleaseRule.sol";

/// @title Escrow between researchers and datasets: no proof and no quorum, no pay
contract QueryMarket is IQueryMarket, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant MAX_BPS = 10_000;

    ICohortRegistry public immutable registry;
    IAnswerVerifier public immutable verifier;
    IRewardPool public immutable rewardPool;
    ICommittee public immutable committee;

    mapping(bytes32 queryId => Query) private _queries;
    /// @inheritdoc IQueryMarket
    mapping(address token => mapping(address account => uint256)) public credit;
    /// @inheritdoc IQueryMarket
    mapping(address token => uint256) public obligations;

    constructor(ICohortRegistry registry_, IAnswerVerifier verifier_, IRewardPool rewardPool_, ICommittee committee_) {
        if (committee_.market() != address(this)) revert WrongCommittee();
        committee = committee_;
        registry = registry_;
        verifier = verifier_;
        rewardPool = rewardPool_;
    }

    // ---------------------------------------------------------------- funding

    /// @inheritdoc IQueryMarket
    function fund(QueryRequest calldata request) external nonReentrant returns (bytes32 queryId) {
        return _fund(request);
    }

    /// @inheritdoc IQueryMarket
    function fundWithPermit(QueryRequest calldata request, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
        returns (bytes32 queryId)
    {
        // Anyone can submit the permit first. What counts is the allowance, which the transfer below checks.
        try IERC20Permit(request.token).permit(msg.sender, address(this), request.amount, permitDeadline, v, r, s) {}
            catch {}
        return _fund(request);
    }

    function _fund(QueryRequest calldata request) private returns (bytes32 queryId) {
        uint256 latest = registry.latestSnapshot(request.datasetId);
        if (latest == 0 || request.snapshotId != latest) revert SnapshotNotLatest(latest);
        uint256 price = registry.price(request.datasetId, request.token);
        if (price == 0) revert TokenNotAccepted(request.token);
        if (request.amount < price) revert AmountBelowPrice(price);
        if (request.amount > type(uint96).max) revert AmountTooLarge();
        if (request.deadline <= block.timestamp || request.deadline > type(uint32).max) revert InvalidDeadline();
        queryId = queryIdOf(msg.sender, request);
        if (_queries[queryId].status != QueryStatus.None) revert QueryExists(queryId);

        _queries[queryId] = Query({
            beneficiary: msg.sender,
            datasetId: uint32(request.datasetId),
            snapshotId: uint24(request.snapshotId),
            deadline: uint32(request.deadline),
            status: QueryStatus.Funded,
            token: request.token,
            amount: uint96(request.amount),
            planHash: request.planHash
        });
        obligations[request.token] += request.amount;
        emit QueryFunded(queryId, request.datasetId, msg.sender, request);

        IERC20 token = IERC20(request.token);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), request.amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != request.amount) revert AmountNotReceived(request.amount, received);
    }

    // ---------------------------------------------------------------- closing

    /// @inheritdoc IQueryMarket
    function acceptAnswer(
        bytes32 queryId,
        bytes calldata plan,
        PassResult[] calldata results,
        uint256[] calldata proofs
    ) external nonReentrant {
        Query storage q = _queries[queryId];
        _requireOpen(q.status);
        if (block.timestamp > q.deadline) revert QueryPastDeadline();
        if (keccak256(plan) != q.planHash) revert PlanHashMismatch();
        uint256 datasetId = q.datasetId;
        uint256 snapshotId = q.snapshotId;

        Answer memory answer;
        ReleaseRule.check(plan, results, _fillAnswer(answer, datasetId, snapshotId, plan));
        answer.header = Transcript.header(address(this), datasetId, snapshotId, queryId);
        AnswerProof.check(answer, plan, results, proofs);

        (q.beneficiary, q.status) = (msg.sender, QueryStatus.Answered);
        q.planHash = 0;
        emit AnswerAccepted(queryId, datasetId, snapshotId, results);
    }

    /// @inheritdoc IQueryMarket
    function acceptSealedAnswer(
        bytes32 queryId,
        bytes calldata plan,
        PassResult[] calldata results,
        SealedEvidence calldata evidence
    ) external nonReentrant {
        Query storage q = _queries[queryId];
        _requireOpen(q.status);
        if (block.timestamp > q.deadline) revert QueryPastDeadline();
        if (keccak256(plan) != q.planHash) revert PlanHashMismatch();

        SealedAnswer memory answer;
        answer.queryId = queryId;
        answer.datasetId = q.datasetId;
        answer.snapshotId = q.snapshotId;
        answer.committeeId = evidence.committeeId;
        answer.ciphertextHash = evidence.ciphertextHash;
        answer.planHash = q.planHash;
        answer.resultsHash = keccak256(abi.encode(results));
        (address custodian, uint256 minCohort, uint256 minCell) = registry.releaseTerms(answer.datasetId);
        answer.releaseHash = keccak256(abi.encode(minCohort, minCell));
        ReleaseRule.check(plan, results, ReleaseLimits(minCohort, minCell));
        ReleaseRule.checkPlain(results);
        committee.requireQuorum(answer, evidence.signatures);

        (q.beneficiary, q.status) = (custodian, QueryStatus.Answered);
        q.planHash = 0;
        emit SealedAnswerAccepted(
            queryId,
            answer.datasetId,
            answer.snapshotId,
            evidence.committeeId,
            evidence.ciphertextHash,
            custodian,
            results
        );
    }

    /// @dev Asks the registry what the answer must respect. Its reply is read where it lies: copying the commitments of
    /// many chunks would cost more than the call.
    function _fillAnswer(Answer memory answer, uint256 datasetId, uint256 snapshotId, bytes calldata plan)
        private
        view
        returns (ReleaseLimits memory limits)
    {
        bytes memory request = abi.encodeCall(registry.answerInputs, (datasetId, snapshotId, plan));
        address target = address(registry);
        uint256 ptr;
        assembly ("memory-safe") {
            let ok := staticcall(gas(), target, add(request, 0x20), mload(request), 0, 0)
            ptr := mload(0x40)
            returndatacopy(ptr, 0, returndatasize())
            if iszero(ok) { revert(ptr, returndatasize()) }
            mstore(0x40, add(ptr, returndatasize()))
        }
        // AnswerTerms, one word per field and circuit; offset of the array; its length and words.
        if (msg.sender != address(uint160(Words.get(ptr, 0)))) revert NotCustodian();
        limits.minCohort = Words.get(ptr, 1);
        limits.minCell = Words.get(ptr, 2);
        answer.circuitStore = address(verifier);
        answer.chunks = Words.get(ptr, 3);
        answer.circuitIds[0] = bytes32(Words.get(ptr, 4));
        bytes32 second = bytes32(Words.get(ptr, 5));
        answer.circuitIds[1] = second;
        answer.parts = second == 0 ? 1 : 2;
        uint256 array = ptr + Words.get(ptr, 6);
        answer.commitmentWords = Words.get(array, 0);
        answer.commitmentsPtr = array + 32;
    }

    /// @inheritdoc IQueryMarket
    function refuse(bytes32 queryId, uint16 reason) external nonReentrant {
        Query storage q = _queries[queryId];
        _requireOpen(q.status);
        (address custodian,) = registry.payoutTerms(q.datasetId);
        if (msg.sender != custodian) revert NotCustodian();
        q.status = QueryStatus.Refused;
        credit[q.token][q.beneficiary] += q.amount;
        emit QueryRefused(queryId, reason);
    }

    /// @inheritdoc IQueryMarket
    function refundExpired(bytes32 queryId) external nonReentrant {
        Query storage q = _queries[queryId];
        _requireOpen(q.status);
        if (block.timestamp <= q.deadline) revert QueryNotPastDeadline();
        q.status = QueryStatus.Expired;
        credit[q.token][q.beneficiary] += q.amount;
        emit QueryExpired(queryId);
    }

    // ---------------------------------------------------------------- paying

    /// @inheritdoc IQueryMarket
    function settle(bytes32[] calldata queryIds) external nonReentrant returns (uint256 rewards) {
        // Neighbours with the same dataset, snapshot and token go to the pool together.
        uint256 gathered;
        for (uint256 i = 0; i < queryIds.length; i++) {
            Query storage q = _queries[queryIds[i]];
            if (q.status != QueryStatus.Answered) revert QueryNotAnswered(q.status);
            q.status = QueryStatus.Settled;
            (, uint16 rewardBps) = registry.payoutTerms(q.datasetId);
            uint256 share = uint256(q.amount) * rewardBps / MAX_BPS;
            uint256 fee = q.amount - share;
            if (fee != 0) credit[q.token][q.beneficiary] += fee;
            emit QuerySettled(queryIds[i], share, q.beneficiary, fee);
            rewards += share;
            gathered += share;
            if (i + 1 == queryIds.length || !_sharePool(q, _queries[queryIds[i + 1]])) {
                _deposit(q, gathered);
                gathered = 0;
            }
        }
    }

    function _sharePool(Query storage a, Query storage b) private view returns (bool) {
        return a.datasetId == b.datasetId && a.snapshotId == b.snapshotId && a.token == b.token;
    }

    function _deposit(Query storage q, uint256 amount) private {
        if (amount == 0) return;
        address token = q.token;
        obligations[token] -= amount;
        IERC20(token).forceApprove(address(rewardPool), amount);
        rewardPool.deposit(q.datasetId, q.snapshotId, token, amount);
    }

    /// @inheritdoc IQueryMarket
    function withdraw(address token, address account) external nonReentrant returns (uint256 amount) {
        amount = credit[token][account];
        if (amount == 0) revert NothingToWithdraw();
        credit[token][account] = 0;
        obligations[token] -= amount;
        emit Withdrawn(token, account, amount);
        IERC20(token).safeTransfer(account, amount);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IQueryMarket
    function query(bytes32 queryId) external view returns (Query memory) {
        return _queries[queryId];
    }

    /// @inheritdoc IQueryMarket
    function queryIdOf(address researcher, QueryRequest calldata request) public view returns (bytes32) {
        return keccak256(
            abi.encode(
                block.chainid,
                address(this),
                request.datasetId,
                request.snapshotId,
                request.planHash,
                request.bodyHash,
                researcher,
                request.nonce
            )
        );
    }

    function _requireOpen(QueryStatus status) private pure {
        if (status != QueryStatus.Funded) revert QueryNotOpen(status);
    }
}
