//! `salus doctor`: is this machine fit for the work?

mod chain;
mod keys;
mod machine;

use crate::error::{CliError, Kind};
use crate::output;
use serde_json::{Value, json};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// As it should be.
    Ok,
    /// Works, but somebody should know.
    Warn,
    /// Something will not work.
    Fail,
}

/// What one check found.
struct Check {
    name: &'static str,
    status: Status,
    /// One sentence without values that identify anybody.
    found: String,
    /// The next step; empty when there is none.
    next: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            found: found.into(),
            next: String::new(),
        }
    }
    fn warn(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Warn,
            found: found.into(),
            next: next.into(),
        }
    }
    fn fail(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Fail,
            found: found.into(),
            next: next.into(),
        }
    }

    fn word(&self) -> &'static str {
        match self.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        }
    }

    fn document(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.word(),
            "found": self.found,
            "next": (!self.next.is_empty()).then_some(&self.next),
        })
    }
}

/// `salus doctor`: exit 0 nothing failed, 1 something will not work.
pub fn run(as_json: bool) -> Result<(), CliError> {
    let mut checks = vec![machine::mode()];
    checks.extend(keys::checks());
    checks.push(machine::disk());
    checks.push(machine::temporary_directory());
    checks.push(machine::cpu());
    checks.push(machine::memory());
    checks.push(machine::clock());
    checks.push(chain::embedded());
    let failed: Vec<&Check> = checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .collect();
    let documents: Vec<Value> = checks.iter().map(Check::document).collect();
    let document = json!({"version": env!("CARGO_PKG_VERSION"), "healthy": failed.is_empty(), "checks": documents});
    if !as_json {
        output::text(&text(&checks))?;
    }
    let Some(first) = failed.first() else {
        return if as_json {
            output::json(&document)
        } else {
            Ok(())
        };
    };
    let names: Vec<&str> = failed.iter().map(|check| check.name).collect();
    let message = format!("not fit for work: {}", names.join(", "));
    Err(
        CliError::new(Kind::Failed, "doctor_failed", message, first.next.clone())
            .at(Vec::new(), document),
    )
}

fn text(checks: &[Check]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        rows.push(vec![
            check.word().to_owned(),
            check.name.to_owned(),
            check.found.clone(),
        ]);
        if !check.next.is_empty() {
            rows.push(vec![
                String::new(),
                String::new(),
                format!("next: {}", check.next),
            ]);
        }
    }
    output::aligned(&rows)
}
