//! Types of the contracts' functions, events and errors, generated from the compiled artifacts.

#![allow(missing_docs, clippy::too_many_arguments)]

use alloy::sol;

sol!(
    #[derive(Debug, PartialEq, Eq)]
    ICohortRegistry,
    "artifacts/ICohortRegistry.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    IQueryMarket,
    "artifacts/IQueryMarket.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    IAnswerVerifier,
    "artifacts/IAnswerVerifier.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    ICommittee,
    "artifacts/ICommittee.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    IRewardPool,
    "artifacts/IRewardPool.json"
);

sol! {
    /// The parts of an ERC-20 token with EIP-2612 permits that Salus uses.
    #[derive(Debug, PartialEq, Eq)]
    interface IToken {
        event Transfer(address indexed from, address indexed to, uint256 value);

        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 value) external returns (bool);
        function transfer(address to, uint256 value) external returns (bool);
        function nonces(address owner) external view returns (uint256);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        /// Only the development token has this.
        function mint(address to, uint256 amount) external;
    }

    /// EIP-2612, the message behind a permit.
    #[derive(Debug, PartialEq, Eq)]
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }
}
