//! Step 8: everybody is paid the same, each to a fresh address.

use super::ask::interrupted;
use super::cast::{Cast, chain_error};
use super::members::Member;
use super::world::World;
use crate::error::{CliError, Kind};
use crate::progress::{Interrupt, Stage};
use rand::RngCore;
use rand::rngs::OsRng;
use rayon::prelude::*;
use salus_contracts::client::RewardClaim;
use salus_contracts::consent::{ClaimRequest, ConsentError, nullifier};
use salus_contracts::primitives::{Address, U256};

/// Claims per transaction.
const BATCH: usize = 64;

/// What was paid.
pub struct Paid {
    /// Base units that went to the reward pool.
    pub settled: String,
    /// Base units that members were paid.
    pub claimed: String,
    /// Base units per member.
    pub share: String,
    /// Gas of the settlement.
    pub settle_gas: u64,
    /// Gas of all claims.
    pub gas: u64,
}

/// Settles the snapshot's rewards, claims every member's share and pays the custodian.
pub async fn claim_all(
    cast: &Cast,
    world: &World<'_>,
    members: &[Member],
    interrupt: &Interrupt,
) -> Result<Paid, CliError> {
    let chain = |e| chain_error(&e);
    let token = world.client.deployment().token;
    let zero = || "0".to_owned();
    let waiting = world
        .client
        .unsettled(world.dataset, world.snapshot, token)
        .await
        .map_err(chain)?;
    if waiting.is_empty() {
        // Every query was refused: nothing to share.
        return Ok(Paid {
            settled: zero(),
            claimed: zero(),
            share: zero(),
            settle_gas: 0,
            gas: 0,
        });
    }
    let settled = world
        .client
        .settle_queries(&cast.relayer, &waiting)
        .await
        .map_err(chain)?;
    world
        .client
        .withdraw(&cast.custodian, token, cast.custodian.address())
        .await
        .map_err(chain)?;
    let share = match members.first() {
        Some(first) => {
            let name = nullifier(world.dataset, world.snapshot, first.chunk, first.slot);
            world
                .client
                .due(world.dataset, world.snapshot, token, name)
                .await
                .map_err(chain)?
        }
        None => U256::ZERO,
    };
    let stage = Stage::begin("8 claim rewards", members.len() as u64);
    let pool = world.client.deployment().pool;
    let sign = |member: &Member| -> Result<RewardClaim, ConsentError> {
        let mut recipient = [0u8; 20];
        OsRng.fill_bytes(&mut recipient);
        member.key()?.sign_claim(
            cast.chain.id(),
            pool,
            &ClaimRequest {
                dataset: world.dataset,
                snapshot: world.snapshot,
                chunk: member.chunk,
                slot: member.slot,
                token,
                recipient: Address::from(recipient),
                fee: U256::ZERO,
                paid_before: U256::ZERO,
            },
        )
    };
    let claims: Vec<RewardClaim> = members
        .par_iter()
        .map(sign)
        .collect::<Result<_, _>>()
        .map_err(|e| CliError::new(Kind::Failed, "claim_failed", e, "Run the command again."))?;
    let mut gas = 0;
    let mut done = 0u64;
    let calls = claims
        .chunks(BATCH)
        .take_while(|_| !interrupt.stopped())
        .map(|batch| world.client.claim_many_call(batch));
    cast.relayer
        .send_all(calls, cast.window, |_, mined| {
            gas += mined.gas_used;
            done += BATCH as u64;
            stage.at(done.min(claims.len() as u64));
        })
        .await
        .map_err(|e| chain_error(&e.source))?;
    if interrupt.stopped() {
        return Err(interrupted());
    }
    let claimed = share * U256::from(members.len());
    stage.end(&format!(
        "{} people paid {share} base units each",
        members.len()
    ));
    Ok(Paid {
        settled: settled.value.to_string(),
        claimed: claimed.to_string(),
        share: share.to_string(),
        settle_gas: settled.gas_used,
        gas,
    })
}
