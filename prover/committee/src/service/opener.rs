//! Upload checks through a committee.

use salus_cubes::check::{Opener, Origin, ZeroForm, ZeroPoly};
use tokio::runtime::Handle;

use super::client::{Client, ClientError};
use crate::opening::{CheckRequest, CoinSeed, ZeroTarget};

/// Lets `salus_cubes::check::check` ask a committee. Blocks: run the check on a thread of its own.
///
/// Keeps the list of excluded members as the check does, because holders derive what they open from it: whoever fails alone
/// is excluded from the next round of subsets on.
pub struct CommitteeOpener<'a> {
    client: &'a Client,
    runtime: Handle,
    check: [u8; 32],
    coin: Vec<CoinSeed>,
    blamed: Vec<u32>,
    excluded: Vec<u32>,
    round: Option<u32>,
}

impl<'a> CommitteeOpener<'a> {
    /// The opener of one check, by the id under which the holders know it, with the coin drawn for it.
    pub const fn new(
        client: &'a Client,
        runtime: Handle,
        check: [u8; 32],
        coin: Vec<CoinSeed>,
    ) -> Self {
        Self {
            client,
            runtime,
            check,
            coin,
            blamed: Vec::new(),
            excluded: Vec::new(),
            round: None,
        }
    }

    fn ask(&mut self, origin: &Origin, expected: [u8; 32]) -> Result<bool, ClientError> {
        if let Origin::Subset { round, .. } = origin
            && self.round != Some(*round)
        {
            self.round = Some(*round);
            self.blamed.sort_unstable();
            self.blamed.dedup();
            self.excluded.clone_from(&self.blamed);
        }
        let excluded = match origin {
            Origin::Subset { .. } => self.excluded.clone(),
            _ => Vec::new(),
        };
        let request = CheckRequest {
            check: self.check,
            target: ZeroTarget::from(origin),
            excluded,
            expected,
            coin: self.coin.clone(),
        };
        let zero = self.runtime.block_on(self.client.check(request))?;
        if let Origin::Relation { from, to, .. } | Origin::Subset { from, to, .. } = *origin
            && !zero
            && to - from == 1
        {
            self.blamed.push(from);
        }
        Ok(zero)
    }
}

impl Opener for CommitteeOpener<'_> {
    type Error = ClientError;

    fn open_zero(&mut self, form: &ZeroForm) -> Result<bool, ClientError> {
        self.ask(form.origin(), form.hash())
    }

    fn open_zero_poly(&mut self, poly: &ZeroPoly) -> Result<bool, ClientError> {
        self.ask(poly.origin(), poly.hash())
    }
}
