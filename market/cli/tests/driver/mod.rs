//! Drives the real binary.
#![allow(clippy::unwrap_used, dead_code)]

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A finished run.
pub struct Run {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Reads what a process left.
    pub fn of(output: Output) -> Self {
        let run = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(
            !run.stderr.contains("panicked"),
            "a panic is no message:\n{}",
            run.stderr
        );
        run
    }

    /// The one JSON document on stdout.
    pub fn document(&self) -> Value {
        let mut documents = serde_json::Deserializer::from_str(&self.stdout).into_iter::<Value>();
        let first = documents
            .next()
            .unwrap_or_else(|| panic!("no JSON document on stdout; stderr:\n{}", self.stderr));
        let first = first.unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout));
        assert!(
            documents.next().is_none(),
            "more than one document:\n{}",
            self.stdout
        );
        first
    }

    /// Asserts success and returns the document.
    pub fn succeeded(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.document()
    }

    /// Asserts that the run failed with this exit code and stable code, and told the next step on
    /// stderr and in its one document, which is returned.
    pub fn failed(&self, exit: i32, code: &str) -> Value {
        let document = self.document();
        let error = &document["error"];
        assert_eq!(error["code"], code, "{document}\n{}", self.stderr);
        assert_eq!(error["exit"], exit, "{document}");
        assert_eq!(self.code, Some(exit), "{document}");
        let next = error["next"].as_str().unwrap();
        assert!(next.len() > 8, "no next step: {document}");
        assert!(
            self.stderr.contains(&format!("error[{code}]: ")) && self.stderr.contains(next),
            "stderr does not tell:\n{}",
            self.stderr
        );
        document
    }
}

/// The binary with a clean environment and a key cache that all tests share.
pub fn salus<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salus"));
    command
        .args(args)
        .env_remove("SALUS_MODE")
        .env("SALUS_HOME", home())
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// Where tests keep development keys.
pub fn home() -> PathBuf {
    std::env::var_os("SALUS_TEST_HOME").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("salus-home"),
        PathBuf::from,
    )
}

/// Runs to the end with `--json`.
pub fn json<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    Run::of(salus(args).arg("--json").output().unwrap())
}

/// Runs to the end.
pub fn plain<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    Run::of(salus(args).output().unwrap())
}

/// A temporary directory.
pub struct Place(tempfile::TempDir);

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    /// The directory itself.
    pub fn root(&self) -> &Path {
        self.0.path()
    }
    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
    /// The names of everything in the place.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
