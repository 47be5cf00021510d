//! Verifying keys on chain.

use super::{Account, Call, ChainError, CircuitId, Client, Contract, Done, account};
use crate::bindings::IAnswerVerifier;
use alloy::{
    primitives::{Bytes, keccak256},
    sol_types::SolCall,
};

impl Client {
    /// Registers a verifying key, or finds it registered. `words` are the key words followed by the circuit's shape.
    ///
    /// # Errors
    /// The words are not a key of the expected shape.
    pub async fn register_circuit(
        &self,
        sender: &Account,
        words: &[u8],
    ) -> Result<Option<Done<CircuitId>>, ChainError> {
        let id = CircuitId(keccak256(words));
        if self.circuit_is_registered(id).await? {
            return Ok(None);
        }
        let call = IAnswerVerifier::registerCircuitCall {
            words: Bytes::copy_from_slice(words),
        };
        let mined = sender
            .send(Call {
                contract: Contract::AnswerVerifier,
                to: Some(self.at.verifier),
                data: call.abi_encode().into(),
            })
            .await?;
        let event = account::event::<IAnswerVerifier::CircuitRegistered>(
            &mined,
            self.at.verifier,
            "CircuitRegistered",
        )?;
        Ok(Some(mined.done(CircuitId(event.circuitId))))
    }

    /// Whether a verifying key is registered.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn circuit_is_registered(&self, circuit: CircuitId) -> Result<bool, ChainError> {
        let call = IAnswerVerifier::circuitCodeCall {
            circuitId: circuit.0,
        };
        let code = self
            .chain
            .read(Contract::AnswerVerifier, self.at.verifier, &call)
            .await?;
        Ok(!code.is_zero())
    }
}
