// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAnswerVerifier, PassResult} from "./interfaces/IAnswerVerifier.sol";
import {AnswerTerms, ICohortRegistry} from "./interfaces/ICohortRegistry.sol";
import {IQueryMarket, Query, QueryRequest, QueryStatus} from "./interfaces/IQueryMarket.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {Answer, AnswerProof} from "./proof/AnswerProof.sol";
import {Transcript} from "./proof/Transcript.sol";
import {ReleaseRule} from "./ReleaseRule.sol";

/// @title Escrow between researchers and datasets: no proof, no pay
contract QueryMarket is IQueryMarket, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant MAX_BPS = 10_000;

    ICohortRegistry public immutable registry;
    IAnswerVerifier public immutable verifier;
    IRewardPool public immutable rewardPool;

    /// What the answers of a snapshot earned and nobody has settled yet. One slot.
    struct Earnings {
        uint128 rewards;
        uint128 fees;
    }

    mapping(bytes32 queryId => Query) private _queries;
    mapping(bytes32 key => Earnings) private _earnings;
    /// @inheritdoc IQueryMarket
    mapping(address token => mapping(address account => uint256)) public credit;
    /// @inheritdoc IQueryMarket
    mapping(address token => uint256) public obligations;

    constructor(ICohortRegistry registry_, IAnswerVerifier verifier_, IRewardPool rewardPool_) {
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
            researcher: msg.sender,
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
        Query storage stored = _queries[queryId];
        Query memory q = stored;
        _requireOpen(q.status);
        if (block.timestamp > q.deadline) revert QueryPastDeadline();
        if (keccak256(plan) != q.planHash) revert PlanHashMismatch();
        (AnswerTerms memory terms, uint256 commitmentsPtr, uint256 commitmentWords) =
            _answerInputs(q.datasetId, q.snapshotId, plan);
        if (msg.sender != terms.custodian) revert NotCustodian();
        ReleaseRule.check(plan, results, terms.minCohort, terms.minCell);

        Answer memory answer;
        answer.header = Transcript.header(address(this), q.datasetId, q.snapshotId, queryId);
        answer.circuitStore = address(verifier);
        answer.circuitIds = terms.circuitIds;
        answer.parts = terms.circuitIds[1] == 0 ? 1 : 2;
        answer.chunks = terms.chunks;
        answer.commitmentsPtr = commitmentsPtr;
        answer.commitmentWords = commitmentWords;
        AnswerProof.check(answer, plan, results, proofs);

        stored.status = QueryStatus.Answered;
        uint256 rewards = uint256(q.amount) * terms.rewardBps / MAX_BPS;
        uint256 fee = q.amount - rewards;
        Earnings storage earnings = _earnings[_earningsKey(q.datasetId, q.snapshotId, q.token)];
        (earnings.rewards, earnings.fees) = (earnings.rewards + uint128(rewards), earnings.fees + uint128(fee));
        emit AnswerAccepted(queryId, q.datasetId, q.snapshotId, results, rewards, fee);
    }

    /// @dev Asks the registry and leaves the commitments where the answer lies in memory.
    function _answerInputs(uint256 datasetId, uint256 snapshotId, bytes calldata plan)
        private
        view
        returns (AnswerTerms memory terms, uint256 commitmentsPtr, uint256 commitmentWords)
    {
        (bool ok, bytes memory data) =
            address(registry).staticcall(abi.encodeCall(registry.answerInputs, (datasetId, snapshotId, plan)));
        if (!ok) LowLevelCall.bubbleRevert(data);
        // Static words of the terms, offset of the array, length of the array, the array.
        assembly ("memory-safe") {
            let words := add(data, 0x20)
            mcopy(terms, words, 0xa0)
            mcopy(mload(add(terms, 0xa0)), add(words, 0xa0), 0x40)
            let array := add(words, mload(add(words, 0xe0)))
            commitmentWords := mload(array)
            commitmentsPtr := add(array, 0x20)
        }
    }

    /// @inheritdoc IQueryMarket
    function refuse(bytes32 queryId, uint16 reason) external nonReentrant {
        Query storage q = _queries[queryId];
        _requireOpen(q.status);
        if (msg.sender != registry.dataset(q.datasetId).custodian) revert NotCustodian();
        q.status = QueryStatus.Refused;
        credit[q.token][q.researcher] += q.amount;
        emit QueryRefused(queryId, reason);
    }

    /// @inheritdoc IQueryMarket
    function refundExpired(bytes32 queryId) external nonReentrant {
        Query storage q = _queries[queryId];
        _requireOpen(q.status);
        if (block.timestamp <= q.deadline) revert QueryNotPastDeadline();
        q.status = QueryStatus.Expired;
        credit[q.token][q.researcher] += q.amount;
        emit QueryExpired(queryId);
    }

    // ---------------------------------------------------------------- paying

    /// @inheritdoc IQueryMarket
    function settleRewards(uint256 datasetId, uint256 snapshotId, address token)
        external
        nonReentrant
        returns (uint256 amount)
    {
        bytes32 key = _earningsKey(datasetId, snapshotId, token);
        amount = _earnings[key].rewards;
        uint256 fees = _earnings[key].fees;
        if (amount + fees == 0) revert NothingToSettle();
        delete _earnings[key];
        address custodian = registry.dataset(datasetId).custodian;
        credit[token][custodian] += fees;
        emit RewardsSettled(datasetId, snapshotId, token, amount, custodian, fees);
        if (amount != 0) {
            obligations[token] -= amount;
            IERC20(token).forceApprove(address(rewardPool), amount);
            rewardPool.deposit(datasetId, snapshotId, token, amount);
        }
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

    /// @inheritdoc IQueryMarket
    function unsettledRewards(uint256 datasetId, uint256 snapshotId, address token) external view returns (uint256) {
        return _earnings[_earningsKey(datasetId, snapshotId, token)].rewards;
    }

    /// @inheritdoc IQueryMarket
    function unsettledFees(uint256 datasetId, uint256 snapshotId, address token) external view returns (uint256) {
        return _earnings[_earningsKey(datasetId, snapshotId, token)].fees;
    }

    function _earningsKey(uint256 datasetId, uint256 snapshotId, address token) private pure returns (bytes32) {
        return keccak256(abi.encode(datasetId, snapshotId, token));
    }

    function _requireOpen(QueryStatus status) private pure {
        if (status != QueryStatus.Funded) revert QueryNotOpen(status);
    }
}
