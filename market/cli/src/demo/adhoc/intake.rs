//! Everybody's record, encrypted and proven once, vouched for by the issuer and put where anyone can read it.

use super::super::ask::interrupted;
use super::super::cast::{Cast, chain_error};
use super::super::join::{Cohort, Dataset};
use super::committee::Committee;
use crate::adhoc::evaluator::{failed, records_error};
use crate::adhoc::uploads;
use crate::error::CliError;
use crate::progress::{Interrupt, Stage};
use crate::sealed::gather::{self, Registry};
use crate::sealed::roster::Seated;
use crate::sealed::uploads::UploadWriter;
use bytes::Bytes;
use rayon::prelude::*;
use salus_adhoc::layout::Layout;
use std::time::Instant;

/// People whose uploads are made at a time.
const BATCH: usize = 8;
/// The epoch in which the demo's people join.
const EPOCH: u32 = 1;

/// What intake cost.
pub struct Intake {
    /// Uploads.
    pub uploads: usize,
    /// Bytes of one.
    pub upload_bytes: usize,
    /// Seconds of all.
    pub seconds: f64,
}

/// Makes and files everybody's upload.
pub async fn file_all(
    committee: &Committee,
    cast: &Cast,
    joined: &Dataset,
    cohort: &Cohort,
    layout: &Layout,
    codes: &(dyn Fn((u32, u32)) -> Vec<u8> + Sync),
    interrupt: &Interrupt,
) -> Result<Intake, CliError> {
    let registry = Registry {
        chain: cast.chain.id(),
        contract: joined.client.deployment().registry,
        dataset: joined.dataset,
    };
    let roster = gather::roster(&joined.client, joined.dataset).await;
    let roster = roster.map_err(|e| chain_error(&e))?;
    let seated = roster
        .at(cohort.snapshot.0)
        .ok_or_else(|| failed("the roster", "the chain counted other members"))?;
    let start = Instant::now();
    let stage = Stage::begin("  encrypt, prove and upload", seated.len() as u64);
    let blobs = committee.blobs()?;
    let (client, issuer) = (&committee.key.client, &cast.issuer_signer);
    let list = |e| failed("the list of uploads", e);
    let mut out = UploadWriter::open(&committee.public()).map_err(list)?;
    let (mut done, mut upload_bytes) = (0, 0);
    for batch in seated.chunks(BATCH) {
        if interrupt.stopped() {
            return Err(interrupted());
        }
        let made: Result<Vec<_>, _> = tokio::task::block_in_place(|| {
            let one = |seated: &Seated| {
                let codes = codes(seated.place);
                let issuer = (issuer, EPOCH);
                uploads::make(&registry, client, layout, seated, &codes, issuer)
            };
            batch.par_iter().map(one).collect()
        });
        for (record, bytes) in made.map_err(|e| records_error(&e))? {
            upload_bytes = bytes.len();
            let stored = blobs.put(Bytes::from(bytes)).await;
            stored.map_err(|e| failed("a blob", e))?;
            out.push(&record).map_err(list)?;
            done += 1;
        }
        out.sync().map_err(list)?;
        stage.at(done);
    }
    stage.end(&format!(
        "{done} records of {upload_bytes} bytes, each with a proof"
    ));
    Ok(Intake {
        uploads: seated.len(),
        upload_bytes,
        seconds: start.elapsed().as_secs_f64(),
    })
}
