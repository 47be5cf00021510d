// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What a dataset's creator fixes. Only custodian, prices, issuers and admin can change later.
/// @dev Slots per chunk, the basis root and H come from the circuits, which are named by their content.
struct DatasetParams {
    /// Hash of the codebook.
    bytes32 schemaHash;
    /// Bit set of GA4GH DUO purposes; every member's consent must contain all of them.
    bytes32 purposes;
    /// Number of physical code columns, 1..255.
    uint16 columns;
    /// Circuit with 4 columns and one part, or zero.
    bytes32 circuitK4;
    /// Two circuits with 8 columns that together count every slot once, or both zero.
    bytes32 circuitK8Low;
    bytes32 circuitK8High;
    /// Least number of people in an answer, at least 1.
    uint32 minCohort;
    /// Least published count, at least 1.
    uint32 minCell;
    /// Members' part of a payment in basis points, 0..10000.
    uint16 rewardBps;
    /// Seconds per epoch, or zero when the admin advances epochs by hand.
    uint32 epochLength;
    /// Who may accept answers and is paid for them.
    address custodian;
    /// First accepted token and its price per query in base units, at least 1. Zero token: no price yet.
    address token;
    uint96 price;
}

/// @notice A dataset's fixed part and its present state.
struct Dataset {
    address admin;
    address custodian;
    bytes32 schemaHash;
    bytes32 purposes;
    uint16 columns;
    uint32 slots;
    bytes32 basisRoot;
    uint256 hX;
    uint256 hY;
    bytes32 circuitK4;
    bytes32 circuitK8Low;
    bytes32 circuitK8High;
    uint32 minCohort;
    uint32 minCell;
    uint16 rewardBps;
    uint32 epochLength;
    uint32 epoch;
    uint40 nextEpochAt;
    uint32 snapshots;
    uint32 chunks;
    uint32 members;
}

/// @notice One person's registration. Slots are never used twice, so a consent cannot be replayed.
struct Member {
    uint32 slot;
    address member;
    /// The consent lapses when the dataset enters this epoch.
    uint64 expiryEpoch;
    bytes32 purposes;
    /// Commitment to the payout identity, for claims that are not linkable to the member key.
    bytes32 payoutId;
    /// At most 65535; a rectification needs a larger one than before.
    uint256 nonce;
    /// c_0.x, c_0.y, ... one point per physical column, none of them infinity.
    uint256[] commitments;
    /// Slot base B_i and its Merkle path to the dataset's basis root.
    uint256 basisX;
    uint256 basisY;
    bytes32[] path;
    /// Proof of knowledge of the opening.
    uint256 rX;
    uint256 rY;
    uint256 s1;
    uint256 s2;
    /// The member's EIP-712 signature over Consent, 65 bytes r || s || v.
    bytes signature;
}

/// @notice What the registry keeps of a slot.
struct Membership {
    address member;
    uint32 expiryEpoch;
    /// First snapshot that contains the member.
    uint32 joined;
    /// First snapshot that no longer contains the member, or zero.
    uint32 left;
    uint16 nonce;
    bytes32 commitmentsHash;
}

/// @notice What an answer must respect.
struct AnswerTerms {
    address custodian;
    uint32 minCohort;
    uint32 minCell;
    uint32 chunks;
    /// One per part of a chunk; the second is zero when there is one part.
    bytes32[2] circuitIds;
}

/// @title Datasets, their members and their column commitments
/// @notice Snapshot ids start at 1. A write made before snapshot s is taken is contained in s.
interface ICohortRegistry {
    event DatasetCreated(uint256 indexed datasetId, address indexed admin, DatasetParams params);
    event AdminTransferred(uint256 indexed datasetId, address indexed from, address indexed to);
    event IssuerSet(uint256 indexed datasetId, address indexed issuer, bool allowed);
    event CustodianSet(uint256 indexed datasetId, address indexed custodian);
    event PriceSet(uint256 indexed datasetId, address indexed token, uint96 price);
    event MemberJoined(
        uint256 indexed datasetId,
        uint32 indexed chunk,
        uint32 indexed slot,
        address member,
        address issuer,
        uint32 joined,
        uint32 expiryEpoch,
        bytes32 payoutId,
        bytes32 commitmentsHash
    );
    event MemberRectified(
        uint256 indexed datasetId,
        uint32 indexed chunk,
        uint32 indexed slot,
        address member,
        address issuer,
        uint32 effective,
        uint32 expiryEpoch,
        bytes32 payoutId,
        bytes32 commitmentsHash
    );
    event MemberLeft(uint256 indexed datasetId, uint32 indexed chunk, uint32 indexed slot, address member, uint32 left);
    event ChunkExpired(
        uint256 indexed datasetId, uint32 indexed chunk, uint32 indexed epoch, uint32 members, uint32 left
    );
    event EpochAdvanced(uint256 indexed datasetId, uint32 epoch);
    event SnapshotTaken(
        uint256 indexed datasetId, uint32 indexed snapshotId, uint32 epoch, uint32 chunks, uint32 members
    );

    error UnknownDataset(uint256 datasetId);
    error InvalidParams();
    error NotAdmin();
    error NotIssuer();
    error NotMember();
    /// @notice Chunks are opened one after the other.
    error ChunkOutOfOrder(uint32 chunk);
    error SlotOutOfRange(uint32 slot);
    error SlotTaken(uint32 slot);
    error SlotEmpty(uint32 slot);
    error EmptyBatch();
    error WrongColumnCount(uint32 slot);
    /// @notice Not after the current epoch, or above 2^32 - 1.
    error ExpiryOutOfRange(uint32 slot);
    error PurposesNotCovered(uint32 slot);
    error NonceTooLow(uint32 slot);
    error NonceTooLarge(uint32 slot);
    /// @notice A commitment, slot base or PoK point is infinity, non-canonical or off the curve.
    error InvalidPoint(uint32 slot);
    error NonCanonicalScalar(uint32 slot);
    error WrongSlotBase(uint32 slot);
    error KnowledgeProofRejected(uint32 slot);
    error ConsentRejected(uint32 slot);
    error CommitmentsMismatch(uint32 slot);
    error EpochNotDue();
    /// @notice A timed epoch has ended: call advanceEpoch first.
    error EpochDue();
    /// @notice Members whose consent has lapsed are still counted: call expireChunk first.
    error ExpiryPending(uint32 chunks);
    error NothingToExpire();
    error UnknownSnapshot(uint256 snapshotId);
    error UnknownColumn(uint256 column);
    error UnsupportedCircuit(uint256 columns);

    /// @notice Creates a dataset; the caller becomes its admin. Anyone may.
    function createDataset(DatasetParams calldata params) external returns (uint256 datasetId);
    function transferAdmin(uint256 datasetId, address admin) external;
    function setIssuer(uint256 datasetId, address issuer, bool allowed) external;
    function setCustodian(uint256 datasetId, address custodian) external;
    /// @notice Sets the least payment per query in `token` (base units). Zero: the token is not accepted.
    function setPrice(uint256 datasetId, address token, uint96 price) external;

    /// @notice Step 3 of 8: registers people of one chunk. Only issuers of the dataset.
    function optIn(uint256 datasetId, uint32 chunk, Member[] calldata batch) external;
    /// @notice Replaces a member's commitments, by an issuer and with the member's fresh consent.
    /// @param previous the commitments that the slot holds now
    function rectify(uint256 datasetId, uint32 chunk, Member calldata update, uint256[] calldata previous) external;
    /// @notice Removes a member from every later snapshot.
    /// @param commitments the commitments that the slot holds
    /// @param signature the member's EIP-712 signature over OptOut, or empty when the member calls
    function optOut(
        uint256 datasetId,
        uint32 chunk,
        uint32 slot,
        uint256[] calldata commitments,
        bytes calldata signature
    ) external;
    /// @notice Enters the next epoch: by anyone when a timed epoch has ended, by the admin when epochs are manual.
    function advanceEpoch(uint256 datasetId) external returns (uint32 epoch);
    /// @notice Removes the members of a chunk whose consent lapsed with the current epoch. Anyone may; cost does not grow with them.
    function expireChunk(uint256 datasetId, uint32 chunk) external;
    /// @notice Fixes the membership as a new snapshot, by admin or custodian. Cost does not depend on members or chunks.
    function snapshot(uint256 datasetId) external returns (uint32 snapshotId);

    function dataset(uint256 datasetId) external view returns (Dataset memory);
    function datasetCount() external view returns (uint256);
    function isIssuer(uint256 datasetId, address issuer) external view returns (bool);
    function price(uint256 datasetId, address token) external view returns (uint96);
    function latestSnapshot(uint256 datasetId) external view returns (uint32);
    function chunkCount(uint256 datasetId, uint256 snapshotId) external view returns (uint32);
    function memberCount(uint256 datasetId, uint256 snapshotId) external view returns (uint32);
    /// @notice Chunks whose lapsed members are still to be removed in the current epoch.
    function pendingExpiries(uint256 datasetId) external view returns (uint32);
    function membership(uint256 datasetId, uint32 chunk, uint32 slot) external view returns (Membership memory);
    /// @notice The member that held a slot in a snapshot, or zero; also after opt-out or expiry.
    function memberAt(uint256 datasetId, uint256 snapshotId, uint32 chunk, uint32 slot) external view returns (address);
    /// @notice Column commitment as of a snapshot; (0, 0) when nobody is in the chunk.
    function columnCommitment(uint256 datasetId, uint256 snapshotId, uint32 chunk, uint16 column)
        external
        view
        returns (uint256 x, uint256 y);
    /// @notice Column commitment as it stands now, ahead of the next snapshot.
    function currentCommitment(uint256 datasetId, uint32 chunk, uint16 column)
        external
        view
        returns (uint256 x, uint256 y);
    /// @notice Commitments of columns for every chunk of a snapshot.
    /// @param columns column indices of all passes, `perPass` for each
    /// @return words per pass, per chunk, per column of the pass: x, y
    function commitmentsAt(uint256 datasetId, uint256 snapshotId, uint256[] calldata columns, uint256 perPass)
        external
        view
        returns (uint256[] memory words);
    /// @notice Who answers, and the members' part of a payment in basis points.
    function payoutTerms(uint256 datasetId) external view returns (address custodian, uint16 rewardBps);
    /// @notice Who is paid for an answer, and what it must respect; zeros for an unknown dataset.
    function releaseTerms(uint256 datasetId) external view returns (address custodian, uint32 minCohort, uint32 minCell);
    /// @notice What an answer to a plan must respect, and the column commitments that it is about.
    /// @param plan plan bytes, version 1; only its passes' columns are read
    /// @return terms circuits are those for the plan's number of columns
    /// @return words as from `commitmentsAt`
    function answerInputs(uint256 datasetId, uint256 snapshotId, bytes calldata plan)
        external
        view
        returns (AnswerTerms memory terms, uint256[] memory words);
}
