// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AnswerVerifier} from "../src/AnswerVerifier.sol";
import {AnswerContext, CircuitShape, IAnswerVerifier, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {Bn254} from "../src/proof/Bn254.sol";
import {SimulatedProver} from "./SimulatedProver.sol";
import {World} from "./World.sol";

contract AnswerVerifierTest is World {
    struct Case {
        AnswerContext context;
        bytes plan;
        PassResult[] list;
        uint256[] commitments;
        uint256[] proofs;
    }

    function setUp() external {
        deploy();
        join(0, 8);
        takeSnapshot();
        join(1, 2);
        takeSnapshot();
    }

    // ---------------------------------------------------------------- cases

    function _case(uint256 snapshotId, bytes memory plan, PassResult[] memory list)
        private
        view
        returns (Case memory c)
    {
        (c.context, c.commitments) = contextOf(bytes32("query"), snapshotId, plan);
        c.plan = plan;
        c.list = list;
        c.proofs = SimulatedProver.prove(c.context, plan, list, c.commitments);
    }

    /// @notice One chunk, one part: values are inside the proof.
    function _direct() private view returns (Case memory) {
        return _case(1, plan4(cellsPass(), 1), results(result(0, 0, 12, 7, 31)));
    }

    /// @notice Two chunks: only the total is opened.
    function _hidden() private view returns (Case memory) {
        return _case(2, plan4(cellsPass(), 1), results(result(0, 987654321, 12, 7, 31)));
    }

    function _verify(Case memory c) private view {
        // A precompile that refuses its input takes all gas that it was given.
        verifier.verify{gas: 5_000_000}(c.context, c.plan, c.list, c.commitments, c.proofs);
    }

    function _rejects(Case memory c, bytes4 reason) private {
        vm.expectPartialRevert(reason);
        _verify(c);
    }

    // ---------------------------------------------------------------- accepts

    function test_accepts_a_direct_answer() external view {
        _verify(_direct());
    }

    function test_accepts_a_total_over_two_chunks() external view {
        _verify(_hidden());
    }

    function test_accepts_two_direct_passes_in_one_batch() external view {
        bytes memory plan = plan4(bytes.concat(cellsPass(), momentsPass()), 2);
        _verify(_case(1, plan, results(result(0, 0, 12, 7, 31), result(4, 0, 20, 900, 0))));
    }

    function test_accepts_two_passes_over_two_chunks() external view {
        bytes memory plan = plan4(bytes.concat(cellsPass(), momentsPass()), 2);
        _verify(_case(2, plan, results(result(0, 5, 12, 7, 31), result(4, 6, 20, 900, 0))));
    }

    function test_accepts_two_parts_of_eight_columns() external view {
        PassResult memory r;
        r.rho = 77;
        r.values = new uint256[](2);
        (r.values[0], r.values[1]) = (9, 8);
        _verify(_case(2, plan8(), results(r)));
    }

    function testFuzz_accepts_what_was_proven(uint256 a, uint256 b, uint64 mask, uint256 rho, bool hidden)
        external
        view
    {
        PassResult memory r = result(mask, hidden ? rho % Bn254.R : 0, a % Bn254.R, b % Bn254.R, 5);
        for (uint256 t = 0; t < 3; t++) {
            if (mask >> t & 1 == 1) r.values[t] = 0;
        }
        _verify(_case(hidden ? 2 : 1, plan4(cellsPass(), 1), results(r)));
    }

    /// @notice The closed form over runs equals the sum over codes, for tables of any shape.
    function testFuzz_folds_any_tables(uint256 seed) external view {
        bytes memory runs;
        uint256 count;
        for (uint256 table = 0; table < 4; table++) {
            for (uint256 left = 255; left > 0;) {
                seed = uint256(keccak256(abi.encode(seed)));
                uint256 length = 1 + (seed >> 8) % left;
                if (seed % 4 == 0) length = left;
                uint256 slope = length == 1 ? 0 : (seed >> 32) % 5;
                uint256 value = (seed >> 64) % (1025 - slope * (length - 1) % 1025);
                if (value + slope * (length - 1) > 1024) (value, slope) = (1024, 0);
                runs = bytes.concat(runs, run(length, value, slope));
                left -= length;
                count++;
            }
        }
        bytes memory head =
            abi.encodePacked(uint8(1), uint8(3), uint64(0), uint16(1), uint16(0), uint16(2), uint16(3), uint16(count));
        _verify(_case(1, plan4(bytes.concat(head, runs), 1), results(result(0, 0, 1, 2, 3))));
    }

    // ---------------------------------------------------------------- wrong answers

    function testFuzz_rejects_a_direct_answer_off_by_one(uint256 t, bool up) external {
        Case memory c = _direct();
        t %= 3;
        c.list[0].values[t] = up ? c.list[0].values[t] + 1 : c.list[0].values[t] - 1;
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function testFuzz_rejects_a_total_off_by_one(uint256 t, bool up) external {
        Case memory c = _hidden();
        t %= 3;
        c.list[0].values[t] = up ? c.list[0].values[t] + 1 : c.list[0].values[t] - 1;
        _rejects(c, IAnswerVerifier.OpeningRejected.selector);
    }

    function test_rejects_another_blinding_of_the_total() external {
        Case memory c = _hidden();
        c.list[0].rho += 1;
        _rejects(c, IAnswerVerifier.OpeningRejected.selector);
    }

    function test_rejects_another_mask() external {
        Case memory c = _direct();
        c.list[0].mask = 8;
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_a_masked_value_that_is_shown() external {
        Case memory c = _direct();
        c.list[0].mask = 1;
        _rejects(c, IAnswerVerifier.UnexpectedValue.selector);
    }

    // ---------------------------------------------------------------- replay

    function test_rejects_a_proof_for_another_query() external {
        Case memory c = _direct();
        c.context.queryId = bytes32("other");
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_a_proof_for_another_dataset() external {
        Case memory c = _direct();
        c.context.datasetId += 1;
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_a_proof_for_another_snapshot() external {
        Case memory c = _direct();
        c.context.snapshotId += 1;
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_a_proof_for_another_market() external {
        Case memory c = _direct();
        c.context.market = address(this);
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_a_proof_for_another_chain() external {
        Case memory c = _direct();
        vm.chainId(1);
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_proofs_of_chunks_in_another_order() external {
        Case memory c = _hidden();
        for (uint256 i = 0; i < 12; i++) {
            (c.proofs[i], c.proofs[12 + i]) = (c.proofs[12 + i], c.proofs[i]);
        }
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_one_chunks_proof_used_for_both() external {
        Case memory c = _hidden();
        for (uint256 i = 0; i < 12; i++) {
            c.proofs[12 + i] = c.proofs[i];
        }
        _rejects(c, IAnswerVerifier.OpeningRejected.selector);
    }

    /// @notice The total still opens; only the batch can notice.
    function test_rejects_a_chunk_whose_result_was_shifted_to_another() external {
        Case memory c = _hidden();
        (uint256 x, uint256 y) = Bn254.add(c.proofs[10], c.proofs[11], 1, 2);
        (c.proofs[10], c.proofs[11]) = (x, y);
        (x, y) = Bn254.add(c.proofs[22], c.proofs[23], 1, Bn254.P - 2);
        (c.proofs[22], c.proofs[23]) = (x, y);
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    // ---------------------------------------------------------------- statement

    function test_rejects_an_altered_table() external {
        Case memory c = _direct();
        // Value of the second run: 0 becomes 1.
        c.plan[3 + 20 + 5 + 2] = 0x01;
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_swapped_columns() external {
        Case memory c = _direct();
        (c.commitments[0], c.commitments[2]) = (c.commitments[2], c.commitments[0]);
        (c.commitments[1], c.commitments[3]) = (c.commitments[3], c.commitments[1]);
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_another_column_commitment() external {
        Case memory c = _direct();
        (c.commitments[2], c.commitments[3]) = Bn254.add(c.commitments[2], c.commitments[3], 1, 2);
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    function test_rejects_another_image() external {
        Case memory c = _direct();
        c.plan[3] = 0x00;
        _rejects(c, IAnswerVerifier.ProofRejected.selector);
    }

    // ---------------------------------------------------------------- encodings

    function testFuzz_rejects_any_changed_proof_word(uint256 index, uint256 change, bool hidden) external {
        Case memory c = hidden ? _hidden() : _direct();
        index %= c.proofs.length;
        unchecked {
            c.proofs[index] += bound(change, 1, type(uint256).max);
        }
        vm.expectRevert();
        _verify(c);
    }

    function test_rejects_values_that_are_not_canonical() external {
        Case memory c = _direct();
        c.list[0].values[1] += Bn254.R;
        _rejects(c, IAnswerVerifier.NonCanonicalScalar.selector);
        c = _hidden();
        c.list[0].values[1] += Bn254.R;
        _rejects(c, IAnswerVerifier.NonCanonicalScalar.selector);
        c = _hidden();
        c.list[0].rho += Bn254.R;
        _rejects(c, IAnswerVerifier.NonCanonicalScalar.selector);
    }

    function test_rejects_coordinates_that_are_not_canonical() external {
        for (uint256 i = 0; i < 12; i++) {
            Case memory c = _hidden();
            c.proofs[12 + i] += Bn254.P;
            _rejects(c, IAnswerVerifier.InvalidPoint.selector);
        }
    }

    function test_rejects_points_off_the_curve() external {
        for (uint256 i = 0; i < 12; i++) {
            Case memory c = _hidden();
            c.proofs[i] ^= 1;
            _rejects(c, IAnswerVerifier.InvalidPoint.selector);
        }
    }

    function test_rejects_commitments_off_the_curve() external {
        Case memory c = _direct();
        c.commitments[3] ^= 1;
        _rejects(c, Bn254.PrecompileFailed.selector);
    }

    function test_rejects_a_direct_answer_with_result_commitment_or_blinding() external {
        Case memory c = _direct();
        (c.proofs[10], c.proofs[11]) = (1, 2);
        _rejects(c, IAnswerVerifier.UnexpectedValue.selector);
        c = _direct();
        c.list[0].rho = 1;
        _rejects(c, IAnswerVerifier.UnexpectedValue.selector);
    }

    function test_rejects_wrong_counts() external {
        Case memory c = _direct();
        c.proofs = new uint256[](24);
        _rejects(c, IAnswerVerifier.WrongCount.selector);
        c = _direct();
        c.commitments = new uint256[](6);
        _rejects(c, IAnswerVerifier.WrongCount.selector);
        c = _direct();
        c.list = new PassResult[](2);
        _rejects(c, IAnswerVerifier.WrongCount.selector);
        c = _direct();
        c.list[0].values = new uint256[](2);
        _rejects(c, IAnswerVerifier.WrongCount.selector);
        c = _direct();
        c.context.chunks = 0;
        _rejects(c, IAnswerVerifier.WrongCount.selector);
        c = _direct();
        c.context.chunks = 1 << 255;
        _rejects(c, IAnswerVerifier.WrongCount.selector);
        c = _direct();
        c.context.circuitIds = new bytes32[](0);
        _rejects(c, IAnswerVerifier.WrongCount.selector);
    }

    function test_rejects_an_unregistered_circuit() external {
        Case memory c = _direct();
        c.context.circuitIds[0] = bytes32("unknown");
        _rejects(c, IAnswerVerifier.UnknownCircuit.selector);
    }

    function test_rejects_a_circuit_with_other_columns() external {
        Case memory c = _direct();
        c.context.circuitIds[0] = circuits[1];
        _rejects(c, IAnswerVerifier.CircuitMismatch.selector);
    }

    // ---------------------------------------------------------------- plans

    function _rejectsPlan(bytes memory pass) private {
        Case memory c = _direct();
        c.plan = plan4(pass, 1);
        _rejects(c, IAnswerVerifier.MalformedPlan.selector);
    }

    function _pass(uint8 image, uint8 values, uint16 runCount, bytes memory runs) private pure returns (bytes memory) {
        bytes memory head =
            abi.encodePacked(image, values, uint64(0), uint16(0), uint16(3), uint16(4), uint16(0), runCount);
        return bytes.concat(head, runs);
    }

    function _full(uint256 tables) private pure returns (bytes memory runs) {
        for (uint256 i = 0; i < tables; i++) {
            runs = bytes.concat(runs, run(255, 0, 0));
        }
    }

    function test_rejects_tables_that_are_not_covered_exactly() external {
        _rejectsPlan(_pass(1, 3, 3, _full(3)));
        _rejectsPlan(_pass(1, 3, 5, _full(5)));
        _rejectsPlan(_pass(1, 3, 4, bytes.concat(_full(3), run(254, 0, 0))));
        _rejectsPlan(_pass(1, 3, 0, ""));
    }

    function test_rejects_a_run_that_crosses_tables() external {
        bytes memory crossing = bytes.concat(run(200, 0, 0), run(110, 0, 0), run(200, 0, 0));
        _rejectsPlan(_pass(1, 3, 5, bytes.concat(crossing, _full(2))));
    }

    function test_rejects_an_empty_run() external {
        _rejectsPlan(_pass(1, 3, 5, bytes.concat(run(0, 0, 0), _full(4))));
    }

    function test_rejects_entries_above_the_number_of_cells() external {
        _rejectsPlan(_pass(1, 3, 4, bytes.concat(run(255, 1025, 0), _full(3))));
        _rejectsPlan(_pass(1, 3, 4, bytes.concat(run(255, 9, 4), _full(3))));
    }

    function test_rejects_images_and_value_counts_out_of_range() external {
        _rejectsPlan(_pass(2, 3, 4, _full(4)));
        _rejectsPlan(_pass(1, 0, 4, _full(4)));
        _rejectsPlan(_pass(1, 65, 4, _full(4)));
        _rejectsPlan(_pass(0, 4, 4, _full(4)));
        _rejectsPlan(_pass(0, 15, 4, _full(4)));
    }

    function test_rejects_plans_cut_short_or_long() external {
        Case memory c = _direct();
        bytes memory plan = c.plan;
        c.plan = bytes.concat(plan, hex"00");
        _rejects(c, IAnswerVerifier.MalformedPlan.selector);
        for (uint256 length = 0; length < plan.length; length += 7) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; i++) {
                cut[i] = plan[i];
            }
            c.plan = cut;
            _rejects(c, IAnswerVerifier.MalformedPlan.selector);
        }
    }

    function test_rejects_another_plan_version() external {
        Case memory c = _direct();
        c.plan[0] = 0x02;
        _rejects(c, IAnswerVerifier.MalformedPlan.selector);
    }

    // ---------------------------------------------------------------- registration

    function _setWord(bytes memory words, uint256 index, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(add(add(words, 0x20), mul(index, 0x20)), word)
        }
    }

    function test_registers_a_circuit_under_the_hash_of_its_words() external view {
        bytes memory words = SimulatedProver.circuitWords(SimulatedProver.Circuit.K4);
        assertEq(circuits[0], keccak256(words), "circuit id");
        CircuitShape memory shape = verifier.circuit(circuits[0]);
        assertEq(shape.slots, 8, "slots");
        assertEq(shape.hi, 8, "hi");
        assertEq(shape.columns, 4, "columns");
        assertEq(shape.cells, 1024, "cells");
        assertEq(shape.basisRoot, SimulatedProver.basisRoot(), "root");
        assertEq(verifier.circuit(circuits[1]).family, shape.family, "family");
        bytes memory code = verifier.circuitCode(circuits[0]).code;
        assertEq(code.length, 1 + 172 * 32, "code size");
        assertTrue(code[0] == 0x00, "not callable");
    }

    function test_refuses_a_circuit_twice() external {
        bytes memory words = SimulatedProver.circuitWords(SimulatedProver.Circuit.K4);
        vm.expectPartialRevert(IAnswerVerifier.CircuitAlreadyRegistered.selector);
        verifier.registerCircuit(words);
    }

    function _refusesCircuit(uint256 index, uint256 word, bytes4 reason) private {
        bytes memory words = SimulatedProver.circuitWords(SimulatedProver.Circuit.K4);
        _setWord(words, index, word);
        vm.expectRevert(reason);
        verifier.registerCircuit{gas: 5_000_000}(words);
    }

    function test_refuses_malformed_circuits() external {
        vm.expectRevert(IAnswerVerifier.MalformedCircuit.selector);
        verifier.registerCircuit(new bytes(169 * 32));
        _refusesCircuit(162, 0, IAnswerVerifier.MalformedCircuit.selector);
        _refusesCircuit(163, 8, IAnswerVerifier.MalformedCircuit.selector);
        _refusesCircuit(164, 9, IAnswerVerifier.MalformedCircuit.selector);
        _refusesCircuit(165, 9, IAnswerVerifier.MalformedCircuit.selector);
        _refusesCircuit(166, 1 << 16, IAnswerVerifier.MalformedCircuit.selector);
    }

    function test_refuses_circuits_with_bad_points() external {
        _refusesCircuit(0, 5, IAnswerVerifier.InvalidPoint.selector);
        _refusesCircuit(31, Bn254.P, IAnswerVerifier.InvalidPoint.selector);
        _refusesCircuit(161, 0, IAnswerVerifier.InvalidPoint.selector);
        _refusesCircuit(169, 1, IAnswerVerifier.InvalidPoint.selector);
        for (uint256 i = 2; i < 26; i += 4) {
            _refusesCircuit(i, 1, IAnswerVerifier.InvalidPoint.selector);
        }
    }

    function test_refuses_infinity_in_the_second_group() external {
        bytes memory words = SimulatedProver.circuitWords(SimulatedProver.Circuit.K4);
        for (uint256 i = 0; i < 4; i++) {
            _setWord(words, 10 + i, 0);
        }
        vm.expectRevert(IAnswerVerifier.InvalidPoint.selector);
        verifier.registerCircuit(words);
    }

    function test_rejects_circuits_of_different_families() external {
        bytes memory words = SimulatedProver.circuitWords(SimulatedProver.Circuit.K8High);
        // Another result base: the same circuit in another family.
        (uint256 x, uint256 y) = Bn254.mul(1, 2, 4242);
        _setWord(words, 34, x);
        _setWord(words, 35, y);
        bytes32 stranger = verifier.registerCircuit(words);
        PassResult memory r;
        r.values = new uint256[](2);
        Case memory c = _case(2, plan8(), results(r));
        c.context.circuitIds[1] = stranger;
        _rejects(c, IAnswerVerifier.CircuitMismatch.selector);
    }
}
