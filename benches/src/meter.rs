//! User CPU time and memory of this process, from the kernel's own accounting (Linux).

use std::time::{Duration, Instant};

/// User CPU time of all threads so far; zero where /proc does not tell.
pub fn user_cpu() -> Duration {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return Duration::ZERO;
    };
    // The command name may hold spaces: count fields after its closing parenthesis.
    let ticks = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(11))
        .and_then(|v| v.parse::<u64>().ok())
        .unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

/// Largest resident set so far, in bytes; zero where /proc does not tell.
pub fn peak_memory() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return 0;
    };
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|v| v.split_whitespace().next())
        .and_then(|v| v.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Wall and user CPU time since it was started.
pub struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    /// Starts both clocks.
    pub fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: user_cpu(),
        }
    }
    /// Wall time.
    pub fn wall(&self) -> Duration {
        self.wall.elapsed()
    }
    /// User CPU time, to 10 ms.
    pub fn cpu(&self) -> Duration {
        user_cpu().saturating_sub(self.cpu)
    }
}
