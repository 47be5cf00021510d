// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnswerVerifier, PassResult} from "../interfaces/IAnswerVerifier.sol";
import {Bn254} from "./Bn254.sol";
import {CircuitKey} from "./CircuitKey.sol";
import {Plan, PlanPass} from "./Plan.sol";
import {TableFold} from "./TableFold.sol";
import {Transcript} from "./Transcript.sol";
import {Words} from "./Words.sol";

/// @notice What is checked; the first part is the caller's to fill in. Names ending in `Ptr` are memory addresses, in
/// `Input` calldata addresses.
struct Answer {
    bytes32 header;
    /// Contract that registered the circuits.
    address circuitStore;
    /// One per part, the second zero when there is one part.
    bytes32[2] circuitIds;
    uint256 parts;
    /// Below 2^32.
    uint256 chunks;
    /// Per pass, per chunk, per column position: x, y.
    uint256 commitmentsPtr;
    uint256 commitmentWords;
    // From here on set by the library.
    uint256 columns;
    uint256 cells;
    uint256 items;
    bool direct;
    /// Per part, HEAD_WORDS: family, packed shape and the first 32 words.
    uint256 keysPtr;
    /// Per item: zeta, gamma, V.
    uint256 challengesPtr;
    /// Preimage of zeta: tag, header, circuit, pass, chunk, commitments.
    uint256 zetaPtr;
    /// Preimage of the batch seed: tag, then nine words per item.
    uint256 seedPtr;
    uint256 proofsInput;
}

/// @title The verification equation: one pairing product for all items of an answer
/// @notice A library, so that the market checks an answer without handing it to another contract.
library AnswerProof {
    uint256 private constant PROOF_WORDS = 12;
    uint256 private constant PAIR_BYTES = 192;
    /// Words of gamma's preimage, and where in it the values start.
    uint256 private constant VALUES_AT = 7;
    uint256 private constant GAMMA_WORDS = VALUES_AT + Plan.MAX_VALUES;
    /// H_R, R_0..R_63.
    uint256 private constant BASIS_WORDS = CircuitKey.SHAPE - CircuitKey.RESULT_BASIS;

    /// @notice Returns when every item proves; reverts with an error of IAnswerVerifier otherwise.
    function check(Answer memory answer, bytes calldata plan, PassResult[] calldata results, uint256[] calldata proofs)
        internal
        view
    {
        (uint256 columns, uint256 passes) = Plan.head(plan);
        // No overflow: passes, columns and parts are below 2^8, chunks below 2^32, and everything else is bounded by
        // calldata of the lengths checked here.
        unchecked {
            answer.columns = columns;
            uint256 rows = passes * answer.chunks;
            uint256 items = rows * answer.parts;
            if (
                items == 0 || results.length != passes || proofs.length != items * PROOF_WORDS
                    || answer.commitmentWords != rows * columns * 2
            ) revert IAnswerVerifier.WrongCount();
            answer.items = items;
            answer.proofsInput = Words.start(proofs);
            _loadKeys(answer);
            answer.direct = answer.chunks * answer.parts == 1;
            answer.challengesPtr = Words.reserve(3 * answer.items);
            answer.seedPtr = Words.reserve(1 + 9 * answer.items);
            answer.zetaPtr = Words.reserve(5 + 2 * columns);
            Words.set(answer.zetaPtr, 0, uint256(Transcript.TAG_ZETA));
            Words.set(answer.zetaPtr, 1, uint256(answer.header));
            uint256 offset = Plan.HEAD_BYTES;
            for (uint256 pass = 0; pass < passes; pass++) {
                PlanPass memory head = Plan.passAt(plan, offset, columns);
                offset = head.end;
                head.runs += Words.start(plan);
                _challengePass(answer, pass, head, results[pass]);
            }
            if (offset != plan.length) revert IAnswerVerifier.MalformedPlan();
        }
        if (!answer.direct) _requireOpenings(answer, results);
        _requireProduct(answer);
    }

    /// @dev Circuits proven together share their family and fit the plan.
    function _loadKeys(Answer memory answer) private view {
        unchecked {
            uint256 parts = answer.parts;
            uint256 keysPtr = Words.reserve(parts * CircuitKey.HEAD_WORDS);
            for (uint256 part = 0; part < parts; part++) {
                bytes32 circuitId = answer.circuitIds[part];
                uint256 keyPtr = keysPtr + part * CircuitKey.HEAD_WORDS * 32;
                CircuitKey.load(keyPtr, answer.circuitStore, circuitId, 0, CircuitKey.HEAD_WORDS);
                uint256 shape = Words.get(keyPtr, 1);
                if (
                    shape >> 16 != answer.columns || Words.get(keyPtr, 0) != Words.get(keysPtr, 0)
                        || shape != Words.get(keysPtr, 1)
                ) revert IAnswerVerifier.CircuitMismatch(circuitId);
                answer.cells = shape & 0xffff;
            }
            answer.keysPtr = keysPtr;
        }
    }

    /// @dev Derives zeta, gamma and V of each item of a pass, and writes the items' share of the batch seed.
    function _challengePass(Answer memory answer, uint256 pass, PlanPass memory head, PassResult calldata result)
        private
        pure
    {
        unchecked {
            uint256 gammaPtr = _gammaPreimage(answer, head, result);
            uint256 columns = answer.columns;
            uint256 zetaPtr = answer.zetaPtr;
            Words.set(zetaPtr, 3, pass);
            uint256 row = pass * answer.chunks;
            uint256 item = row * answer.parts;
            for (uint256 chunk = 0; chunk < answer.chunks; chunk++) {
                Words.set(zetaPtr, 4, chunk);
                Words.copy(zetaPtr + 5 * 32, answer.commitmentsPtr + 64 * columns * (row + chunk), 2 * columns);
                for (uint256 part = 0; part < answer.parts; part++) {
                    Words.set(zetaPtr, 2, uint256(answer.circuitIds[part]));
                    uint256 zeta = Words.hash(zetaPtr, 5 + 2 * columns) % Bn254.R;
                    _challengeItem(answer, item++, zeta, gammaPtr, head);
                }
            }
        }
    }

    /// @dev Allocates tag, zeta, flags, Caux, Cres, y_0..y_63 and fills in what the items share: tag, flags, and the
    /// values, which are the published ones when direct and zeros otherwise.
    function _gammaPreimage(Answer memory answer, PlanPass memory head, PassResult calldata result)
        private
        pure
        returns (uint256 gammaPtr)
    {
        unchecked {
            uint256 count = head.values;
            if (count > (head.image == Plan.MOMENTS ? 3 * (answer.cells >> 8) : answer.cells)) {
                revert IAnswerVerifier.MalformedPlan();
            }
            uint256[] calldata values = result.values;
            if (values.length != count) revert IAnswerVerifier.WrongCount();
            uint256 mask = result.mask;
            uint256 rho = result.rho;
            if (rho >= Bn254.R) revert IAnswerVerifier.NonCanonicalScalar();
            gammaPtr = Words.allocate(GAMMA_WORDS);
            Words.set(gammaPtr, 0, uint256(Transcript.TAG_GAMMA));
            Words.set(gammaPtr, 2, (answer.direct ? 1 : 0) | head.image << 1 | mask << 2);
            uint256 valuesInput = Words.start(values);
            for (uint256 t = 0; t < count; t++) {
                uint256 value = Words.input(valuesInput, t);
                if (value >= Bn254.R) revert IAnswerVerifier.NonCanonicalScalar();
                if (value != 0 && mask >> t & 1 == 1) revert IAnswerVerifier.UnexpectedValue();
            }
            if (answer.direct) {
                if (rho != 0) revert IAnswerVerifier.UnexpectedValue();
                Words.load(gammaPtr + VALUES_AT * 32, valuesInput, count);
            }
        }
    }

    /// @dev V = zeta + gamma (flags + gamma (sum y_t gamma^t + gamma^64 D)).
    function _challengeItem(Answer memory answer, uint256 item, uint256 zeta, uint256 gammaPtr, PlanPass memory head)
        private
        pure
    {
        unchecked {
            uint256 seedPtr = answer.seedPtr + 32 * (1 + 9 * item);
            _placeProof(answer.proofsInput + 32 * PROOF_WORDS * item, seedPtr + 32, gammaPtr, answer.direct);
            Words.set(gammaPtr, 1, zeta);
            uint256 gamma = Words.hash(gammaPtr, GAMMA_WORDS) % Bn254.R;
            Words.set(seedPtr, 0, gamma);
            uint256 powersPtr = TableFold.powers(gamma);
            (uint256 v, bool wellFormed) =
                TableFold.fold(gamma, powersPtr, head.runs, head.runCount, answer.columns, answer.cells);
            if (!wellFormed) revert IAnswerVerifier.MalformedPlan();
            v = mulmod(v, TableFold.power64(powersPtr), Bn254.R);
            v = addmod(v, TableFold.polynomial(gamma, gammaPtr + VALUES_AT * 32, head.values), Bn254.R);
            v = addmod(mulmod(v, gamma, Bn254.R), Words.get(gammaPtr, 2), Bn254.R);
            v = addmod(mulmod(v, gamma, Bn254.R), zeta, Bn254.R);
            uint256 challengePtr = answer.challengesPtr + 96 * item;
            Words.set(challengePtr, 0, zeta);
            Words.set(challengePtr, 1, gamma);
            Words.set(challengePtr, 2, v);
        }
    }

    /// @dev Refuses an item whose G1 points are off the curve (B is left to the pairing), copies A, B, C into the batch
    /// seed's preimage and Caux, Cres into gamma's.
    function _placeProof(uint256 proofInput, uint256 seedPtr, uint256 gammaPtr, bool direct) private pure {
        bool valid;
        bool absent;
        assembly ("memory-safe") {
            function onCurve(input) -> ok {
                let p := 21888242871839275222246405745257275088696311157297823662689037894645226208583
                let x := calldataload(input)
                let y := calldataload(add(input, 0x20))
                ok := and(and(lt(x, p), lt(y, p)), eq(mulmod(y, y, p), addmod(mulmod(x, mulmod(x, x, p), p), 3, p)))
            }
            calldatacopy(seedPtr, proofInput, 0x100)
            calldatacopy(add(gammaPtr, 0x60), add(proofInput, 0x100), 0x80)
            absent := iszero(or(calldataload(add(proofInput, 0x140)), calldataload(add(proofInput, 0x160))))
            valid := and(
                and(onCurve(proofInput), onCurve(add(proofInput, 0xc0))),
                and(onCurve(add(proofInput, 0x100)), or(absent, onCurve(add(proofInput, 0x140))))
            )
        }
        if (!valid) revert IAnswerVerifier.InvalidPoint();
        if (direct && !absent) revert IAnswerVerifier.UnexpectedValue();
    }

    /// @dev Per pass: the sum of all result commitments opens to the published totals and rho. No part of the sum is
    /// opened on its own.
    function _requireOpenings(Answer memory answer, PassResult[] calldata results) private view {
        unchecked {
            // H_R, R_0..R_63
            uint256 basisPtr = Words.reserve(BASIS_WORDS);
            CircuitKey.load(basisPtr, answer.circuitStore, answer.circuitIds[0], CircuitKey.HEAD_WORDS, BASIS_WORDS);
            uint256 sumPtr = Words.allocate(4);
            uint256 itemsPerPass = answer.chunks * answer.parts;
            uint256 resInput = answer.proofsInput + 10 * 32;
            for (uint256 pass = 0; pass < results.length; pass++) {
                Words.set(sumPtr, 0, 0);
                Words.set(sumPtr, 1, 0);
                for (uint256 i = 0; i < itemsPerPass; i++) {
                    Bn254.addTo(sumPtr, Words.input(resInput, 0), Words.input(resInput, 1));
                    resInput += 32 * PROOF_WORDS;
                }
                uint256 openedPtr = sumPtr + 64;
                Bn254.mulInto(openedPtr, Words.get(basisPtr, 0), Words.get(basisPtr, 1), results[pass].rho);
                uint256[] calldata values = results[pass].values;
                for (uint256 t = 0; t < values.length; t++) {
                    uint256 basePtr = basisPtr + 64 * (t + 1);
                    if (values[t] != 0) {
                        Bn254.mulAddTo(openedPtr, Words.get(basePtr, 0), Words.get(basePtr, 1), values[t]);
                    }
                }
                if (Words.get(sumPtr, 0) != Words.get(openedPtr, 0) || Words.get(sumPtr, 1) != Words.get(openedPtr, 1)) revert IAnswerVerifier.OpeningRejected(pass);
            }
        }
    }

    /// @dev The one pairing product. Pairs: per item (-w A, B); alpha, C', [Cres]; per part X0, Caux, C.
    function _requireProduct(Answer memory answer) private view {
        unchecked {
            uint256 sharedPairs = answer.direct ? 2 : 3;
            uint256 pairWords = 6 * (answer.items + sharedPairs + 3 * answer.parts);
            uint256 pairsPtr = Words.allocate(pairWords);
            uint256 sharedPtr = pairsPtr + answer.items * PAIR_BYTES;
            uint256 partsPtr = sharedPtr + sharedPairs * PAIR_BYTES;
            // Per part: sums of w, w gamma, w V.
            uint256 sumsPtr = Words.allocate(3 * answer.parts);
            _addItems(answer, pairsPtr, sharedPtr, partsPtr, sumsPtr);

            uint256 keyPtr = answer.keysPtr + 32 * CircuitKey.PREFIX_WORDS;
            uint256 total = Words.get(sumsPtr, 0);
            for (uint256 part = 1; part < answer.parts; part++) {
                total = addmod(total, Words.get(sumsPtr, 3 * part), Bn254.R);
            }
            Bn254.mulInto(
                sharedPtr, Words.get(keyPtr, CircuitKey.ALPHA), Words.get(keyPtr, CircuitKey.ALPHA + 1), total
            );
            Words.copy(sharedPtr + 64, keyPtr + 32 * CircuitKey.BETA, 4);
            Words.copy(sharedPtr + PAIR_BYTES + 64, keyPtr + 32 * CircuitKey.GAMMA1, 4);
            if (!answer.direct) Words.copy(sharedPtr + 2 * PAIR_BYTES + 64, keyPtr + 32 * CircuitKey.GAMMA3, 4);
            for (uint256 part = 0; part < answer.parts; part++) {
                for (uint256 i = 0; i < 3; i++) {
                    uint256 icPtr = keyPtr + 32 * (CircuitKey.IC_ONE + 2 * i);
                    uint256 scalar = Words.get(sumsPtr, i);
                    if (i == 0) Bn254.mulInto(partsPtr, Words.get(icPtr, 0), Words.get(icPtr, 1), scalar);
                    else Bn254.mulAddTo(partsPtr, Words.get(icPtr, 0), Words.get(icPtr, 1), scalar);
                }
                Words.copy(partsPtr + 64, keyPtr + 32 * CircuitKey.GAMMA0, 4);
                Words.copy(partsPtr + PAIR_BYTES + 64, keyPtr + 32 * CircuitKey.GAMMA2, 4);
                Words.copy(partsPtr + 2 * PAIR_BYTES + 64, keyPtr + 32 * CircuitKey.DELTA, 4);
                partsPtr += 3 * PAIR_BYTES;
                sumsPtr += 3 * 32;
                keyPtr += 32 * CircuitKey.HEAD_WORDS;
            }

            bool ok;
            uint256 product;
            assembly ("memory-safe") {
                ok := staticcall(gas(), 8, pairsPtr, shl(5, pairWords), 0, 0x20)
                product := mload(0)
            }
            if (!ok) revert IAnswerVerifier.InvalidPoint();
            if (product != 1) revert IAnswerVerifier.ProofRejected();
        }
    }

    /// @dev Weighs every item and adds it to the pairs that items share. The first weight is one.
    function _addItems(Answer memory answer, uint256 pairsPtr, uint256 sharedPtr, uint256 partsPtr, uint256 sumsPtr)
        private
        view
    {
        unchecked {
            uint256 parts = answer.parts;
            uint256 weightsPtr = Words.allocate(answer.columns);
            // tag, seed, index
            uint256 weightPtr = Words.allocate(3);
            if (answer.items > 1) {
                Words.set(answer.seedPtr, 0, uint256(Transcript.TAG_BATCH));
                Words.set(weightPtr, 0, uint256(Transcript.TAG_WEIGHT));
                Words.set(weightPtr, 1, Words.hash(answer.seedPtr, 1 + 9 * answer.items));
            }
            uint256 proofInput = answer.proofsInput;
            uint256 challengePtr = answer.challengesPtr;
            for (uint256 item = 0; item < answer.items; item++) {
                uint256 weight = 1;
                if (item != 0) {
                    Words.set(weightPtr, 2, item);
                    weight = Words.hash(weightPtr, 3) & type(uint128).max;
                }
                _addColumns(answer, sharedPtr + PAIR_BYTES, item, Words.get(challengePtr, 0), weight, weightsPtr);
                uint256 part = item % parts;
                _addScalars(sumsPtr + 96 * part, challengePtr, weight);
                _placeA(pairsPtr, proofInput, weight);
                uint256 partPtr = partsPtr + 3 * PAIR_BYTES * part;
                _addPoint(partPtr + PAIR_BYTES, proofInput + 8 * 32, weight, item < parts);
                _addPoint(partPtr + 2 * PAIR_BYTES, proofInput + 6 * 32, weight, item < parts);
                if (!answer.direct) _addPoint(sharedPtr + 2 * PAIR_BYTES, proofInput + 10 * 32, weight, item == 0);
                pairsPtr += PAIR_BYTES;
                proofInput += 32 * PROOF_WORDS;
                challengePtr += 96;
            }
        }
    }

    /// @dev Adds w, w gamma and w V to a part's sums.
    function _addScalars(uint256 sumsPtr, uint256 challengePtr, uint256 weight) private pure {
        Words.set(sumsPtr, 0, addmod(Words.get(sumsPtr, 0), weight, Bn254.R));
        Words.set(
            sumsPtr, 1, addmod(Words.get(sumsPtr, 1), mulmod(weight, Words.get(challengePtr, 1), Bn254.R), Bn254.R)
        );
        Words.set(
            sumsPtr, 2, addmod(Words.get(sumsPtr, 2), mulmod(weight, Words.get(challengePtr, 2), Bn254.R), Bn254.R)
        );
    }

    /// @dev Adds weight * P, P in calldata, to the point at `ptr`, or writes it there when it is the first.
    function _addPoint(uint256 ptr, uint256 pointInput, uint256 weight, bool first) private view {
        uint256 x = Words.input(pointInput, 0);
        uint256 y = Words.input(pointInput, 1);
        if (first) Bn254.mulInto(ptr, x, y, weight);
        else Bn254.mulAddTo(ptr, x, y, weight);
    }

    /// @dev Adds weight * sum_l zeta^l C_l. Equal commitments (padding) are multiplied once, by the sum of their weights.
    function _addColumns(
        Answer memory answer,
        uint256 ptr,
        uint256 item,
        uint256 zeta,
        uint256 weight,
        uint256 weightsPtr
    ) private view {
        unchecked {
            uint256 columns = answer.columns;
            uint256 base = answer.commitmentsPtr + 64 * columns * (item / answer.parts);
            for (uint256 l = 0; l < columns; l++) {
                uint256 twin = _firstEqual(base, l);
                Words.set(weightsPtr, l, 0);
                Words.set(weightsPtr, twin, addmod(Words.get(weightsPtr, twin), weight, Bn254.R));
                weight = mulmod(weight, zeta, Bn254.R);
            }
            for (uint256 l = 0; l < columns; l++) {
                uint256 scalar = Words.get(weightsPtr, l);
                if (scalar == 0) continue;
                uint256 x = Words.get(base, 2 * l);
                uint256 y = Words.get(base, 2 * l + 1);
                if (item + l == 0) Bn254.mulInto(ptr, x, y, scalar);
                else Bn254.mulAddTo(ptr, x, y, scalar);
            }
        }
    }

    /// @dev Position of the first commitment that equals the one at position `l`.
    function _firstEqual(uint256 base, uint256 l) private pure returns (uint256 first) {
        assembly ("memory-safe") {
            let own := add(base, shl(6, l))
            let x := mload(own)
            let y := mload(add(own, 0x20))
            for { let other := base } lt(other, own) { other := add(other, 0x40) } {
                if eq(x, mload(other)) {
                    if eq(y, mload(add(other, 0x20))) { break }
                }
                first := add(first, 1)
            }
        }
    }

    /// @dev Writes (-weight A, B) at `ptr`.
    function _placeA(uint256 ptr, uint256 proofInput, uint256 weight) private view {
        unchecked {
            Bn254.mulInto(ptr, Words.input(proofInput, 0), Words.input(proofInput, 1), weight);
            Words.set(ptr, 1, Bn254.negated(Words.get(ptr, 1)));
            Words.load(ptr + 64, proofInput + 64, 4);
        }
    }
}
