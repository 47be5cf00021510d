// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AnswerVerifier} from "../src/AnswerVerifier.sol";
import {AnswerContext, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {Base} from "./Base.sol";

/// @notice Real proofs, written by the prover's tests as test/vectors/answers.json:
/// {"count": n, "answers": [{"chain_id": 31337, "circuits": ["0x<170 words>", ..], "call": "0x<calldata of verify>"}, ..]}
contract VectorsTest is Base {
    string private constant PATH = "test/vectors/answers.json";

    function test_accepts_stored_answers_and_nothing_near_them() external {
        if (!vm.exists(PATH)) {
            emit log_string("skipped: no stored answers at test/vectors/answers.json");
            return;
        }
        string memory json = vm.readFile(PATH);
        uint256 count = vm.parseJsonUint(json, ".count");
        for (uint256 i = 0; i < count; i++) {
            string memory entry = string.concat(".answers[", _decimal(i), "]");
            vm.chainId(vm.parseJsonUint(json, string.concat(entry, ".chain_id")));
            AnswerVerifier verifier = new AnswerVerifier();
            bytes[] memory circuits = vm.parseJsonBytesArray(json, string.concat(entry, ".circuits"));
            for (uint256 part = 0; part < circuits.length; part++) {
                verifier.registerCircuit(circuits[part]);
            }
            bytes memory data = vm.parseJsonBytes(json, string.concat(entry, ".call"));
            assertTrue(_accepts(verifier, data), "stored answer");
            _rejectsNear(verifier, data);
        }
    }

    /// @dev Changes what is bound one thing at a time.
    function _rejectsNear(AnswerVerifier verifier, bytes memory data) private {
        (
            AnswerContext memory context,
            bytes memory plan,
            PassResult[] memory results,
            uint256[] memory commitments,
            uint256[] memory proofs
        ) = this.decode(data);
        context.queryId = bytes32(uint256(context.queryId) ^ 1);
        assertTrue(
            !_accepts(verifier, abi.encodeCall(verifier.verify, (context, plan, results, commitments, proofs))), "query"
        );
        context.queryId = bytes32(uint256(context.queryId) ^ 1);
        context.market = address(this);
        assertTrue(
            !_accepts(verifier, abi.encodeCall(verifier.verify, (context, plan, results, commitments, proofs))),
            "market"
        );
        (context,,,,) = this.decode(data);
        for (uint256 t = 0; t < results[0].values.length; t++) {
            results[0].values[t] += 1;
            assertTrue(
                !_accepts(verifier, abi.encodeCall(verifier.verify, (context, plan, results, commitments, proofs))),
                "off by one"
            );
            results[0].values[t] -= 1;
        }
        (commitments[0], commitments[2]) = (commitments[2], commitments[0]);
        (commitments[1], commitments[3]) = (commitments[3], commitments[1]);
        assertTrue(
            !_accepts(verifier, abi.encodeCall(verifier.verify, (context, plan, results, commitments, proofs))),
            "swapped columns"
        );
        (,,, commitments,) = this.decode(data);
        assertTrue(
            _accepts(verifier, abi.encodeCall(verifier.verify, (context, plan, results, commitments, proofs))),
            "restored"
        );
        vm.chainId(block.chainid + 1);
        assertTrue(!_accepts(verifier, data), "chain");
    }

    function decode(bytes calldata data)
        external
        pure
        returns (AnswerContext memory, bytes memory, PassResult[] memory, uint256[] memory, uint256[] memory)
    {
        return abi.decode(data[4:], (AnswerContext, bytes, PassResult[], uint256[], uint256[]));
    }

    function _accepts(AnswerVerifier verifier, bytes memory data) private view returns (bool ok) {
        (ok,) = address(verifier).staticcall{gas: 100_000_000}(data);
    }

    function _decimal(uint256 value) private pure returns (string memory text) {
        do {
            text = string.concat(string(abi.encodePacked(uint8(48 + value % 10))), text);
            value /= 10;
        } while (value != 0);
    }
}
