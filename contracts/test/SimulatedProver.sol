// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AnswerContext, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {Bn254} from "../src/proof/Bn254.sol";
import {TestKey} from "./fixtures/TestKey.sol";

/// @title Simulates proofs with the public trapdoor of the test key
/// @notice A simulated proof satisfies the verification equation for whatever it is asked to say. The transcript and the
/// table fold are written here a second time, naively, from the protocol's text.
library SimulatedProver {
    uint256 internal constant R = Bn254.R;
    uint256 internal constant SLOTS = 8;
    uint256 internal constant DEPTH = 3;
    uint256 internal constant W4 = 1024;
    uint256 internal constant W8 = 256;

    enum Circuit {
        K4,
        K8Low,
        K8High
    }

    /// @notice Discrete logs of what differs between the circuits of the family.
    struct Trapdoor {
        uint256 gamma0;
        uint256 gamma2;
        uint256 delta;
        uint256 icOne;
        uint256 icGamma;
        uint256 icV;
    }

    // ---------------------------------------------------------------- key

    function trapdoor(Circuit circuit) internal pure returns (Trapdoor memory) {
        if (circuit == Circuit.K4) {
            return Trapdoor(
                TestKey.GAMMA0_K4,
                TestKey.GAMMA2_K4,
                TestKey.DELTA_K4,
                TestKey.IC_ONE_K4,
                TestKey.IC_GAMMA_K4,
                TestKey.IC_V_K4
            );
        }
        if (circuit == Circuit.K8Low) {
            return Trapdoor(
                TestKey.GAMMA0_K8_LOW,
                TestKey.GAMMA2_K8_LOW,
                TestKey.DELTA_K8_LOW,
                TestKey.IC_ONE_K8_LOW,
                TestKey.IC_GAMMA_K8_LOW,
                TestKey.IC_V_K8_LOW
            );
        }
        return Trapdoor(
            TestKey.GAMMA0_K8_HIGH,
            TestKey.GAMMA2_K8_HIGH,
            TestKey.DELTA_K8_HIGH,
            TestKey.IC_ONE_K8_HIGH,
            TestKey.IC_GAMMA_K8_HIGH,
            TestKey.IC_V_K8_HIGH
        );
    }

    /// @notice The 170 words that the circuit is registered with.
    function circuitWords(Circuit circuit) public view returns (bytes memory words) {
        Trapdoor memory t = trapdoor(circuit);
        words = bytes.concat(
            g1(TestKey.ALPHA), g2(TestKey.BETA), g2(TestKey.GAMMA1), g2(TestKey.GAMMA3), g2(t.gamma0), g2(t.gamma2)
        );
        words = bytes.concat(words, g2(t.delta), g1(t.icOne), g1(t.icGamma), g1(t.icV), g1(resultBlinding()));
        for (uint256 i = 0; i < 64; i++) {
            words = bytes.concat(words, g1(resultBase(i)));
        }
        uint256 lo = circuit == Circuit.K8High ? SLOTS / 2 : 0;
        uint256 hi = circuit == Circuit.K8Low ? SLOTS / 2 : SLOTS;
        (uint256 columns, uint256 cells) = circuit == Circuit.K4 ? (uint256(4), W4) : (uint256(8), W8);
        words = bytes.concat(words, abi.encode(SLOTS, lo, hi, columns, cells, basisRoot()), g1(blindingBase()));
    }

    function scalar(string memory name, uint256 index) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(name, index))) % R;
    }

    function resultBase(uint256 index) internal pure returns (uint256) {
        return scalar("result base", index);
    }

    function resultBlinding() internal pure returns (uint256) {
        return scalar("result blinding", 0);
    }

    function slotBase(uint256 slot) internal pure returns (uint256) {
        return scalar("slot base", slot);
    }

    function blindingBase() internal pure returns (uint256) {
        return scalar("blinding base", 0);
    }

    function g1(uint256 exponent) internal view returns (bytes memory) {
        (uint256 x, uint256 y) = Bn254.mul(1, 2, exponent);
        return abi.encode(x, y);
    }

    function g2(uint256 exponent) internal pure returns (bytes memory) {
        return abi.encode(TestKey.g2(exponent));
    }

    /// @notice Levels of the slot base tree, leaves first.
    function tree() internal view returns (bytes32[][] memory levels) {
        levels = new bytes32[][](DEPTH + 1);
        levels[0] = new bytes32[](SLOTS);
        for (uint256 slot = 0; slot < SLOTS; slot++) {
            levels[0][slot] = keccak256(g1(slotBase(slot)));
        }
        for (uint256 level = 1; level <= DEPTH; level++) {
            levels[level] = new bytes32[](SLOTS >> level);
            for (uint256 i = 0; i < levels[level].length; i++) {
                levels[level][i] = keccak256(abi.encode(levels[level - 1][2 * i], levels[level - 1][2 * i + 1]));
            }
        }
    }

    function basisRoot() public view returns (bytes32) {
        return tree()[DEPTH][0];
    }

    function basisPath(uint256 slot) public view returns (bytes32[] memory path) {
        bytes32[][] memory levels = tree();
        path = new bytes32[](DEPTH);
        for (uint256 level = 0; level < DEPTH; level++) {
            path[level] = levels[level][(slot >> level) ^ 1];
        }
    }

    // ---------------------------------------------------------------- plan

    struct DecodedPass {
        uint256 image;
        uint256 values;
        /// e_k for k = 255 * table + code - 1.
        uint256[] entries;
    }

    function u16(bytes memory data, uint256 offset) internal pure returns (uint256) {
        return uint256(uint8(data[offset])) << 8 | uint8(data[offset + 1]);
    }

    /// @notice Expands every run into its entries.
    function decode(bytes memory plan) internal pure returns (DecodedPass[] memory passes) {
        uint256 columns = uint8(plan[1]);
        passes = new DecodedPass[](uint8(plan[2]));
        uint256 offset = 3;
        for (uint256 p = 0; p < passes.length; p++) {
            passes[p].image = uint8(plan[offset]);
            passes[p].values = uint8(plan[offset + 1]);
            passes[p].entries = new uint256[](255 * columns);
            offset += 10 + 2 * columns;
            uint256 runs = u16(plan, offset);
            offset += 2;
            uint256 k;
            for (; runs > 0; runs--) {
                uint256 length = uint8(plan[offset]);
                for (uint256 t = 0; t < length; t++) {
                    passes[p].entries[k++] = u16(plan, offset + 1) + u16(plan, offset + 3) * t;
                }
                offset += 5;
            }
        }
    }

    // ---------------------------------------------------------------- proofs

    struct Item {
        Circuit circuit;
        uint256 zeta;
        uint256 gamma;
        uint256 v;
        uint256 a;
        uint256 b;
        uint256 aux;
        uint256 res;
        uint256 folded;
    }

    /// @notice Proof words for every item of an answer.
    function prove(
        AnswerContext memory context,
        bytes memory plan,
        PassResult[] memory results,
        uint256[] memory commitments
    ) public view returns (uint256[] memory proofs) {
        DecodedPass[] memory passes = decode(plan);
        uint256 columns = uint8(plan[1]);
        uint256 parts = context.circuitIds.length;
        proofs = new uint256[](12 * passes.length * context.chunks * parts);
        uint256 next;
        for (uint256 pass = 0; pass < passes.length; pass++) {
            // What the last item's result commitment must hold, so that the sum opens.
            uint256 rest = mulmod(results[pass].rho, resultBlinding(), R);
            for (uint256 t = 0; t < results[pass].values.length; t++) {
                rest = addmod(rest, mulmod(results[pass].values[t], resultBase(t), R), R);
            }
            for (uint256 chunk = 0; chunk < context.chunks; chunk++) {
                for (uint256 part = 0; part < parts; part++) {
                    Item memory item;
                    item.circuit = columns == 4 ? Circuit.K4 : (part == 0 ? Circuit.K8Low : Circuit.K8High);
                    bool last = chunk == context.chunks - 1 && part == parts - 1;
                    item.res = context.chunks * parts == 1 ? 0 : (last ? rest : scalar("res", next));
                    rest = addmod(rest, R - item.res, R);
                    uint256[] memory own = new uint256[](2 * columns);
                    for (uint256 i = 0; i < own.length; i++) {
                        own[i] = commitments[2 * columns * (pass * context.chunks + chunk) + i];
                    }
                    item.zeta = zetaOf(context, part, pass, chunk, own);
                    proveItem(item, context, next, passes[pass], results[pass], own, proofs);
                    next++;
                }
            }
        }
    }

    function headerOf(AnswerContext memory context) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("salus.v1.header"),
                block.chainid,
                uint256(uint160(context.market)),
                context.datasetId,
                context.snapshotId,
                context.queryId
            )
        );
    }

    function zetaOf(AnswerContext memory context, uint256 part, uint256 pass, uint256 chunk, uint256[] memory own)
        internal
        view
        returns (uint256)
    {
        return uint256(
            keccak256(
            abi.encodePacked(keccak256("salus.v1.zeta"), headerOf(context), context.circuitIds[part], pass, chunk, own)
        )
        ) % R;
    }

    /// @notice D from its definition: (1 - gamma)^2 sum_k e_k gamma^k.
    function foldTables(uint256[] memory entries, uint256 gamma) internal pure returns (uint256 folded) {
        uint256 power = 1;
        for (uint256 k = 0; k < entries.length; k++) {
            folded = addmod(folded, mulmod(entries[k], power, R), R);
            power = mulmod(power, gamma, R);
        }
        uint256 oneMinus = addmod(1, R - gamma, R);
        folded = mulmod(folded, mulmod(oneMinus, oneMinus, R), R);
    }

    function proveItem(
        Item memory item,
        AnswerContext memory context,
        uint256 index,
        DecodedPass memory pass,
        PassResult memory result,
        uint256[] memory own,
        uint256[] memory proofs
    ) internal view {
        bool direct = context.chunks * context.circuitIds.length == 1;
        item.a = scalar("A", index);
        uint256[4] memory bs = [TestKey.B0, TestKey.B1, TestKey.B2, TestKey.B3];
        item.b = bs[index % 4];
        item.aux = scalar("aux", index);

        uint256[] memory y = new uint256[](64);
        if (direct) {
            for (uint256 t = 0; t < result.values.length; t++) {
                y[t] = result.values[t];
            }
        }
        uint256 flags = (direct ? 1 : 0) + 2 * pass.image + 4 * uint256(result.mask);
        bytes memory auxAndRes = bytes.concat(g1(item.aux), item.res == 0 ? abi.encode(0, 0) : g1(item.res));
        item.gamma =
            uint256(keccak256(abi.encodePacked(keccak256("salus.v1.gamma"), item.zeta, flags, auxAndRes, y))) % R;
        item.folded = foldTables(pass.entries, item.gamma);
        uint256 power = 1;
        for (uint256 t = 0; t < 64; t++) {
            item.v = addmod(item.v, mulmod(y[t], power, R), R);
            power = mulmod(power, item.gamma, R);
        }
        item.v = addmod(item.v, mulmod(power, item.folded, R), R);
        item.v = addmod(flags, mulmod(item.gamma, item.v, R), R);
        item.v = addmod(item.zeta, mulmod(item.gamma, item.v, R), R);

        store(proofs, 12 * index, g1(item.a));
        store(proofs, 12 * index + 2, g2(item.b));
        store(proofs, 12 * index + 6, closing(item, own));
        store(proofs, 12 * index + 8, auxAndRes);
    }

    /// @notice C = (ab - alpha beta - gamma0 X0 - gamma1 C' - gamma2 Caux - gamma3 Cres) / delta.
    function closing(Item memory item, uint256[] memory own) internal view returns (bytes memory) {
        Trapdoor memory t = trapdoor(item.circuit);
        uint256 known = mulmod(item.a, item.b, R);
        known = addmod(known, R - mulmod(TestKey.ALPHA, TestKey.BETA, R), R);
        uint256 x0 = addmod(t.icOne, mulmod(item.gamma, t.icGamma, R), R);
        x0 = addmod(x0, mulmod(item.v, t.icV, R), R);
        known = addmod(known, R - mulmod(t.gamma0, x0, R), R);
        known = addmod(known, R - mulmod(t.gamma2, item.aux, R), R);
        known = addmod(known, R - mulmod(TestKey.GAMMA3, item.res, R), R);
        uint256 overDelta = inverse(t.delta);
        (uint256 x, uint256 y) = Bn254.mul(1, 2, mulmod(known, overDelta, R));
        uint256 weight = mulmod(R - TestKey.GAMMA1, overDelta, R);
        for (uint256 l = 0; l < own.length; l += 2) {
            (uint256 cx, uint256 cy) = Bn254.mul(own[l], own[l + 1], weight);
            (x, y) = Bn254.add(x, y, cx, cy);
            weight = mulmod(weight, item.zeta, R);
        }
        return abi.encode(x, y);
    }

    function store(uint256[] memory words, uint256 index, bytes memory data) internal pure {
        for (uint256 i = 0; i < data.length / 32; i++) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(data, mul(add(i, 1), 0x20)))
            }
            words[index + i] = word;
        }
    }

    function inverse(uint256 value) internal view returns (uint256 result) {
        (bool ok, bytes memory data) =
            address(5).staticcall(abi.encode(uint256(32), uint256(32), uint256(32), value, R - 2, R));
        require(ok, "modexp");
        return abi.decode(data, (uint256));
    }
}
