// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Keeps one percent of every transfer.
contract FeeOnTransferToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) _burn(to, amount / 100);
    }
}

/// @notice Calls back into a contract in the middle of a transfer and remembers whether that worked.
contract ReentrantToken is ERC20("Reentrant", "RE") {
    address private _target;
    bytes private _data;
    bool public attempted;
    bool public succeeded;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(address target, bytes calldata data) external {
        (_target, _data, attempted, succeeded) = (target, data, false, false);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_target == address(0) || from == address(0)) return;
        address target = _target;
        _target = address(0);
        attempted = true;
        (succeeded,) = target.call(_data);
    }
}

