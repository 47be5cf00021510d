// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAnswerVerifier, PassResult} from "./interfaces/IAnswerVerifier.sol";
import {IQueryMarket} from "./interfaces/IQueryMarket.sol";
import {Bn254} from "./proof/Bn254.sol";
import {Plan, PlanPass} from "./proof/Plan.sol";

/// @notice What a dataset demands of every answer.
struct ReleaseLimits {
    uint256 minCohort;
    uint256 minCell;
}

/// @title The exact release rule: minimum cohort and cell suppression
/// @notice Says which values an answer may show. It does not say that they are right; the verifier does.
library ReleaseRule {
    /// @notice Reverts unless every pass and the whole answer may be shown.
    function check(bytes calldata plan, PassResult[] calldata results, ReleaseLimits memory limits) internal pure {
        (uint256 columns, uint256 passes) = Plan.head(plan);
        if (results.length != passes) revert IAnswerVerifier.WrongCount();
        uint256 offset = Plan.HEAD_BYTES;
        uint256 cohort;
        for (uint256 pass = 0; pass < passes; pass++) {
            PlanPass memory head = Plan.passAt(plan, offset, columns);
            offset = head.end;
            uint256 people = _checkPass(pass, head, results[pass], limits.minCell);
            // Passes may show the same people again (the second half of a wide measure): the largest counts.
            if (people > cohort) cohort = people;
        }
        if (cohort < limits.minCohort) revert IQueryMarket.CohortBelowMinimum(cohort);
    }

    /// @dev Returns the sum of the pass's published counts.
    function _checkPass(uint256 pass, PlanPass memory head, PassResult calldata result, uint256 minCell)
        private
        pure
        returns (uint256 people)
    {
        uint256 mask = result.mask;
        if (mask & head.baseMask != head.baseMask || mask >> head.values != 0) revert IQueryMarket.InvalidMask(pass);
        uint256[] calldata values = result.values;
        if (values.length != head.values) revert IAnswerVerifier.WrongCount();
        uint256 step = head.image == Plan.MOMENTS ? 3 : 1;
        for (uint256 t = 0; t < head.values; t += step) {
            uint256 bits = mask >> t;
            if (bits & 1 == 0) {
                uint256 count = values[t];
                if (count < minCell) revert IQueryMarket.CountBelowMinimum(pass, t);
                people += count;
            } else if (step == 3 && bits & 7 != 7) {
                revert IQueryMarket.InvalidMask(pass);
            }
        }
    }

    /// @notice Reverts unless results without a proof have the form of a direct answer: no blinding, masked values zero,
    /// every value below the field's order.
    function checkPlain(PassResult[] calldata results) internal pure {
        for (uint256 pass = 0; pass < results.length; pass++) {
            PassResult calldata result = results[pass];
            if (result.rho != 0) revert IAnswerVerifier.UnexpectedValue();
            uint256[] calldata values = result.values;
            for (uint256 t = 0; t < values.length; t++) {
                uint256 value = values[t];
                if (value >= Bn254.R) revert IAnswerVerifier.NonCanonicalScalar();
                if (value != 0 && result.mask >> t & 1 != 0) revert IAnswerVerifier.UnexpectedValue();
            }
        }
    }
}
