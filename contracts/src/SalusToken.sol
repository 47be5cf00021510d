// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Development token: anyone can mint any amount. INSECURE, never deploy where value matters
contract SalusToken is ERC20Permit {
    constructor() ERC20("Salus dev token (INSECURE)", "devSALUS") ERC20Permit("Salus dev token (INSECURE)") {}

    /// @notice Creates tokens out of nothing, for anyone.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
