// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What one pass of a plan publishes.
/// @dev `values[t]` belongs to bit t of `mask`; a masked value is passed as zero.
struct PassResult {
    /// Bit t set: value t is not published. A superset of the pass's base mask.
    uint64 mask;
    /// Summed blinding of the result commitments, below r. Zero when the answer is direct.
    uint256 rho;
    /// Published values, as many as the pass declares, each below r.
    uint256[] values;
}

/// @notice Where an answer is meant to be accepted; everything here is hashed into the transcript's header.
struct AnswerContext {
    address market;
    uint256 datasetId;
    uint256 snapshotId;
    bytes32 queryId;
    /// Number of chunks that the snapshot has; every one of them must be proven.
    uint256 chunks;
    /// One circuit per part of a chunk, in slot order (one for K4, two for K8).
    bytes32[] circuitIds;
}

/// @notice Shape of a registered circuit and the commitment basis that it was made for.
struct CircuitShape {
    uint256 slots;
    uint256 lo;
    uint256 hi;
    uint256 columns;
    uint256 cells;
    bytes32 basisRoot;
    uint256 hX;
    uint256 hY;
    /// keccak256 of the words that circuits proven together must share: alpha, beta, gamma1, gamma3, H_R, R_0..R_63.
    bytes32 family;
}

/// @title Verifies that published values are the right aggregate over committed columns
/// @notice Stateless apart from verifying keys, which anyone registers and which are named by their content.
interface IAnswerVerifier {
    event CircuitRegistered(
        bytes32 indexed circuitId, address code, uint256 slots, uint256 lo, uint256 hi, uint256 columns
    );

    /// @notice The key is not `CIRCUIT_WORDS` words long or its shape contradicts itself.
    error MalformedCircuit();
    error CircuitAlreadyRegistered(bytes32 circuitId);
    error UnknownCircuit(bytes32 circuitId);
    /// @notice Circuits named together do not share a family, or have other columns than the plan.
    error CircuitMismatch(bytes32 circuitId);
    /// @notice Plan bytes do not decode: version, lengths, table coverage or an entry above W.
    error MalformedPlan();
    /// @notice Number of passes, values, commitments or proofs is not what plan and chunks ask for.
    error WrongCount();
    /// @notice A scalar is not below r.
    error NonCanonicalScalar();
    /// @notice A coordinate is not below p, or a point is off the curve, or a precompile refused it.
    error InvalidPoint();
    /// @notice A masked value is not zero, or a direct answer carries a result commitment or blinding.
    error UnexpectedValue();
    /// @notice The result commitments do not open to the published totals.
    error OpeningRejected(uint256 pass);
    /// @notice The pairing product is not one.
    error ProofRejected();

    /// @notice Stores a verifying key as contract code. Anyone may, also for a key whose trapdoor they know: what a key is worth
    /// depends on its ceremony, so compare circuit ids with the published ones before trusting a dataset's answers.
    /// @param words 170 words: the 162 key words, then slots, lo, hi, K, W, basisRoot, H.x, H.y.
    /// @return circuitId keccak256 of `words`.
    function registerCircuit(bytes calldata words) external returns (bytes32 circuitId);

    /// @notice Shape of a registered circuit. Reverts with UnknownCircuit.
    function circuit(bytes32 circuitId) external view returns (CircuitShape memory shape);

    /// @notice Address whose code holds the key, or zero.
    function circuitCode(bytes32 circuitId) external view returns (address);

    /// @notice Returns when every item proves, reverts otherwise. It says nothing about slots that the named circuits leave
    /// out: the registry's circuits cover a chunk, others are the caller's to check.
    /// @param context what the answer is bound to
    /// @param plan plan bytes, version 1
    /// @param results one per pass
    /// @param commitments per pass, per chunk, per column position: x, y (padding positions included)
    /// @param proofs per pass, per chunk, per part: A.x A.y B.x1 B.x0 B.y1 B.y0 C.x C.y Caux.x Caux.y Cres.x Cres.y
    function verify(
        AnswerContext calldata context,
        bytes calldata plan,
        PassResult[] calldata results,
        uint256[] calldata commitments,
        uint256[] calldata proofs
    ) external view;
}
