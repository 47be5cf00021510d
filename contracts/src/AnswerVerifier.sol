// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Create3} from "@openzeppelin/contracts/utils/Create3.sol";
import {AnswerContext, CircuitShape, IAnswerVerifier, PassResult} from "./interfaces/IAnswerVerifier.sol";
import {Answer, AnswerProof} from "./proof/AnswerProof.sol";
import {Bn254} from "./proof/Bn254.sol";
import {CircuitKey} from "./proof/CircuitKey.sol";
import {Transcript} from "./proof/Transcript.sol";
import {Words} from "./proof/Words.sol";

/// @title Verifying keys, and Groth16 over four separately bound instance blocks
contract AnswerVerifier is IAnswerVerifier {
    /// @notice Words that a circuit is registered with.
    uint256 public constant CIRCUIT_WORDS = CircuitKey.WORDS;

    uint256 private constant PAIR_BYTES = 192;
    uint256 private constant MAX_COLUMNS = 8;

    // ---------------------------------------------------------------- registration

    /// @inheritdoc IAnswerVerifier
    function registerCircuit(bytes calldata words) external returns (bytes32 circuitId) {
        if (words.length != CIRCUIT_WORDS * 32) revert MalformedCircuit();
        uint256 wordsInput = Words.start(words);
        circuitId = keccak256(words);
        if (circuitCode(circuitId) != address(0)) revert CircuitAlreadyRegistered(circuitId);

        uint256 packedShape = _packShape(wordsInput);
        _requirePoints(wordsInput);
        bytes32 family = keccak256(
            bytes.concat(words[0:CircuitKey.GAMMA0 * 32], words[CircuitKey.RESULT_BASIS * 32:CircuitKey.SHAPE * 32])
        );

        // Init code that returns what follows it; the leading STOP makes the stored code inert.
        bytes memory creation = abi.encodePacked(
            hex"61",
            uint16(1 + (CircuitKey.PREFIX_WORDS + CIRCUIT_WORDS) * 32),
            hex"80600a3d393df3",
            hex"00",
            family,
            packedShape,
            words
        );
        address code = Create3.deploy(0, circuitId, creation);
        emit CircuitRegistered(
            circuitId,
            code,
            Words.input(wordsInput, CircuitKey.SHAPE),
            Words.input(wordsInput, CircuitKey.SHAPE + 1),
            Words.input(wordsInput, CircuitKey.SHAPE + 2),
            Words.input(wordsInput, CircuitKey.SHAPE + 3)
        );
    }

    /// @inheritdoc IAnswerVerifier
    function circuit(bytes32 circuitId) external view returns (CircuitShape memory shape) {
        uint256 ptr = Words.allocate(1);
        CircuitKey.load(ptr, address(this), circuitId, 0, 1);
        shape.family = bytes32(Words.get(ptr, 0));
        uint256 shapePtr = Words.allocate(CIRCUIT_WORDS - CircuitKey.SHAPE);
        CircuitKey.load(
            shapePtr,
            address(this),
            circuitId,
            CircuitKey.PREFIX_WORDS + CircuitKey.SHAPE,
            CIRCUIT_WORDS - CircuitKey.SHAPE
        );
        shape.slots = Words.get(shapePtr, 0);
        shape.lo = Words.get(shapePtr, 1);
        shape.hi = Words.get(shapePtr, 2);
        shape.columns = Words.get(shapePtr, 3);
        shape.cells = Words.get(shapePtr, 4);
        shape.basisRoot = bytes32(Words.get(shapePtr, 5));
        shape.hX = Words.get(shapePtr, 6);
        shape.hY = Words.get(shapePtr, 7);
    }

    /// @inheritdoc IAnswerVerifier
    function circuitCode(bytes32 circuitId) public view returns (address code) {
        code = CircuitKey.codeOf(address(this), circuitId);
        if (code.code.length == 0) code = address(0);
    }

    function _packShape(uint256 wordsInput) private pure returns (uint256) {
        uint256 slots = Words.input(wordsInput, CircuitKey.SHAPE);
        uint256 lo = Words.input(wordsInput, CircuitKey.SHAPE + 1);
        uint256 hi = Words.input(wordsInput, CircuitKey.SHAPE + 2);
        uint256 columns = Words.input(wordsInput, CircuitKey.SHAPE + 3);
        uint256 cells = Words.input(wordsInput, CircuitKey.SHAPE + 4);
        if (
            slots > type(uint32).max || lo >= hi || hi > slots || columns == 0 || columns > MAX_COLUMNS || cells == 0
                || cells > type(uint16).max
        ) revert MalformedCircuit();
        return columns << 16 | cells;
    }

    /// @dev Infinity is refused everywhere: it would unbind the block that it stands for.
    function _requirePoints(uint256 wordsInput) private view {
        for (uint256 i = CircuitKey.RESULT_BASIS; i < CircuitKey.SHAPE; i += 2) {
            _requirePoint(wordsInput, i);
        }
        _requirePoint(wordsInput, CircuitKey.ALPHA);
        _requirePoint(wordsInput, CircuitKey.IC_ONE);
        _requirePoint(wordsInput, CircuitKey.IC_GAMMA);
        _requirePoint(wordsInput, CircuitKey.IC_V);
        _requirePoint(wordsInput, CircuitKey.SHAPE + 6);

        // The pairing precompile checks field, curve and subgroup of G2 points, also next to infinity.
        bytes memory pairs = new bytes(6 * PAIR_BYTES);
        for (uint256 i = 0; i < 6; i++) {
            uint256 from = CircuitKey.BETA + 4 * i;
            if (
                Words.input(wordsInput, from) | Words.input(wordsInput, from + 1) | Words.input(wordsInput, from + 2)
                        | Words.input(wordsInput, from + 3) == 0
            ) revert InvalidPoint();
            assembly ("memory-safe") {
                calldatacopy(add(add(pairs, 0x60), mul(i, PAIR_BYTES)), add(wordsInput, mul(from, 0x20)), 0x80)
            }
        }
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 8, add(pairs, 0x20), mload(pairs), 0, 0x20)
        }
        if (!ok) revert InvalidPoint();
    }

    function _requirePoint(uint256 wordsInput, uint256 index) private pure {
        if (!Bn254.isOnCurve(Words.input(wordsInput, index), Words.input(wordsInput, index + 1))) {
            revert InvalidPoint();
        }
    }

    // ---------------------------------------------------------------- verification

    /// @inheritdoc IAnswerVerifier
    function verify(
        AnswerContext calldata context,
        bytes calldata plan,
        PassResult[] calldata results,
        uint256[] calldata commitments,
        uint256[] calldata proofs
    ) external view {
        Answer memory answer;
        answer.header = Transcript.header(context.market, context.datasetId, context.snapshotId, context.queryId);
        answer.circuitStore = address(this);
        answer.parts = context.circuitIds.length;
        if (answer.parts == 0 || answer.parts > answer.circuitIds.length || context.chunks > type(uint32).max) {
            revert WrongCount();
        }
        for (uint256 part = 0; part < answer.parts; part++) {
            answer.circuitIds[part] = context.circuitIds[part];
        }
        answer.chunks = context.chunks;
        answer.commitmentWords = commitments.length;
        answer.commitmentsPtr = Words.allocate(commitments.length);
        Words.load(answer.commitmentsPtr, Words.start(commitments), commitments.length);
        AnswerProof.check(answer, plan, results, proofs);
    }
}
