//! Putting the contracts on a chain, and remembering where they are.

use crate::client::{Account, Call, ChainError, Client, Contract, Mined};
use alloy::{
    json_abi::ContractObject,
    primitives::{Address, Bytes},
    sol_types::SolValue,
};
use serde::{Deserialize, Serialize};

const ANSWER_VERIFIER: &str = include_str!("../artifacts/AnswerVerifier.json");
const COHORT_REGISTRY: &str = include_str!("../artifacts/CohortRegistry.json");
const COMMITTEE: &str = include_str!("../artifacts/Committee.json");
const QUERY_MARKET: &str = include_str!("../artifacts/QueryMarket.json");
const REWARD_POOL: &str = include_str!("../artifacts/RewardPool.json");
const CLAIM_VERIFIER: &str = include_str!("../artifacts/SignatureClaimVerifier.json");
const TOKEN: &str = include_str!("../artifacts/SalusToken.json");

/// The compiled contracts: ABI and creation bytecode as JSON.
pub(crate) fn artifacts() -> [(Contract, &'static str); 7] {
    [
        (Contract::CohortRegistry, COHORT_REGISTRY),
        (Contract::QueryMarket, QUERY_MARKET),
        (Contract::AnswerVerifier, ANSWER_VERIFIER),
        (Contract::RewardPool, REWARD_POOL),
        (Contract::ClaimVerifier, CLAIM_VERIFIER),
        (Contract::Committee, COMMITTEE),
        (Contract::Token, TOKEN),
    ]
}

/// Where the contracts are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Format of this file: 1 without committee, 2 with it.
    pub version: u32,
    /// EIP-155 id of the chain.
    pub chain_id: u64,
    /// Block of the first deployment transaction: no event is older.
    pub block: u64,
    /// CohortRegistry.
    pub registry: Address,
    /// QueryMarket.
    pub market: Address,
    /// AnswerVerifier.
    pub verifier: Address,
    /// RewardPool.
    pub pool: Address,
    /// The pool's claim verifier.
    pub claim_verifier: Address,
    /// Payment token of this deployment; datasets may accept others.
    pub token: Address,
    /// Key holders of the sealed path; deployments made before there was one take proven answers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee: Option<Address>,
}

/// What researchers pay with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentToken {
    /// Deploy the development token, which anyone can mint. INSECURE.
    Development,
    /// A token that exists.
    Existing(Address),
}

/// A fresh deployment and its cost.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// Client of the new contracts.
    pub client: Client,
    /// Gas of every transaction, named by contract.
    pub gas: Vec<(Contract, u64)>,
}

/// Deploys all contracts and registers the given circuits (key words followed by shape, as the verifier takes them).
///
/// # Errors
/// A deployment or registration fails; what was deployed until then stays on chain unused.
pub async fn deploy(
    deployer: &Account,
    token: PaymentToken,
    circuits: &[&[u8]],
) -> Result<Deployed, ChainError> {
    let mut gas = Vec::new();
    let mut put =
        async |contract, json, arguments: Vec<u8>| -> Result<(Address, u64), ChainError> {
            let (address, mined) = create(deployer, contract, json, arguments).await?;
            gas.push((contract, mined.gas_used));
            Ok((address, mined.block))
        };
    let (verifier, block) = put(Contract::AnswerVerifier, ANSWER_VERIFIER, Vec::new()).await?;
    let (registry, _) = put(
        Contract::CohortRegistry,
        COHORT_REGISTRY,
        verifier.abi_encode(),
    )
    .await?;
    let (claim_verifier, _) = put(
        Contract::ClaimVerifier,
        CLAIM_VERIFIER,
        registry.abi_encode(),
    )
    .await?;
    let (pool, _) = put(
        Contract::RewardPool,
        REWARD_POOL,
        (registry, claim_verifier).abi_encode_params(),
    )
    .await?;
    // Each of the two names the other: the committee comes first and the market takes the sender's address after it.
    let committee_nonce = deployer.next_nonce().await?;
    let expected = deployer.address().create(committee_nonce + 1);
    let (committee, _) = put(
        Contract::Committee,
        COMMITTEE,
        (registry, pool, expected).abi_encode_params(),
    )
    .await?;
    // The market's constructor refuses a committee that names another market.
    let (market, _) = put(
        Contract::QueryMarket,
        QUERY_MARKET,
        (registry, verifier, pool, committee).abi_encode_params(),
    )
    .await?;
    let token = match token {
        PaymentToken::Existing(token) => token,
        PaymentToken::Development => put(Contract::Token, TOKEN, Vec::new()).await?.0,
    };
    let chain = deployer.chain().clone();
    let deployment = Deployment {
        version: 2,
        chain_id: chain.id(),
        block,
        registry,
        market,
        verifier,
        pool,
        claim_verifier,
        token,
        committee: Some(committee),
    };
    let client = Client::new(chain, deployment)?;
    for words in circuits {
        if let Some(done) = client.register_circuit(deployer, words).await? {
            gas.push((Contract::AnswerVerifier, done.gas_used));
        }
    }
    Ok(Deployed { client, gas })
}

async fn create(
    deployer: &Account,
    contract: Contract,
    json: &str,
    arguments: Vec<u8>,
) -> Result<(Address, Mined), ChainError> {
    let object: ContractObject = serde_json::from_str(json)
        .expect("the artifact is part of this crate and a test parses it");
    let mut data = object.bytecode.unwrap_or_default().to_vec();
    data.extend(arguments);
    let mined = deployer
        .send(Call {
            contract,
            to: None,
            data: Bytes::from(data),
        })
        .await?;
    match mined.created {
        Some(address) => Ok((address, mined)),
        None => Err(ChainError::NoContract {
            contract,
            address: Address::ZERO,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_artifact_has_an_abi_and_fits_the_code_size_limit() {
        for (contract, json) in artifacts() {
            let object: ContractObject = serde_json::from_str(json).unwrap();
            assert!(object.abi.is_some(), "{contract}");
            let code = object.bytecode.unwrap();
            // Creation code: the deployed code plus a constructor.
            assert!(
                (100..49_152).contains(&code.len()),
                "{contract}: {}",
                code.len()
            );
        }
    }

    #[test]
    fn deployments_of_version_1_still_decode() {
        let frozen = r#"{"version":1,"chain_id":31337,"block":1,
            "registry":"0x0000000000000000000000000000000000000001",
            "market":"0x0000000000000000000000000000000000000002",
            "verifier":"0x0000000000000000000000000000000000000003",
            "pool":"0x0000000000000000000000000000000000000004",
            "claim_verifier":"0x0000000000000000000000000000000000000005",
            "token":"0x0000000000000000000000000000000000000006"}"#;
        let deployment: Deployment = serde_json::from_str(frozen).unwrap();
        assert_eq!(deployment.token, Address::with_last_byte(6));
        assert_eq!(deployment.committee, None);
        let again = serde_json::to_value(&deployment).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(frozen).unwrap()
        );
    }

    #[test]
    fn deployments_with_a_committee_decode() {
        let frozen = r#"{"version":2,"chain_id":31337,"block":1,
            "registry":"0x0000000000000000000000000000000000000001",
            "market":"0x0000000000000000000000000000000000000002",
            "verifier":"0x0000000000000000000000000000000000000003",
            "pool":"0x0000000000000000000000000000000000000004",
            "claim_verifier":"0x0000000000000000000000000000000000000005",
            "token":"0x0000000000000000000000000000000000000006",
            "committee":"0x0000000000000000000000000000000000000007"}"#;
        let deployment: Deployment = serde_json::from_str(frozen).unwrap();
        assert_eq!(deployment.committee, Some(Address::with_last_byte(7)));
        let again = serde_json::to_value(&deployment).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(frozen).unwrap()
        );
    }
}
