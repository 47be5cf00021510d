//! Mode, disk, processor, memory and clock.

use super::Check;
use crate::home;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const GIB: u64 = 1 << 30;
/// All development keys and a bundle of a quarter million people fit into this.
const WANTED_DISK: u64 = 2 * GIB;
/// A run over a few thousand people fits into this.
const WANTED_MEMORY: u64 = 2 * GIB;
/// 2026-01-01, before which no version of this program existed.
const FIRST_DAY: u64 = 1_767_225_600;
/// 2100-01-01.
const LAST_DAY: u64 = 4_102_444_800;

pub(super) fn mode() -> Check {
    const NAME: &str = "mode";
    match std::env::var("SALUS_MODE") {
        Err(std::env::VarError::NotPresent) => Check::ok(
            NAME,
            "development: keys and tokens without value (SALUS_MODE is not set)",
        ),
        Ok(value) if home::production() => Check::ok(
            NAME,
            format!("production (SALUS_MODE={value}): development keys and tokens are refused"),
        ),
        Ok(value) if value.is_empty() || value.eq_ignore_ascii_case("development") => {
            Check::ok(NAME, "development: keys and tokens without value")
        }
        _ => Check::fail(
            NAME,
            "SALUS_MODE is set to a word that is not known, and the mode is development",
            "Set it to production or development, or unset it.",
        ),
    }
}

/// The directory itself or the first one above it that exists.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find(|path| path.exists())
        .map_or(absolute.clone(), Path::to_owned)
}

pub(super) fn disk() -> Check {
    const NAME: &str = "disk";
    let place = existing(&home::key_cache());
    match rustix::fs::statvfs(&place) {
        Err(error) => Check::warn(
            NAME,
            format!("free space of {} is not known: {error}", place.display()),
            "Look for yourself: 2 GiB are enough.",
        ),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let words = format!("{} free where keys are kept", gibibytes(free));
            if free >= WANTED_DISK {
                Check::ok(NAME, words)
            } else if free < WANTED_DISK / 16 {
                Check::fail(
                    NAME,
                    words,
                    "Free some space, or set SALUS_HOME to a larger disk.",
                )
            } else {
                Check::warn(NAME, words, "Free some space before large runs.")
            }
        }
    }
}

pub(super) fn temporary_directory() -> Check {
    const NAME: &str = "temporary files";
    let place = std::env::temp_dir();
    match tempfile::NamedTempFile::new().and_then(|mut file| file.write_all(b"probe")) {
        Ok(()) => Check::ok(NAME, format!("{} can be written", place.display())),
        Err(error) => Check::fail(
            NAME,
            format!("{}: {error}", place.display()),
            "Point TMPDIR at a directory that can be written.",
        ),
    }
}

pub(super) fn cpu() -> Check {
    const NAME: &str = "processor";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let words = |path: &str| format!("{cores} cores, {path}");
    if vectors() {
        Check::ok(NAME, words("AVX-512 IFMA: the vector path proves"))
    } else {
        Check::ok(
            NAME,
            words("no AVX-512 IFMA: the portable path proves, same proofs, more time"),
        )
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512ifma")
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> bool {
    false
}

pub(super) fn memory() -> Check {
    const NAME: &str = "memory";
    let known = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| available(&text));
    match known {
        None => Check::warn(
            NAME,
            "free memory is not known here",
            "Look for yourself: 2 GiB are enough.",
        ),
        Some(free) if free >= WANTED_MEMORY => Check::ok(NAME, format!("{} free", gibibytes(free))),
        Some(free) => Check::warn(
            NAME,
            format!("{} free", gibibytes(free)),
            "Close other programs before runs over more than some thousand people.",
        ),
    }
}

/// The bytes that `/proc/meminfo` says a program can have.
fn available(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Consent and escrow run out by the clock, so a wrong one does harm in silence.
pub(super) fn clock() -> Check {
    const NAME: &str = "clock";
    const SET_IT: &str = "Set the clock (for example with an NTP service) and run again.";
    let now = SystemTime::now();
    let seconds = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if !(FIRST_DAY..LAST_DAY).contains(&seconds) {
        return Check::fail(
            NAME,
            format!("{seconds} seconds after 1970 cannot be now"),
            SET_IT,
        );
    }
    let stamped = tempfile::NamedTempFile::new()
        .and_then(|file| file.as_file().metadata())
        .and_then(|meta| meta.modified());
    let apart = |stamp: SystemTime| {
        stamp
            .duration_since(now)
            .or_else(|_| now.duration_since(stamp))
            .unwrap_or_default()
    };
    match stamped {
        Ok(stamp) if apart(stamp) > Duration::from_secs(60) => Check::warn(
            NAME,
            format!(
                "the disk's clock and this machine's are {} s apart",
                apart(stamp).as_secs()
            ),
            SET_IT,
        ),
        _ => Check::ok(NAME, "plausible, and the disk agrees"),
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_available_memory() {
        let text = "MemTotal:       24683972 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(available(text), Some(2048 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
