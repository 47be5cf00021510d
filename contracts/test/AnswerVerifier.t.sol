// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AnswerContext, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {SimulatedProver} from "./SimulatedProver.sol";
import {World} from "./World.sol";

contract AnswerVerifierTest is World {
    function setUp() external {
        deploy();
        join(0, 8);
        takeSnapshot();
    }

    function test_accepts_a_direct_answer() external view {
        bytes memory plan = plan4(cellsPass(), 1);
        PassResult[] memory list = results(result(0, 0, 12, 7, 31));
        (AnswerContext memory context, uint256[] memory commitments) = contextOf(bytes32("q"), 1, plan);
        uint256[] memory proofs = SimulatedProver.prove(context, plan, list, commitments);
        verifier.verify(context, plan, list, commitments, proofs);
    }
}
