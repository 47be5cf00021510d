//! Chains to test against, and accounts that have ether on all of them.

use alloy::{
    primitives::{Address, address, b256},
    signers::local::PrivateKeySigner,
};
use salus_contracts::{
    client::{Account, Chain, Endpoint},
    devchain::{Config, DevChain, ManualClock},
};
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

/// 15 November 2026; every embedded test chain starts here.
pub const START: u64 = 1_794_700_800;

/// The first accounts of the mnemonic "test test ... junk", which anvil funds.
pub const ADDRESSES: [Address; 4] = [
    address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
];

pub fn signer(index: usize) -> PrivateKeySigner {
    let secrets = [
        b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
        b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
        b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
        b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    ];
    let signer = PrivateKeySigner::from_bytes(&secrets[index]).unwrap();
    assert_eq!(signer.address(), ADDRESSES[index]);
    signer
}

pub fn embedded() -> DevChain {
    DevChain::new(
        Config {
            clock: Arc::new(ManualClock::new(START)),
            ..Config::default()
        }
        .fund(ADDRESSES),
    )
}

/// A chain under test; an anvil process ends with it.
pub struct Node {
    pub name: &'static str,
    pub chain: Chain,
    _anvil: Option<Anvil>,
}

impl Node {
    pub fn of(chain: DevChain) -> Self {
        Self {
            name: "embedded",
            chain: Chain::embedded(chain),
            _anvil: None,
        }
    }

    pub fn account(&self, index: usize) -> Account {
        Account::new(&self.chain, signer(index))
    }
}

pub struct Anvil(Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The embedded chain, and anvil (or `SALUS_TEST_RPC`) if there is one.
pub async fn nodes() -> Vec<Node> {
    let mut nodes = vec![Node::of(embedded())];
    nodes.extend(anvil().await);
    nodes
}

pub async fn anvil() -> Option<Node> {
    if let Ok(url) = std::env::var("SALUS_TEST_RPC") {
        let chain = Chain::connect(url.parse::<Endpoint>().unwrap())
            .await
            .unwrap();
        return Some(Node {
            name: "SALUS_TEST_RPC",
            chain,
            _anvil: None,
        });
    }
    let Some(binary) = find_anvil() else {
        println!("skipped: anvil not found");
        return None;
    };
    let mut child = Command::new(binary)
        .args([
            "--port",
            "0",
            "--gas-limit",
            "200000000",
            "--base-fee",
            "1000000000",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let anvil = Anvil(child);
    let mut lines = stdout.lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            line.strip_prefix("Listening on ")
                .map(|at| format!("http://{}", at.trim()))
        })
        .expect("anvil says where it listens");
    // Keep draining, or anvil blocks on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let chain = Chain::connect(url.parse::<Endpoint>().unwrap())
        .await
        .unwrap();
    Some(Node {
        name: "anvil",
        chain,
        _anvil: Some(anvil),
    })
}

fn find_anvil() -> Option<PathBuf> {
    let packaged = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|folder| folder.join("anvil"));
    std::iter::once(packaged)
        .chain(on_path)
        .find(|candidate| candidate.is_file())
}
