//! A deployed dataset with its actors, for tests of the contracts.

use crate::{
    member::{Basis, Place, TestMember},
    node::Node,
    simulator::{CountPlan, TrapdoorKey},
};
use alloy::primitives::{B256, keccak256};
use salus_contracts::{
    client::{ChunkIndex, CircuitId, Client, DatasetId, NewDataset, OptIn, QueryOrder, SnapshotId},
    deploy::{Deployment, PaymentToken, deploy},
};

pub const SLOTS: usize = 8;
pub const PRICE: u128 = 1_000_000;

/// A deployed dataset with its actors: 0 administers and issues, 1 is custodian, 2 researcher, 3 relays claims.
pub struct World {
    pub node: Node,
    pub client: Client,
    pub dataset: DatasetId,
    pub basis: Basis,
    pub key: TrapdoorKey,
}

impl World {
    pub async fn new(node: Node, slots: usize, columns: u16) -> Self {
        let basis = Basis::new(slots);
        let key = TrapdoorKey::new(&basis);
        let admin = node.account(0);
        let client = deploy(&admin, PaymentToken::Development, &[&key.words])
            .await
            .unwrap()
            .client;
        let text = serde_json::to_string(client.deployment()).unwrap();
        assert_eq!(
            &serde_json::from_str::<Deployment>(&text).unwrap(),
            client.deployment()
        );
        let dataset = client
            .create_dataset(
                &admin,
                &NewDataset {
                    schema_hash: keccak256("codebook"),
                    purposes: B256::with_last_byte(1),
                    columns,
                    circuit_k4: Some(CircuitId(key.id())),
                    circuits_k8: None,
                    min_cohort: 3,
                    min_cell: 1,
                    reward_bps: 9_000,
                    epoch_length: 0,
                    custodian: node.account(1).address(),
                    price: Some((client.deployment().token, PRICE)),
                },
            )
            .await
            .unwrap()
            .value;
        client
            .set_issuer(&admin, dataset, admin.address(), true)
            .await
            .unwrap();
        Self {
            node,
            client,
            dataset,
            basis,
            key,
        }
    }

    pub fn place(&self, chunk: u32) -> Place {
        Place {
            chain_id: self.client.chain().id(),
            registry: self.client.deployment().registry,
            dataset: self.dataset,
            chunk: ChunkIndex(chunk),
        }
    }

    pub fn batch(&self, chunk: u32, members: &[TestMember]) -> OptIn {
        OptIn {
            dataset: self.dataset,
            chunk: ChunkIndex(chunk),
            members: members.iter().map(|m| m.registration.clone()).collect(),
        }
    }

    pub fn order(&self, plan: &CountPlan, deadline: u64, nonce: u64) -> QueryOrder {
        QueryOrder {
            dataset: self.dataset,
            snapshot: SnapshotId(1),
            plan_hash: keccak256(plan.bytes()),
            body_hash: keccak256("SELECT COUNT(*)"),
            token: self.client.deployment().token,
            amount: PRICE,
            deadline: u32::try_from(deadline).unwrap(),
            nonce,
        }
    }
}
