// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AnswerContext, CircuitShape, IAnswerVerifier, PassResult} from "./interfaces/IAnswerVerifier.sol";
import {Bn254} from "./proof/Bn254.sol";
import {Plan, PlanPass} from "./proof/Plan.sol";
import {Transcript} from "./proof/Transcript.sol";
import {Words} from "./proof/Words.sol";

/// @title Groth16 over four separately bound instance blocks, one pairing product for all items of an answer
contract AnswerVerifier is IAnswerVerifier {
    /// @notice Words that a circuit is registered with.
    uint256 public constant CIRCUIT_WORDS = 170;

    // Word positions in a circuit.
    uint256 private constant ALPHA = 0;
    uint256 private constant BETA = 2;
    uint256 private constant GAMMA1 = 6;
    uint256 private constant GAMMA3 = 10;
    uint256 private constant GAMMA0 = 14;
    uint256 private constant GAMMA2 = 18;
    uint256 private constant DELTA = 22;
    uint256 private constant IC_ONE = 26;
    uint256 private constant IC_GAMMA = 28;
    uint256 private constant IC_V = 30;
    uint256 private constant RESULT_BASIS = 32;
    uint256 private constant SHAPE = 162;

    /// Code of a circuit: STOP, family, packed shape, then the words. One copy of HEAD_WORDS serves a direct answer.
    uint256 private constant PREFIX_WORDS = 2;
    uint256 private constant HEAD_WORDS = PREFIX_WORDS + RESULT_BASIS;
    uint256 private constant PROOF_WORDS = 12;
    uint256 private constant PAIR_BYTES = 192;
    uint256 private constant MAX_COLUMNS = 8;

    mapping(bytes32 circuitId => address) public circuitCode;

    /// What all steps of one verification share. Memory addresses are named `...Ptr`.
    struct Answer {
        bytes32 header;
        uint256 columns;
        uint256 cells;
        uint256 chunks;
        uint256 parts;
        uint256 items;
        bool direct;
        /// Per part: address of family, packed shape and the first 32 words.
        uint256[] keyPtr;
        bytes32[] circuitIds;
        /// Per item.
        uint256[] zetas;
        uint256[] gammas;
        uint256[] vs;
        /// First word of the batch seed's preimage.
        uint256 seedPtr;
        /// First word of the pairing input.
        uint256 pairsPtr;
        uint256 pairsBytes;
    }

    // ---------------------------------------------------------------- registration

    /// @inheritdoc IAnswerVerifier
    function registerCircuit(bytes calldata words) external returns (bytes32 circuitId) {
        if (words.length != CIRCUIT_WORDS * 32) revert MalformedCircuit();
        circuitId = keccak256(words);
        if (circuitCode[circuitId] != address(0)) revert CircuitAlreadyRegistered(circuitId);

        uint256 packedShape = _packShape(words);
        _requirePoints(words);
        bytes32 family = keccak256(bytes.concat(words[0:GAMMA0 * 32], words[RESULT_BASIS * 32:SHAPE * 32]));

        // Init code that returns what follows it; the leading STOP makes the stored code inert.
        bytes memory creation = abi.encodePacked(
            hex"61",
            uint16(1 + (PREFIX_WORDS + CIRCUIT_WORDS) * 32),
            hex"80600a3d393df3",
            hex"00",
            family,
            packedShape,
            words
        );
        address code;
        assembly ("memory-safe") {
            code := create(0, add(creation, 0x20), mload(creation))
        }
        if (code == address(0)) revert MalformedCircuit();
        circuitCode[circuitId] = code;
        emit CircuitRegistered(
            circuitId,
            code,
            Words.wordOf(words, SHAPE),
            Words.wordOf(words, SHAPE + 1),
            Words.wordOf(words, SHAPE + 2),
            Words.wordOf(words, SHAPE + 3)
        );
    }

    /// @inheritdoc IAnswerVerifier
    function circuit(bytes32 circuitId) external view returns (CircuitShape memory shape) {
        uint256 ptr = _loadCode(circuitId, 0, PREFIX_WORDS);
        uint256 shapePtr = _loadCode(circuitId, PREFIX_WORDS + SHAPE, CIRCUIT_WORDS - SHAPE);
        shape.family = bytes32(Words.get(ptr, 0));
        shape.slots = Words.get(shapePtr, 0);
        shape.lo = Words.get(shapePtr, 1);
        shape.hi = Words.get(shapePtr, 2);
        shape.columns = Words.get(shapePtr, 3);
        shape.cells = Words.get(shapePtr, 4);
        shape.basisRoot = bytes32(Words.get(shapePtr, 5));
        shape.hX = Words.get(shapePtr, 6);
        shape.hY = Words.get(shapePtr, 7);
    }

    function _packShape(bytes calldata words) private pure returns (uint256) {
        uint256 slots = Words.wordOf(words, SHAPE);
        uint256 lo = Words.wordOf(words, SHAPE + 1);
        uint256 hi = Words.wordOf(words, SHAPE + 2);
        uint256 columns = Words.wordOf(words, SHAPE + 3);
        uint256 cells = Words.wordOf(words, SHAPE + 4);
        if (
            slots > type(uint32).max || lo >= hi || hi > slots || columns == 0 || columns > MAX_COLUMNS || cells == 0
                || cells > type(uint16).max
        ) revert MalformedCircuit();
        return columns << 16 | cells;
    }

    /// @dev Infinity is refused everywhere: it would unbind the block that it stands for.
    function _requirePoints(bytes calldata words) private view {
        for (uint256 i = RESULT_BASIS; i < SHAPE; i += 2) {
            _requirePoint(words, i);
        }
        _requirePoint(words, ALPHA);
        _requirePoint(words, IC_ONE);
        _requirePoint(words, IC_GAMMA);
        _requirePoint(words, IC_V);
        _requirePoint(words, SHAPE + 6);

        // The pairing precompile checks field, curve and subgroup of G2 points, also next to infinity.
        bytes memory pairs = new bytes(6 * PAIR_BYTES);
        for (uint256 i = 0; i < 6; i++) {
            uint256 from = BETA + 4 * i;
            if (
                Words.wordOf(words, from) | Words.wordOf(words, from + 1) | Words.wordOf(words, from + 2)
                        | Words.wordOf(words, from + 3) == 0
            ) revert InvalidPoint();
            assembly ("memory-safe") {
                calldatacopy(add(add(pairs, 0x60), mul(i, PAIR_BYTES)), add(words.offset, mul(from, 0x20)), 0x80)
            }
        }
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 8, add(pairs, 0x20), mload(pairs), 0, 0x20)
        }
        if (!ok) revert InvalidPoint();
    }

    function _requirePoint(bytes calldata words, uint256 index) private pure {
        if (!Bn254.isOnCurve(Words.wordOf(words, index), Words.wordOf(words, index + 1))) revert InvalidPoint();
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
        uint256 passes;
        (answer.columns, passes) = Plan.head(plan);
        answer.chunks = context.chunks;
        answer.parts = context.circuitIds.length;
        uint256 itemsPerPass = answer.chunks * answer.parts;
        answer.items = passes * itemsPerPass;
        if (
            itemsPerPass == 0 || results.length != passes
                || commitments.length != passes * answer.chunks * answer.columns * 2
                || proofs.length != answer.items * PROOF_WORDS
        ) revert WrongCount();
        answer.direct = itemsPerPass == 1;
        answer.header = Transcript.header(context.market, context.datasetId, context.snapshotId, context.queryId);
        _loadKeys(answer, context.circuitIds);
        answer.zetas = new uint256[](answer.items);
        answer.gammas = new uint256[](answer.items);
        answer.vs = new uint256[](answer.items);
        answer.seedPtr = Words.allocate(1 + 9 * answer.items);

        uint256 offset = Plan.HEAD_BYTES;
        for (uint256 pass = 0; pass < passes; pass++) {
            PlanPass memory head = Plan.passAt(plan, offset, answer.columns);
            offset = head.end;
            _challengePass(answer, pass, plan, head, results[pass], commitments, proofs);
        }
        if (offset != plan.length) revert MalformedPlan();

        if (!answer.direct) _requireOpenings(answer, results, proofs);
        _combine(answer, commitments, proofs);
        bool ok;
        uint256 pairsPtr = answer.pairsPtr;
        uint256 pairsBytes = answer.pairsBytes;
        uint256 product;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 8, pairsPtr, pairsBytes, 0, 0x20)
            product := mload(0)
        }
        if (!ok) revert InvalidPoint();
        if (product != 1) revert ProofRejected();
    }

    /// @dev Circuits proven together share their family and fit the plan.
    function _loadKeys(Answer memory answer, bytes32[] calldata circuitIds) private view {
        answer.circuitIds = circuitIds;
        answer.keyPtr = new uint256[](circuitIds.length);
        for (uint256 part = 0; part < circuitIds.length; part++) {
            uint256 ptr = _loadCode(circuitIds[part], 0, HEAD_WORDS);
            uint256 shape = Words.get(ptr, 1);
            if (shape >> 16 != answer.columns) revert CircuitMismatch(circuitIds[part]);
            if (part == 0) {
                answer.cells = shape & 0xffff;
            } else if (Words.get(ptr, 0) != Words.get(answer.keyPtr[0], 0) || shape & 0xffff != answer.cells) {
                revert CircuitMismatch(circuitIds[part]);
            }
            answer.keyPtr[part] = ptr;
        }
    }

    /// @dev Derives zeta, gamma and V of each item of a pass, and writes the items' share of the batch seed.
    function _challengePass(
        Answer memory answer,
        uint256 pass,
        bytes calldata plan,
        PlanPass memory head,
        PassResult calldata result,
        uint256[] calldata commitments,
        uint256[] calldata proofs
    ) private pure {
        // tag, zeta, flags, Caux, Cres, y_0..y_63
        uint256 gammaPtr = Words.allocate(7 + Plan.MAX_VALUES);
        _fillGammaPreimage(answer, gammaPtr, head, result);
        // tag, header, circuit, pass, chunk, commitments
        uint256 zetaPtr = Words.allocate(5 + 2 * answer.columns);
        Words.set(zetaPtr, 0, uint256(Transcript.TAG_ZETA));
        Words.set(zetaPtr, 1, uint256(answer.header));
        Words.set(zetaPtr, 3, pass);
        uint256 runsPtr;
        assembly ("memory-safe") {
            runsPtr := add(plan.offset, mload(add(head, 0x80)))
        }

        uint256 item = pass * answer.chunks * answer.parts;
        for (uint256 chunk = 0; chunk < answer.chunks; chunk++) {
            Words.set(zetaPtr, 4, chunk);
            {
                uint256 from = 2 * answer.columns * (pass * answer.chunks + chunk);
                uint256 bytesToCopy = 64 * answer.columns;
                assembly ("memory-safe") {
                    calldatacopy(add(zetaPtr, 0xa0), add(commitments.offset, mul(from, 0x20)), bytesToCopy)
                }
            }
            for (uint256 part = 0; part < answer.parts; part++) {
                Words.set(zetaPtr, 2, uint256(answer.circuitIds[part]));
                uint256 zeta = Words.hash(zetaPtr, 5 + 2 * answer.columns) % Bn254.R;
                _requireProof(answer, item, proofs, gammaPtr);
                Words.set(gammaPtr, 1, zeta);
                uint256 gamma = Words.hash(gammaPtr, 7 + Plan.MAX_VALUES) % Bn254.R;
                answer.zetas[item] = zeta;
                answer.gammas[item] = gamma;
                answer.vs[item] = _foldPublic(answer, gammaPtr, gamma, runsPtr, head.runCount, head.values);
                Words.set(answer.seedPtr, 1 + 9 * item, gamma);
                item++;
            }
        }
    }

    /// @dev Writes tag, flags and the values that are hashed: the published ones when direct, zeros otherwise.
    function _fillGammaPreimage(
        Answer memory answer,
        uint256 gammaPtr,
        PlanPass memory head,
        PassResult calldata result
    ) private pure {
        uint256 limit = head.image == Plan.MOMENTS ? 3 * (answer.cells >> 8) : answer.cells;
        if (head.values > limit) revert MalformedPlan();
        if (result.values.length != head.values) revert WrongCount();
        if (result.rho >= Bn254.R) revert NonCanonicalScalar();
        if (answer.direct && result.rho != 0) revert UnexpectedValue();
        uint256 mask = result.mask;
        Words.set(gammaPtr, 0, uint256(Transcript.TAG_GAMMA));
        Words.set(gammaPtr, 2, (answer.direct ? 1 : 0) | head.image << 1 | mask << 2);
        for (uint256 t = 0; t < head.values; t++) {
            uint256 value = result.values[t];
            if (value >= Bn254.R) revert NonCanonicalScalar();
            if (value != 0 && mask >> t & 1 == 1) revert UnexpectedValue();
            if (answer.direct) Words.set(gammaPtr, 7 + t, value);
        }
    }

    /// @dev Refuses an item whose G1 points are off the curve (B is left to the pairing), copies Caux and Cres into
    /// gamma's preimage and A, B, C into the batch seed's.
    function _requireProof(Answer memory answer, uint256 item, uint256[] calldata proofs, uint256 gammaPtr)
        private
        pure
    {
        uint256 seedPtr = answer.seedPtr + 32 * (2 + 9 * item);
        bool direct = answer.direct;
        bool valid;
        bool absent;
        assembly ("memory-safe") {
            function onCurve(ptr, p) -> ok {
                let x := calldataload(ptr)
                let y := calldataload(add(ptr, 0x20))
                ok := and(and(lt(x, p), lt(y, p)), eq(mulmod(y, y, p), addmod(mulmod(x, mulmod(x, x, p), p), 3, p)))
            }
            let p := 21888242871839275222246405745257275088696311157297823662689037894645226208583
            let ptr := add(proofs.offset, mul(item, 0x180))
            calldatacopy(seedPtr, ptr, 0x100)
            calldatacopy(add(gammaPtr, 0x60), add(ptr, 0x100), 0x80)
            absent := iszero(or(calldataload(add(ptr, 0x140)), calldataload(add(ptr, 0x160))))
            valid := and(
                and(onCurve(ptr, p), onCurve(add(ptr, 0xc0), p)),
                and(onCurve(add(ptr, 0x100), p), or(absent, onCurve(add(ptr, 0x140), p)))
            )
        }
        if (!valid) revert InvalidPoint();
        if (direct && !absent) revert UnexpectedValue();
    }

    /// @dev V = zeta + gamma (flags + gamma (sum y_t gamma^t + gamma^64 D)). D folds the tables over runs in closed form,
    /// so that its cost grows with runs, not with codes. Checks that runs cover every table exactly and stay within W.
    function _foldPublic(
        Answer memory answer,
        uint256 gammaPtr,
        uint256 gamma,
        uint256 runsPtr,
        uint256 runCount,
        uint256 values
    ) private pure returns (uint256 v) {
        uint256 tables = answer.columns;
        uint256 cells = answer.cells;
        bool malformed;
        assembly ("memory-safe") {
            let r := 21888242871839275222246405745257275088548364400416034343698204186575808495617
            // Powers gamma^(2^i), i = 0..7, beyond the free memory pointer.
            let powers := mload(0x40)
            {
                let power := gamma
                for { let i := 0 } lt(i, 0x100) { i := add(i, 0x20) } {
                    mstore(add(powers, i), power)
                    power := mulmod(power, power, r)
                }
            }

            let constants := 0
            let slopes := 0
            {
                let power := 1
                let remaining := 255
                for { let end := add(runsPtr, mul(runCount, 5)) } lt(runsPtr, end) { runsPtr := add(runsPtr, 5) } {
                    let run := shr(216, calldataload(runsPtr))
                    let length := shr(32, run)
                    let value := and(shr(16, run), 0xffff)
                    let slope := and(run, 0xffff)
                    malformed := or(
                        or(malformed, iszero(length)),
                        or(gt(length, remaining), gt(add(value, mul(slope, sub(length, 1))), cells))
                    )
                    remaining := sub(remaining, length)
                    if iszero(remaining) {
                        remaining := 255
                        tables := sub(tables, 1)
                    }

                    let next := power
                    if and(length, 0x01) { next := mulmod(next, mload(powers), r) }
                    if and(length, 0x02) { next := mulmod(next, mload(add(powers, 0x20)), r) }
                    if and(length, 0x04) { next := mulmod(next, mload(add(powers, 0x40)), r) }
                    if and(length, 0x08) { next := mulmod(next, mload(add(powers, 0x60)), r) }
                    if and(length, 0xf0) {
                        if and(length, 0x10) { next := mulmod(next, mload(add(powers, 0x80)), r) }
                        if and(length, 0x20) { next := mulmod(next, mload(add(powers, 0xa0)), r) }
                        if and(length, 0x40) { next := mulmod(next, mload(add(powers, 0xc0)), r) }
                        if and(length, 0x80) { next := mulmod(next, mload(add(powers, 0xe0)), r) }
                    }
                    if value { constants := addmod(constants, mulmod(value, add(power, sub(r, next)), r), r) }
                    if slope {
                        // gamma^(s+1) - L gamma^(s+L) + (L-1) gamma^(s+L+1)
                        let sum :=
                            addmod(
                                mulmod(gamma, add(power, mulmod(sub(length, 1), next, r)), r),
                                sub(r, mulmod(length, next, r)),
                                r
                            )
                        slopes := addmod(slopes, mulmod(slope, sum, r), r)
                    }
                    power := next
                }
                // A table left open, or more or fewer tables than columns.
                malformed := or(malformed, or(tables, iszero(eq(remaining, 255))))
            }
            v := addmod(mulmod(add(1, sub(r, gamma)), constants, r), slopes, r)
            v := mulmod(v, mload(add(powers, 0xc0)), r)

            let sum := 0
            for { let ptr := add(gammaPtr, add(0xe0, mul(values, 0x20))) } gt(ptr, add(gammaPtr, 0xe0)) {} {
                ptr := sub(ptr, 0x20)
                sum := addmod(mulmod(sum, gamma, r), mload(ptr), r)
            }
            v := addmod(v, sum, r)
            v := addmod(mulmod(v, gamma, r), mload(add(gammaPtr, 0x40)), r)
            v := addmod(mulmod(v, gamma, r), mload(add(gammaPtr, 0x20)), r)
        }
        if (malformed) revert MalformedPlan();
    }

    /// @dev Per pass: the sum of all result commitments opens to the published totals and rho. No part of the sum is
    /// opened on its own.
    function _requireOpenings(Answer memory answer, PassResult[] calldata results, uint256[] calldata proofs)
        private
        view
    {
        // H_R, R_0..R_63
        uint256 basisPtr = _loadCode(answer.circuitIds[0], HEAD_WORDS, SHAPE - RESULT_BASIS);
        uint256 sumPtr = Words.allocate(2);
        uint256 openedPtr = Words.allocate(2);
        uint256 itemsPerPass = answer.chunks * answer.parts;
        for (uint256 pass = 0; pass < results.length; pass++) {
            Words.set(sumPtr, 0, 0);
            Words.set(sumPtr, 1, 0);
            for (uint256 item = pass * itemsPerPass; item < (pass + 1) * itemsPerPass; item++) {
                Bn254.addTo(sumPtr, proofs[PROOF_WORDS * item + 10], proofs[PROOF_WORDS * item + 11]);
            }
            PassResult calldata result = results[pass];
            Words.set(openedPtr, 0, 0);
            Words.set(openedPtr, 1, 0);
            Bn254.mulAddTo(openedPtr, Words.get(basisPtr, 0), Words.get(basisPtr, 1), result.rho);
            for (uint256 t = 0; t < result.values.length; t++) {
                uint256 value = result.values[t];
                if (value == 0) continue;
                Bn254.mulAddTo(openedPtr, Words.get(basisPtr, 2 + 2 * t), Words.get(basisPtr, 3 + 2 * t), value);
            }
            if (Words.get(sumPtr, 0) != Words.get(openedPtr, 0) || Words.get(sumPtr, 1) != Words.get(openedPtr, 1)) {
                revert OpeningRejected(pass);
            }
        }
    }

    /// @dev Writes the input of the one pairing product:
    /// per item (-w A, B), then alpha, C', [Cres], and per part X0, Caux, C.
    function _combine(Answer memory answer, uint256[] calldata commitments, uint256[] calldata proofs) private view {
        uint256 sharedPairs = answer.direct ? 2 : 3;
        uint256 pairs = answer.items + sharedPairs + 3 * answer.parts;
        answer.pairsBytes = pairs * PAIR_BYTES;
        answer.pairsPtr = Words.allocate(pairs * 6);
        uint256 sharedPtr = answer.pairsPtr + answer.items * PAIR_BYTES;
        uint256 partsAt = sharedPtr + sharedPairs * PAIR_BYTES;
        // Per part: sums of w, w gamma, w V.
        uint256[] memory sums = new uint256[](3 * answer.parts);
        uint256 weightsPtr = Words.allocate(answer.columns);

        bytes32 seed;
        if (answer.items > 1) {
            Words.set(answer.seedPtr, 0, uint256(Transcript.TAG_BATCH));
            seed = bytes32(Words.hash(answer.seedPtr, 1 + 9 * answer.items));
        }
        for (uint256 item = 0; item < answer.items; item++) {
            uint256 weight =
                item == 0 ? 1 : uint256(keccak256(abi.encode(Transcript.TAG_WEIGHT, seed, item))) & type(uint128).max;
            uint256 part = item % answer.parts;
            sums[3 * part] = addmod(sums[3 * part], weight, Bn254.R);
            sums[3 * part + 1] = addmod(sums[3 * part + 1], mulmod(weight, answer.gammas[item], Bn254.R), Bn254.R);
            sums[3 * part + 2] = addmod(sums[3 * part + 2], mulmod(weight, answer.vs[item], Bn254.R), Bn254.R);

            _addColumns(
                sharedPtr + PAIR_BYTES,
                commitments,
                2 * answer.columns * (item / answer.parts),
                answer.columns,
                answer.zetas[item],
                weight,
                weightsPtr
            );
            uint256 partPtr = partsAt + 3 * PAIR_BYTES * part;
            uint256 from = PROOF_WORDS * item;
            _placeA(answer.pairsPtr + PAIR_BYTES * item, proofs, from, weight);
            Bn254.mulAddTo(partPtr + PAIR_BYTES, proofs[from + 8], proofs[from + 9], weight);
            Bn254.mulAddTo(partPtr + 2 * PAIR_BYTES, proofs[from + 6], proofs[from + 7], weight);
            if (!answer.direct) {
                Bn254.mulAddTo(sharedPtr + 2 * PAIR_BYTES, proofs[from + 10], proofs[from + 11], weight);
            }
        }

        uint256 total;
        for (uint256 part = 0; part < answer.parts; part++) {
            uint256 keyPtr = answer.keyPtr[part] + 32 * PREFIX_WORDS;
            uint256 partPtr = partsAt + 3 * PAIR_BYTES * part;
            total = addmod(total, sums[3 * part], Bn254.R);
            for (uint256 i = 0; i < 3; i++) {
                Bn254.mulAddTo(
                    partPtr,
                    Words.get(keyPtr, IC_ONE + 2 * i),
                    Words.get(keyPtr, IC_ONE + 2 * i + 1),
                    sums[3 * part + i]
                );
            }
            _copyG2(partPtr, keyPtr, GAMMA0);
            _copyG2(partPtr + PAIR_BYTES, keyPtr, GAMMA2);
            _copyG2(partPtr + 2 * PAIR_BYTES, keyPtr, DELTA);
        }
        uint256 familyPtr = answer.keyPtr[0] + 32 * PREFIX_WORDS;
        Bn254.mulAddTo(sharedPtr, Words.get(familyPtr, ALPHA), Words.get(familyPtr, ALPHA + 1), total);
        _copyG2(sharedPtr, familyPtr, BETA);
        _copyG2(sharedPtr + PAIR_BYTES, familyPtr, GAMMA1);
        if (!answer.direct) _copyG2(sharedPtr + 2 * PAIR_BYTES, familyPtr, GAMMA3);
    }

    /// @dev Adds weight * sum_l zeta^l C_l. Equal commitments (padding) are multiplied once, by the sum of their weights.
    function _addColumns(
        uint256 ptr,
        uint256[] calldata commitments,
        uint256 from,
        uint256 columns,
        uint256 zeta,
        uint256 weight,
        uint256 weightsPtr
    ) private view {
        uint256 base;
        assembly ("memory-safe") {
            base := add(commitments.offset, mul(from, 0x20))
            for { let l := 0 } lt(l, columns) { l := add(l, 1) } {
                let x := calldataload(add(base, mul(l, 0x40)))
                let y := calldataload(add(base, add(mul(l, 0x40), 0x20)))
                let first := 0
                for {} lt(first, l) { first := add(first, 1) } {
                    let other := add(base, mul(first, 0x40))
                    if and(eq(x, calldataload(other)), eq(y, calldataload(add(other, 0x20)))) { break }
                }
                mstore(add(weightsPtr, mul(l, 0x20)), 0)
                let target := add(weightsPtr, mul(first, 0x20))
                mstore(
                    target,
                    addmod(
                        mload(target),
                        weight,
                        21888242871839275222246405745257275088548364400416034343698204186575808495617
                    )
                )
                weight := mulmod(
                    weight,
                    zeta,
                    21888242871839275222246405745257275088548364400416034343698204186575808495617
                )
            }
        }
        for (uint256 l = 0; l < columns; l++) {
            uint256 scalar = Words.get(weightsPtr, l);
            if (scalar == 0) continue;
            uint256 x;
            uint256 y;
            assembly ("memory-safe") {
                x := calldataload(add(base, mul(l, 0x40)))
                y := calldataload(add(base, add(mul(l, 0x40), 0x20)))
            }
            if (x | y != 0) Bn254.mulAddTo(ptr, x, y, scalar);
        }
    }

    /// @dev Writes (-weight A, B) at `ptr`.
    function _placeA(uint256 ptr, uint256[] calldata proofs, uint256 from, uint256 weight) private view {
        uint256 x = proofs[from];
        uint256 y = proofs[from + 1];
        if (weight != 1) (x, y) = Bn254.mul(x, y, weight);
        Words.set(ptr, 0, x);
        Words.set(ptr, 1, Bn254.negated(y));
        assembly ("memory-safe") {
            calldatacopy(add(ptr, 0x40), add(proofs.offset, mul(add(from, 2), 0x20)), 0x80)
        }
    }

    // ---------------------------------------------------------------- keys

    /// @dev Copies words of a circuit's code into fresh memory.
    function _loadCode(bytes32 circuitId, uint256 from, uint256 count) private view returns (uint256 ptr) {
        address code = circuitCode[circuitId];
        if (code == address(0)) revert UnknownCircuit(circuitId);
        ptr = Words.allocate(count);
        assembly ("memory-safe") {
            extcodecopy(code, ptr, add(1, mul(from, 0x20)), mul(count, 0x20))
        }
    }

    function _copyG2(uint256 pairPtr, uint256 keyPtr, uint256 index) private pure {
        assembly ("memory-safe") {
            mcopy(add(pairPtr, 0x40), add(keyPtr, mul(index, 0x20)), 0x80)
        }
    }
}
