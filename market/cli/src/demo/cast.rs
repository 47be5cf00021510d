//! Who plays in the demo: accounts on the chain, each with one job.

use crate::error::{CliError, Kind};
use crate::home;
use rand::RngCore;
use rand::rngs::OsRng;
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{Account, Chain, ChainError, Endpoint, Family};
use salus_contracts::devchain::{Config, DevChain};
use salus_contracts::primitives::{B256, U256};

/// Public development keys that anvil and hardhat fund: the mnemonic "test test ... junk". INSECURE.
const PUBLIC_KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// The accounts.
pub struct Cast {
    /// The chain they are on.
    pub chain: Chain,
    /// Deploys the contracts and administers the dataset; also its custodian.
    pub custodian: Account,
    /// The hospital that registers people and relays for them.
    pub issuer: Account,
    /// The hospital's key, which also vouches for ciphertexts.
    pub issuer_signer: PrivateKeySigner,
    /// Asks and pays.
    pub researcher: Account,
    /// Relays claims.
    pub relayer: Account,
    /// Transactions on their way at once.
    pub window: usize,
}

/// Maps a chain problem to what the user is told. Until a query is funded nothing is charged.
pub fn chain_error(error: &ChainError) -> CliError {
    let (kind, code) = match error.family() {
        Family::Refused => (Kind::Refused, "chain_refused"),
        Family::Invalid => (Kind::Invalid, "chain_invalid"),
        Family::Failed => (Kind::Failed, "chain_failed"),
    };
    CliError::new(
        kind,
        code,
        error,
        "Check the node (salus doctor), then run the command again.",
    )
}

fn random_signer() -> PrivateKeySigner {
    loop {
        let mut secret = B256::ZERO;
        OsRng.fill_bytes(secret.as_mut_slice());
        if let Ok(signer) = PrivateKeySigner::from_bytes(&secret) {
            return signer;
        }
    }
}

impl Cast {
    /// Gathers the accounts: fresh keys on an EVM in this process, or a node's public development keys.
    pub async fn gather(rpc: Option<&str>) -> Result<Self, CliError> {
        if home::production() {
            return Err(CliError::new(
                Kind::Refused,
                "demo_in_production",
                "the demo uses development keys and tokens, which production mode refuses",
                "Unset SALUS_MODE to run the demo.",
            ));
        }
        let (chain, signers, window) = match rpc {
            None => {
                let signers: Vec<PrivateKeySigner> = (0..4).map(|_| random_signer()).collect();
                let config = Config::default().fund(signers.iter().map(PrivateKeySigner::address));
                (Chain::embedded(DevChain::new(config)), signers, 4)
            }
            Some(url) => {
                let endpoint: Endpoint = url.parse().map_err(|e| chain_error(&e))?;
                let chain = Chain::connect(endpoint)
                    .await
                    .map_err(|e| chain_error(&e))?;
                let signers: Vec<PrivateKeySigner> =
                    PUBLIC_KEYS.iter().filter_map(|k| k.parse().ok()).collect();
                (chain, signers, 16)
            }
        };
        for signer in &signers {
            let balance = chain
                .balance(signer.address())
                .await
                .map_err(|e| chain_error(&e))?;
            if balance == U256::ZERO {
                return Err(CliError::new(
                    Kind::NotAllowed,
                    "node_not_funded",
                    format!("{} has no ether on chain {}", signer.address(), chain.id()),
                    "Point --rpc at a development node (anvil, hardhat) that funds its public test accounts.",
                ));
            }
        }
        let account = |i: usize| Account::new(&chain, signers[i].clone());
        Ok(Self {
            custodian: account(0),
            issuer: account(1),
            issuer_signer: signers[1].clone(),
            researcher: account(2),
            relayer: account(3),
            chain: chain.clone(),
            window,
        })
    }
}
