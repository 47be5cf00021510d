//! The key cache and the development keys in it.

use super::Check;
use crate::home;
use salus_circuits::keys::{DevelopmentKey, ProvingKey};
use salus_circuits::layout::ChunkSize;
use salus_prover::key_cache::key_path;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// What to do about a cache directory that cannot be used.
const ELSEWHERE: &str = "Set SALUS_HOME to a directory that can be written.";

/// The directory, then the keys of each chunk size that commands use.
pub(super) fn checks() -> Vec<Check> {
    let directory = home::key_cache();
    let mut checks = vec![writable(&directory)];
    if home::production() {
        checks.push(Check::ok("development keys", "not used in production mode"));
        return checks;
    }
    checks.push(family("keys for pilots", &directory, ChunkSize::Small));
    checks.push(family(
        "keys for large data",
        &directory,
        ChunkSize::Standard,
    ));
    checks
}

fn writable(directory: &Path) -> Check {
    const NAME: &str = "key cache";
    let probe = std::fs::create_dir_all(directory)
        .and_then(|()| tempfile::NamedTempFile::new_in(directory))
        .and_then(|mut file| file.write_all(b"probe"));
    match probe {
        Ok(()) => Check::ok(NAME, format!("{} can be written", directory.display())),
        Err(error) => Check::fail(NAME, format!("{}: {error}", directory.display()), ELSEWHERE),
    }
}

/// Whether the keys of one chunk size are there with their pinned bytes. Makes none.
fn family(name: &'static str, directory: &Path, size: ChunkSize) -> Check {
    let (mut sound, mut absent, mut damaged, mut unreadable) = (0, 0, Vec::new(), None);
    let all = DevelopmentKey::family(size);
    for id in &all {
        let path = key_path(directory, id);
        match std::fs::read(&path) {
            Ok(bytes) if ProvingKey::digest_of(&bytes) == id.pinned().digest => sound += 1,
            Ok(_) => damaged.push(path),
            Err(error) if error.kind() == ErrorKind::NotFound => absent += 1,
            Err(error) => unreadable = Some(format!("{}: {error}", path.display())),
        }
    }
    if let Some(found) = unreadable {
        return Check::fail(name, found, ELSEWHERE);
    }
    if let Some(path) = damaged.first() {
        return Check::warn(
            name,
            format!(
                "{} of {} have other bytes than pinned",
                damaged.len(),
                all.len()
            ),
            format!("Delete {}; the next run makes it again.", path.display()),
        );
    }
    let words = format!("{sound} of {} present with their pinned bytes", all.len());
    if absent > 0 {
        Check::warn(
            name,
            words,
            "Nothing to do: the first run that needs a key makes it, which takes seconds.",
        )
    } else {
        Check::ok(
            name,
            format!("{words} (development only: their secrets are public)"),
        )
    }
}
