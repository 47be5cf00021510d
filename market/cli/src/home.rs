//! Where this machine keeps keys, and in which mode it runs.

use std::path::PathBuf;

/// True iff `SALUS_MODE=production`: development keys, tokens and chains are refused.
pub fn production() -> bool {
    std::env::var("SALUS_MODE").is_ok_and(|m| m.eq_ignore_ascii_case("production"))
}

/// The key cache: `SALUS_HOME/keys`, else under the user's cache directory, else here.
pub fn key_cache() -> PathBuf {
    let base = std::env::var_os("SALUS_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("XDG_CACHE_HOME").map(|d| PathBuf::from(d).join("salus")))
        .or_else(|| std::env::var_os("HOME").map(|d| PathBuf::from(d).join(".cache/salus")))
        .unwrap_or_else(|| PathBuf::from(".salus"));
    base.join("keys")
}
