//! The EVM in this process: does it execute a transfer, and the curve arithmetic that verification needs?

use super::Check;
use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use rand::RngCore;
use rand::rngs::OsRng;
use salus_circuits::words::{g1_words, g2_words};
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{Account, Call, Chain, Contract};
use salus_contracts::devchain::{Config, DevChain};
use salus_contracts::primitives::{Address, B256};

const NAME: &str = "embedded EVM";
const REPORT: &str =
    "Report this with the processor's name; use --rpc URL with another node meanwhile.";
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas of the pairing precompile for two pairs (EIP-1108), without calldata.
const PAIRING_GAS: u64 = 45_000 + 2 * 34_000;

pub(super) fn embedded() -> Check {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Check::fail(NAME, format!("no threads: {error}"), "Check ulimit -u."),
    };
    match runtime.block_on(execute()) {
        Ok(found) => Check::ok(NAME, found),
        Err(found) => Check::fail(NAME, found, REPORT),
    }
}

async fn execute() -> Result<String, String> {
    let mut secret = B256::ZERO;
    OsRng.fill_bytes(secret.as_mut_slice());
    let signer = PrivateKeySigner::from_bytes(&secret).map_err(|_| "no key could be drawn")?;
    let chain = Chain::embedded(DevChain::new(Config::default().fund([signer.address()])));
    let account = Account::new(&chain, signer);
    let send = async |to: Address, data: Vec<u8>| {
        let call = Call {
            contract: Contract::Token,
            to: Some(to),
            data: data.into(),
        };
        account.send(call).await.map_err(|error| error.to_string())
    };
    let transfer = send(Address::repeat_byte(0x11), Vec::new()).await?;
    if transfer.gas_used != TRANSFER_GAS {
        return Err(format!(
            "a transfer used {} gas instead of {TRANSFER_GAS}",
            transfer.gas_used
        ));
    }
    // e(G, H) e(-G, H) = 1; malformed points would make the transaction fail.
    let (g, h) = (G1Affine::generator(), G2Affine::generator());
    let pairs: Vec<u8> = [g, -g]
        .iter()
        .flat_map(|point| g1_words(point).into_iter().chain(g2_words(&h)))
        .flatten()
        .collect();
    let pairing = send(Address::with_last_byte(8), pairs).await?;
    if pairing.gas_used < PAIRING_GAS {
        return Err(format!("a pairing used only {} gas", pairing.gas_used));
    }
    Ok(format!(
        "chain {}: transfer and pairing executed in {} blocks",
        chain.id(),
        pairing.block
    ))
}
