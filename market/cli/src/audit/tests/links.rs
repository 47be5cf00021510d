//! Links between uploads and commitments: about the right things, or found.

use super::sealed::{blob, not_found, put, with_contents};
use super::tampering::{found, seal};
use super::{full, world};
use crate::audit::Topic;
use crate::audit::sealed::Part;
use crate::bundle::blobs;
use crate::bundle::sealed::SealedBundle;
use salus_blobs::ContentId;
use salus_contracts::primitives::B256;
use std::fs;
use std::path::Path;

#[test]
fn links_are_about_this_chain_these_uploads_and_these_commitments() {
    let verified = |dir: &Path| {
        let report = full(dir);
        report.sealed_answers[0]
            .re_executed
            .contains(&Part::LinkProof)
    };
    assert!(verified(world::bundle()));
    let dir = with_contents(|_, contents| contents.links[0].coin_seeds.clear());
    seal(dir.path());
    let told = |note: &String| note.contains("who drew the coin");
    assert!(full(dir.path()).notes.iter().any(told));
    let dir = with_contents(|_, contents| contents.links[0].snapshot = 2);
    found(dir.path(), Topic::Links, "about another snapshot or cube");
    let dir = with_contents(|_, contents| contents.links[0].masks.swap(0, 1));
    found(dir.path(), Topic::Links, "about other masks");
    let dir = with_contents(|_, contents| {
        contents.links[0].masks.pop();
    });
    found(dir.path(), Topic::Links, "one mask per repetition");
    let dir = with_contents(|_, contents| contents.links[0].proof = contents.links[0].statement);
    found(dir.path(), Topic::Links, "do not begin with");
    // Another coin than the proof was made for.
    let dir = with_contents(|dir, contents| {
        let link = &mut contents.links[0];
        let mut bytes = blobs::read(dir, &link.statement).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        link.statement = ContentId::of(&bytes);
        put(dir, &link.statement, &bytes);
        link.coin_seeds.clear();
    });
    found(dir.path(), Topic::Links, "does not verify");
    // Other seeds than the coin is made of.
    let dir = with_contents(|_, contents| {
        contents.links[0].coin_seeds.push(B256::ZERO);
    });
    found(dir.path(), Topic::Links, "not made of the holders' seeds");
    assert!(!verified(dir.path()));
    let dir = world::copy();
    let contents = SealedBundle::read(dir.path()).unwrap();
    fs::remove_file(blob(dir.path(), &contents.links[0].proof)).unwrap();
    not_found(dir.path(), Topic::Links, "is not in the bundle");
    let dir = with_contents(|_, contents| {
        contents.sums.retain(|sum| sum.snapshot != 1);
    });
    not_found(
        dir.path(),
        Topic::Links,
        "its uploads are in no sum of the bundle",
    );
}
