//! Named stages with elapsed time on stderr, and one switch that Ctrl-C turns.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Turned on by Ctrl-C; long work looks at it between steps.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C on the current tokio runtime. A second Ctrl-C ends the process at once.
    pub fn listen() -> Self {
        let flag = Self::default();
        let seen = flag.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if seen.0.swap(true, Ordering::Relaxed) {
                    std::process::exit(7);
                }
                eprintln!("stopping after the current step; press Ctrl-C again to stop at once");
            }
        });
        flag
    }
    /// Whether to stop.
    pub fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    /// The flag to share with other threads.
    pub fn shared(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
    /// The flag itself, for the prover.
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }
}

/// One named stage.
pub struct Stage {
    bar: ProgressBar,
    name: String,
    start: Instant,
}

impl Stage {
    /// Begins a stage of `total` units (0: unknown).
    pub fn begin(name: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = if total > 0 {
            "{msg:<34} {elapsed:>5} [{wide_bar}] {pos}/{len} eta {eta}"
        } else {
            "{msg:<34} {elapsed:>5} {spinner}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            name: name.to_owned(),
            start: Instant::now(),
        }
    }
    /// Sets how much is done.
    pub fn at(&self, done: u64) {
        self.bar.set_position(done);
    }
    /// Ends the stage with one line and returns its duration.
    pub fn end(self, result: &str) -> Duration {
        let elapsed = self.start.elapsed();
        self.bar.finish_and_clear();
        eprintln!(
            "{:<34} {:>8.2} s  {result}",
            self.name,
            elapsed.as_secs_f64()
        );
        elapsed
    }
}
