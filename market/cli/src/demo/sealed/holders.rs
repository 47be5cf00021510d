//! The key holders of the demo: processes of their own, each with its own folder, key file and view of the chain.

use crate::args::DemoArgs;
use crate::error::{CliError, Kind};
use crate::progress::Stage;
use rand::RngCore;
use rand::rngs::OsRng;
use rustix::process::{Pid, Signal, kill_process};
use salus_committee::config::CommitteeFile;
use salus_committee::shape::CommitteeShape;
use salus_contracts::primitives::hex;
use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What befalls a holder in the middle of the demo, to see the committee cope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its process is killed.
    Kill,
    /// Its process is stopped: it holds connections and says nothing.
    Stop,
    /// Every value it gives is wrong.
    Lie,
}

impl Trouble {
    /// For a person.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Stop => "stopped",
            Self::Lie => "gives wrong values",
        }
    }
}

/// `NUMBER:WHAT` of `--trouble`.
fn trouble(text: &str) -> Result<(usize, Trouble), String> {
    let wanted = || format!("`{text}` is not NUMBER:WHAT with WHAT kill, stop or lie");
    let (number, what) = text.split_once(':').ok_or_else(wanted)?;
    let what = match what {
        "kill" => Trouble::Kill,
        "stop" => Trouble::Stop,
        "lie" => Trouble::Lie,
        _ => return Err(wanted()),
    };
    let number: usize = number.parse().map_err(|_| wanted())?;
    Ok((number.checked_sub(1).ok_or_else(wanted)?, what))
}

/// What befalls which holder, once it is known that such a committee can exist.
pub fn troubles(args: &DemoArgs) -> Result<Vec<(usize, Trouble)>, CliError> {
    let usage = |message: String| {
        CliError::new(
            Kind::Usage,
            "committee_impossible",
            message,
            "Give --holders and --threshold with 2 <= threshold and 2 * threshold - 1 <= holders <= 16, and troubles of holders that exist.",
        )
    };
    if args.threshold < 2 {
        return Err(usage("one holder alone must not open anything".to_owned()));
    }
    CommitteeShape::new(args.holders, args.threshold).map_err(|e| usage(e.to_string()))?;
    let troubles: Vec<(usize, Trouble)> = args
        .trouble
        .iter()
        .map(|text| trouble(text))
        .collect::<Result<_, _>>()
        .map_err(usage)?;
    match troubles
        .iter()
        .find(|(i, _)| *i >= usize::from(args.holders))
    {
        Some((number, _)) => Err(usage(format!("there is no holder {}", number + 1))),
        None => Ok(troubles),
    }
}

fn failed(what: &str, reason: impl std::fmt::Display) -> CliError {
    CliError::new(
        Kind::Failed,
        "committee_failed",
        format!("{what}: {reason}"),
        "Run the command again; the log of every holder is in its folder while the demo runs.",
    )
}

/// The holders' folders and processes; processes end when this is dropped.
pub struct Holders {
    root: PathBuf,
    passphrase: String,
    file: CommitteeFile,
    children: Vec<Child>,
}

impl Drop for Holders {
    fn drop(&mut self) {
        for child in &mut self.children {
            // A stopped process takes this signal too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, CliError> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr());
    Ok(bound.map_err(|e| failed("no free port", e))?.port())
}

impl Holders {
    /// Makes the identities of `number` holders, any `threshold` of which open, and of the market's client in `root`.
    pub fn init(root: &Path, number: u8, threshold: u8) -> Result<Self, CliError> {
        let mut secret = [0u8; 24];
        OsRng.fill_bytes(&mut secret);
        let mut holders = Self {
            root: root.to_owned(),
            passphrase: hex::encode(secret),
            file: CommitteeFile {
                version: 0,
                epoch: 0,
                threshold,
                holders: Vec::new(),
                clients: Vec::new(),
            },
            children: Vec::new(),
        };
        let mut entries = Vec::new();
        for index in 0..usize::from(number) {
            let address = format!("127.0.0.1:{}", free_port()?);
            let name = format!("holder-{}", index + 1);
            let words = ["init", "--name", &name, "--address", &address];
            entries.push(holders.entry(&holders.dir(index), &words)?);
        }
        let market = holders.market_dir();
        entries.push(holders.entry(&market, &["client", "--name", "market"])?);
        let out = holders.committee_file();
        let mut command = holders.command(&["assemble"]);
        command.arg("--threshold").arg(threshold.to_string());
        command.arg("--out").arg(&out).args(&entries);
        holders.finish(command)?;
        let text = fs::read_to_string(&out).map_err(|e| failed("committee file", e))?;
        holders.file = CommitteeFile::from_toml(&text).map_err(|e| failed("committee file", e))?;
        Ok(holders)
    }

    /// The committee file.
    pub fn file(&self) -> &CommitteeFile {
        &self.file
    }

    /// Where the committee file is.
    pub fn committee_file(&self) -> PathBuf {
        self.root.join("committee.toml")
    }

    /// The folder of the market's client.
    pub fn market_dir(&self) -> PathBuf {
        self.root.join("market")
    }

    /// The passphrase of every key file here.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// The folder of a holder.
    pub fn dir(&self, index: usize) -> PathBuf {
        self.root.join(format!("holder-{}", index + 1))
    }

    fn command(&self, words: &[&str]) -> Command {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("salus"));
        let mut command = Command::new(program);
        command.arg("committee").args(words);
        command.env("SALUS_PASSPHRASE", &self.passphrase);
        command.stdin(Stdio::null());
        command
    }

    fn finish(&self, mut command: Command) -> Result<Output, CliError> {
        let output = command.output().map_err(|e| failed("a holder", e))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(failed("a holder", said))
    }

    fn entry(&self, dir: &Path, words: &[&str]) -> Result<PathBuf, CliError> {
        let mut command = self.command(words);
        command.arg("--dir").arg(dir);
        let output = self.finish(command)?;
        let path = dir.join("entry.toml");
        fs::write(&path, output.stdout).map_err(|e| failed("an entry", e))?;
        Ok(path)
    }

    /// Lets the holders make their key; returns the joint public key's bytes, the same from all.
    pub fn keygen(&mut self) -> Result<Vec<u8>, CliError> {
        let stage = Stage::begin("  committee: make the key", 0);
        let mut nonce = [0u8; 16];
        OsRng.fill_bytes(&mut nonce);
        let session = hex::encode(nonce);
        let number = self.file.holders.len();
        for index in 0..number {
            let mut command = self.command(&["keygen", "--session", &session]);
            command.arg("--dir").arg(self.dir(index));
            command.arg("--committee").arg(self.committee_file());
            command.arg("--public-key").arg(self.public_key(index));
            let child = self.start(command, index, "keygen.log")?;
            self.children.push(child);
        }
        for (index, mut child) in std::mem::take(&mut self.children).into_iter().enumerate() {
            let status = child.wait().map_err(|e| failed("key generation", e))?;
            if !status.success() {
                return Err(failed("key generation", self.log(index, "keygen.log")));
            }
        }
        let keys: Vec<Vec<u8>> = (0..number)
            .map(|index| fs::read(self.public_key(index)).map_err(|e| failed("public key", e)))
            .collect::<Result<_, _>>()?;
        if keys.iter().any(|key| *key != keys[0]) {
            return Err(failed("key generation", "the holders made different keys"));
        }
        stage.end(&format!(
            "{number} processes, any {} open, no dealer",
            self.file.threshold
        ));
        keys.into_iter()
            .next()
            .ok_or_else(|| failed("key generation", "there are no holders"))
    }

    fn public_key(&self, index: usize) -> PathBuf {
        self.dir(index).join("public-key.bin")
    }

    fn start(&self, mut command: Command, index: usize, log: &str) -> Result<Child, CliError> {
        let log = File::create(self.dir(index).join(log)).map_err(|e| failed("a log", e))?;
        command.stdout(Stdio::null()).stderr(Stdio::from(log));
        command.spawn().map_err(|e| failed("a holder", e))
    }

    fn log(&self, index: usize, name: &str) -> String {
        let text = fs::read_to_string(self.dir(index).join(name)).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" ")
    }

    /// An identity beside the committee; returns its folder.
    pub fn outsider(&self, name: &str) -> Result<PathBuf, CliError> {
        let dir = self.root.join(name);
        self.entry(&dir, &["client", "--name", name])?;
        Ok(dir)
    }

    /// One evaluator's run with these arguments: what it printed, or `None` when it was interrupted. Its progress shows.
    pub fn evaluate(
        &self,
        dir: &Path,
        arguments: &[(&str, PathBuf)],
    ) -> Result<Option<Value>, CliError> {
        let mut command = self.command(&["evaluate", "--json"]);
        command.arg("--dir").arg(dir);
        for (name, value) in arguments {
            command.arg(name).arg(value);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let child = command.spawn().map_err(|e| failed("an evaluator", e))?;
        let output = child
            .wait_with_output()
            .map_err(|e| failed("an evaluator", e))?;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match output.status.code() {
            Some(0) => Ok(Some(said)),
            Some(7) => Ok(None),
            _ => Err(failed("an evaluator", &said["error"]["message"])),
        }
    }

    /// The holders' acceptances of being registered, as (signer, signature) hexadecimal words; for the committee of a
    /// dealer's key when there is its file.
    pub fn acceptances(
        &self,
        deployment: &Path,
        adhoc_key: Option<&Path>,
    ) -> Result<Vec<(String, String)>, CliError> {
        (0..self.file.holders.len())
            .map(|index| {
                let mut command = self.command(&["accept", "--json"]);
                command.arg("--dir").arg(self.dir(index));
                command.arg("--committee").arg(self.committee_file());
                command.arg("--deployment").arg(deployment);
                if let Some(key) = adhoc_key {
                    command.arg("--adhoc-key").arg(key);
                }
                let output = self.finish(command)?;
                let said: Value = serde_json::from_slice(&output.stdout)
                    .map_err(|e| failed("an acceptance", e))?;
                let word = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
                Ok((word("signer"), word("acceptance")))
            })
            .collect()
    }

    /// Starts everybody's service.
    pub fn serve(
        &mut self,
        arguments: &[(&str, &Path)],
        rpc: &str,
        lying: &[usize],
    ) -> Result<(), CliError> {
        for index in 0..self.file.holders.len() {
            let mut command = self.command(&["serve", "--rpc", rpc]);
            command.arg("--dir").arg(self.dir(index));
            command.arg("--committee").arg(self.committee_file());
            for (name, path) in arguments {
                command.arg(name).arg(path);
            }
            if lying.contains(&index) {
                command.arg("--insecure-lie");
            }
            let child = self.start(command, index, "serve.log")?;
            self.children.push(child);
        }
        Ok(())
    }

    /// The first holder whose process has ended, with its last words.
    pub fn ended(&mut self) -> Option<(usize, String)> {
        let ended = self
            .children
            .iter_mut()
            .position(|child| matches!(child.try_wait(), Ok(Some(_))))?;
        Some((ended, self.log(ended, "serve.log")))
    }

    /// Lets a running holder's process suffer.
    pub fn befall(&mut self, index: usize, trouble: Trouble) -> Result<(), CliError> {
        let child = self
            .children
            .get_mut(index)
            .ok_or_else(|| failed("--trouble", format!("there is no holder {}", index + 1)))?;
        match trouble {
            Trouble::Kill => child
                .kill()
                .and_then(|()| child.wait().map(|_| ()))
                .map_err(|e| failed("--trouble", e)),
            Trouble::Stop => i32::try_from(child.id())
                .ok()
                .and_then(Pid::from_raw)
                .ok_or_else(|| failed("--trouble", "no process number"))
                .and_then(|pid| {
                    kill_process(pid, Signal::STOP).map_err(|e| failed("--trouble", e))
                }),
            Trouble::Lie => Ok(()),
        }
    }
}
