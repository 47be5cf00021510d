// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PassResult} from "./IAnswerVerifier.sol";

enum QueryStatus {
    None,
    Funded,
    Answered,
    Refused,
    Expired,
    Settled
}

/// @notice What a researcher asks and pays.
struct QueryRequest {
    uint256 datasetId;
    /// The dataset's latest snapshot at funding time.
    uint256 snapshotId;
    /// keccak256 of the plan bytes.
    bytes32 planHash;
    /// Hash of the canonical query.
    bytes32 bodyHash;
    address token;
    /// Base units, at least the dataset's price in this token, at most 2^96 - 1.
    uint256 amount;
    /// Last second in which an answer is accepted (unix time, at most 2^32 - 1).
    uint256 deadline;
    /// Chosen by the researcher; makes equal requests distinct.
    uint256 nonce;
}

struct Query {
    /// Who the escrow belongs to: the researcher, and once answered the custodian.
    address beneficiary;
    uint32 datasetId;
    uint24 snapshotId;
    uint32 deadline;
    QueryStatus status;
    address token;
    uint96 amount;
    /// Zero once answered.
    bytes32 planHash;
}

/// @notice What stands behind a sealed answer.
struct SealedEvidence {
    /// The committee that the dataset names for the query's snapshot.
    bytes32 committeeId;
    /// Hash over the ciphertexts that were opened.
    bytes32 ciphertextHash;
    /// Members' EIP-712 signatures over SealedAnswer, 65 bytes each, ascending by signer.
    bytes signatures;
}

/// @title Escrow for queries; pays when a proven or sealed answer is accepted, refunds otherwise
/// @notice Per token, the contract's balance is never below `obligations(token)`.
interface IQueryMarket {
    event QueryFunded(
        bytes32 indexed queryId, uint256 indexed datasetId, address indexed researcher, QueryRequest request
    );
    /// @notice Together with the transaction's calldata (plan, proofs) this is all an auditor needs.
    event AnswerAccepted(
        bytes32 indexed queryId, uint256 indexed datasetId, uint256 indexed snapshotId, PassResult[] results
    );
    /// @notice Together with the transaction's calldata (plan, signatures) and the ciphertexts this is all an auditor needs.
    /// @param custodian who the payment is due to, whoever sent the transaction
    event SealedAnswerAccepted(
        bytes32 indexed queryId,
        uint256 indexed datasetId,
        uint256 indexed snapshotId,
        bytes32 committeeId,
        bytes32 ciphertextHash,
        address custodian,
        PassResult[] results
    );
    event QueryRefused(bytes32 indexed queryId, uint16 reason);
    event QueryExpired(bytes32 indexed queryId);
    event QuerySettled(bytes32 indexed queryId, uint256 memberRewards, address custodian, uint256 custodianFee);
    event Withdrawn(address indexed token, address indexed account, uint256 amount);

    error SnapshotNotLatest(uint256 latest);
    error TokenNotAccepted(address token);
    error AmountBelowPrice(uint256 price);
    error AmountTooLarge();
    error InvalidDeadline();
    error QueryExists(bytes32 queryId);
    /// @notice The query was never funded, or is already answered, refused or expired.
    error QueryNotOpen(QueryStatus status);
    error QueryPastDeadline();
    error QueryNotPastDeadline();
    error NotCustodian();
    /// @notice Fee-on-transfer and rebasing tokens are refused.
    error AmountNotReceived(uint256 expected, uint256 received);
    error PlanHashMismatch();
    /// @notice A base mask bit is missing, a bit names no value, or a group hides its count and shows its sums.
    error InvalidMask(uint256 pass);
    /// @notice A published count is below the dataset's minimum cell.
    error CountBelowMinimum(uint256 pass, uint256 value);
    error CohortBelowMinimum(uint256 cohort);
    error NothingToWithdraw();
    error QueryNotAnswered(QueryStatus status);
    /// @notice The committee contract was made for another market.
    error WrongCommittee();

    /// @notice Step 4 of 8: puts a query's payment into escrow.
    /// @return queryId keccak256(abi.encode(chainid, this, datasetId, snapshotId, planHash, bodyHash, researcher, nonce))
    function fund(QueryRequest calldata request) external returns (bytes32 queryId);
    /// @notice As `fund`, with an EIP-2612 permit for the amount; works too when someone else already used the permit.
    function fundWithPermit(QueryRequest calldata request, uint256 permitDeadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (bytes32 queryId);
    /// @notice Step 6 of 8: verifies the answer and makes the payment due to members and custodian, in one transition. Only the
    /// dataset's custodian.
    function acceptAnswer(
        bytes32 queryId,
        bytes calldata plan,
        PassResult[] calldata results,
        uint256[] calldata proofs
    ) external;
    /// @notice Step 6 of 8 for a sealed answer: checks plan, release rule and the committee's signatures, and makes the payment
    /// due to members and the dataset's custodian. Anyone may relay it.
    function acceptSealedAnswer(
        bytes32 queryId,
        bytes calldata plan,
        PassResult[] calldata results,
        SealedEvidence calldata evidence
    ) external;
    /// @notice The custodian declines; the researcher is credited the whole amount. A committee cannot decline: a query that
    /// it does not answer expires.
    function refuse(bytes32 queryId, uint16 reason) external;
    /// @notice Credits the researcher the whole amount once the deadline has passed. Anyone may.
    function refundExpired(bytes32 queryId) external;
    /// @notice Step 7 of 8: splits the payments of answered queries: members' part into the reward pool of their snapshot, the
    /// remainder to the credit of the custodian that answered. Anyone may.
    /// @return rewards sum of the members' parts, base units
    function settle(bytes32[] calldata queryIds) external returns (uint256 rewards);
    /// @notice Pays an account what it is credited, to that account. Anyone may.
    function withdraw(address token, address account) external returns (uint256 amount);

    function query(bytes32 queryId) external view returns (Query memory);
    function queryIdOf(address researcher, QueryRequest calldata request) external view returns (bytes32);
    /// @notice What `withdraw` would pay.
    function credit(address token, address account) external view returns (uint256);
    /// @notice Escrow of open and of unsettled queries, and credits, in base units.
    function obligations(address token) external view returns (uint256);
}
