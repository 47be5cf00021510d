// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {QueryStatus} from "./IQueryMarket.sol";

/// @notice How a committee's key came about; public, so that whoever relies on it sees it.
enum CommitteeKind {
    None,
    /// Keys of encrypted cubes: the holders made them together, nobody ever held the whole key.
    Cubes,
    /// Keys of ad-hoc queries: a dealer made and distributed them, and is trusted to have forgotten them.
    AdHoc
}

/// @notice A committee's content; its EIP-712 struct hash is the committee's id and what every member signs.
struct CommitteeParams {
    CommitteeKind kind;
    /// Signatures that an answer needs, 2..members.
    uint8 threshold;
    /// Hash of the joint public key.
    bytes32 keyHash;
    /// Signer addresses, 2..16, ascending.
    address[] members;
}

enum MemberStatus {
    None,
    Active,
    /// Signed two different answers to one query. Signatures by this member no longer count.
    Equivocated
}

/// @notice What a committee vouches for. Every field is one EIP-712 word.
struct SealedAnswer {
    bytes32 queryId;
    uint256 datasetId;
    uint256 snapshotId;
    bytes32 committeeId;
    /// Hash over the ciphertexts that were opened.
    bytes32 ciphertextHash;
    bytes32 planHash;
    /// keccak256(abi.encode(PassResult[])), every rho zero.
    bytes32 resultsHash;
    /// keccak256(abi.encode(uint256 minCohort, uint256 minCell)).
    bytes32 releaseHash;
}

/// @notice A bond as it stands, base units.
struct Bond {
    uint96 amount;
    /// Part of `amount` that its member may take from `releaseAt` on.
    uint96 leaving;
    uint64 releaseAt;
}

/// @notice What a key holder must know of a query before it opens anything.
struct QueryFacts {
    /// Funded, and the deadline has not passed.
    bool open;
    QueryStatus status;
    uint32 datasetId;
    uint32 snapshotId;
    uint32 deadline;
    /// Zero once answered.
    bytes32 planHash;
    address custodian;
    uint32 minCohort;
    uint32 minCell;
    /// Members of the snapshot.
    uint32 members;
    /// Committees that may answer it, zero for none.
    bytes32 cubes;
    bytes32 adHoc;
}

/// @title Committees of key holders, the datasets that they serve, and their bonds
/// @notice A committee never changes. A dataset names one committee of each kind; a name given in period p (snapshots
/// taken + 1) holds from snapshot p on, and queries are funded on the latest snapshot, so no query changes its committee.
/// @dev Members sign with plain keys (ECDSA, low s, v 27 or 28). Per token, the balance is never below `obligations(token)`.
interface ICommittee {
    event CommitteeRegistered(bytes32 indexed committeeId, CommitteeParams params);
    /// @notice From snapshot `fromSnapshot` on; committee zero when the dataset has none of this kind any more.
    event CommitteeBound(
        uint256 indexed datasetId, CommitteeKind indexed kind, bytes32 indexed committeeId, uint32 fromSnapshot
    );
    event EquivocationReported(
        bytes32 indexed committeeId,
        address indexed member,
        bytes32 indexed queryId,
        address reporter,
        bytes32 digestA,
        bytes32 digestB
    );
    event BondDeposited(
        bytes32 indexed committeeId,
        address indexed member,
        uint256 indexed datasetId,
        address token,
        address from,
        uint256 amount
    );
    event BondNoticeGiven(
        bytes32 indexed committeeId,
        address indexed member,
        uint256 indexed datasetId,
        address token,
        uint256 amount,
        uint64 releaseAt
    );
    event BondWithdrawn(
        bytes32 indexed committeeId, address indexed member, uint256 indexed datasetId, address token, uint256 amount
    );
    event BondSlashed(
        bytes32 indexed committeeId,
        address indexed member,
        uint256 indexed datasetId,
        address token,
        address reporter,
        uint256 reward,
        uint256 rewards
    );

    /// @notice Number or order of members, threshold, kind or key hash is not what `CommitteeParams` says.
    error InvalidCommittee();
    error CommitteeExists(bytes32 committeeId);
    error UnknownCommittee(bytes32 committeeId);
    /// @notice Acceptance number `index` is not the signature of member number `index`.
    error AcceptanceRejected(uint256 index);
    /// @notice The dataset has not named this committee for the snapshot.
    error CommitteeNotBound(bytes32 committeeId);
    /// @notice Signatures are 65 bytes each.
    error MalformedSignatures();
    error TooFewSignatures(uint256 found, uint256 threshold);
    /// @notice Signature number `index` is void (high s, wrong v, zero).
    error SignatureRejected(uint256 index);
    /// @notice Signatures are ordered by signer and each signer signs once.
    error SignersOutOfOrder(uint256 index);
    error NotCommitteeMember(address account);
    error MemberEquivocated(address member);
    /// @notice The two answers do not contradict each other, or were not signed by one key.
    error NotEquivocation();
    error NotEquivocated(address member);
    error InvalidAmount();
    error NoticeNotOver(uint64 releaseAt);
    error NothingBonded();
    /// @notice Fee-on-transfer and rebasing tokens are refused.
    error AmountNotReceived(uint256 expected, uint256 received);

    /// @notice Registers a committee. Anyone may, with every member's acceptance.
    /// @param acceptances EIP-712 signatures over `CommitteeAcceptance`, 65 bytes each, in the order of the members
    /// @return committeeId struct hash of `CommitteeAcceptance`
    function register(CommitteeParams calldata params, bytes calldata acceptances)
        external
        returns (bytes32 committeeId);
    /// @notice Names the dataset's committee of its kind, for the next snapshot and later ones. Only the dataset's admin.
    function bind(uint256 datasetId, bytes32 committeeId) external;
    /// @notice The dataset has no committee of a kind from the next snapshot on. Only the dataset's admin.
    function unbind(uint256 datasetId, CommitteeKind kind) external;

    /// @notice Reverts unless the answer's committee is the dataset's and enough distinct members of it signed the answer.
    /// @param signatures over `digestOf(answer)`, 65 bytes each, ascending by signer, all of them good
    function requireQuorum(SealedAnswer calldata answer, bytes calldata signatures) external view;
    /// @notice Shows that a member signed two different answers to one query. Anyone may, once per committee and member.
    /// @return member who did it; its signatures no longer count and its bonds can be slashed
    function reportEquivocation(
        bytes32 committeeId,
        SealedAnswer calldata answerA,
        SealedAnswer calldata answerB,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external returns (address member);

    /// @notice Adds to a member's bond towards a dataset. Anyone may.
    function depositBond(bytes32 committeeId, address member, uint256 datasetId, address token, uint256 amount) external;
    /// @notice The calling member gives notice that it takes `amount` of a bond; replaces an earlier notice.
    function giveNotice(bytes32 committeeId, uint256 datasetId, address token, uint256 amount) external;
    /// @notice Pays the calling member what it gave notice of, once the notice is over.
    function withdrawBond(bytes32 committeeId, uint256 datasetId, address token) external returns (uint256 amount);
    /// @notice Slashes a bond of a member that equivocated: a tenth goes to the reporter, the rest to the members of the
    /// dataset's latest snapshot, so that reporting oneself does not pay. Anyone may.
    function slashBond(bytes32 committeeId, address member, uint256 datasetId, address token) external;

    function committee(bytes32 committeeId) external view returns (CommitteeParams memory);
    /// @notice The id that a committee has, registered or not.
    function idOf(CommitteeParams calldata params) external pure returns (bytes32);
    /// @notice What each member signs to accept.
    function acceptanceDigest(CommitteeParams calldata params) external view returns (bytes32);
    /// @notice What members sign for an answer, in the market's EIP-712 domain.
    function digestOf(SealedAnswer calldata answer) external view returns (bytes32);
    /// @notice Who may answer queries on a snapshot, zero for nobody. For a snapshot to come: as things stand.
    function committeeAt(uint256 datasetId, uint256 snapshotId, CommitteeKind kind) external view returns (bytes32);
    function memberStatus(bytes32 committeeId, address account) external view returns (MemberStatus);
    function bond(bytes32 committeeId, address member, uint256 datasetId, address token)
        external
        view
        returns (Bond memory);
    /// @notice Bonds held, base units.
    function obligations(address token) external view returns (uint256);
    /// @notice One block's view of a query; all zero for a query that was never funded.
    function queryFacts(bytes32 queryId) external view returns (QueryFacts memory);
    /// @notice The market whose answers are signed.
    function market() external view returns (address);
}
