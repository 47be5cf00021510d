//! What a user is told when something did not happen: code, what happened, what was charged, what
//! to do next; and the exit code of its family.

use serde_json::{Value, json};

/// Why a command ended early, in the families of the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our side, the node, the disk.
    Failed,
    /// Wrong words on the command line.
    Usage,
    /// A file or name does not exist.
    NotFound,
    /// A role or permission is missing.
    NotAllowed,
    /// Proof, signature or data is wrong.
    Invalid,
    /// Policy or budget says no.
    Refused,
    /// Interrupted or busy: run it again.
    TryAgain,
    /// Something needed for a check is missing; nothing is known to be wrong.
    CouldNotCheck,
}

/// Where a problem lies.
#[derive(Debug)]
struct Place {
    /// For a person.
    lines: Vec<String>,
    /// For a script: what stands under `detail` in the JSON document.
    detail: Value,
}

/// A problem as a person and a script see it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// Family.
    pub kind: Kind,
    /// Stable code, e.g. `data_ragged_row`.
    pub code: String,
    /// What happened, one sentence.
    pub message: String,
    /// What was charged; empty when nothing could have been.
    pub charged: String,
    /// The next step.
    pub next: String,
    /// Where it lies, when that can be told.
    place: Option<Box<Place>>,
    /// Whether stdout has told already.
    documented: bool,
}

impl CliError {
    /// A problem in which nothing was charged.
    pub fn new(
        kind: Kind,
        code: &str,
        message: impl std::fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.to_string(),
            charged: "nothing".to_owned(),
            next: next.into(),
            place: None,
            documented: false,
        }
    }

    /// The same problem with the place where it lies.
    #[must_use]
    pub fn at(mut self, lines: Vec<String>, detail: Value) -> Self {
        self.place = Some(Box::new(Place { lines, detail }));
        self
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::NotAllowed => 4,
            Kind::Invalid => 5,
            Kind::Refused => 6,
            Kind::TryAgain => 7,
            Kind::CouldNotCheck => 8,
        }
    }

    /// The place for a person: further lines under the message.
    pub fn lines(&self) -> &[String] {
        self.place.as_ref().map_or(&[], |place| &place.lines)
    }

    /// The same problem, of which a JSON document on stdout has told already.
    #[must_use]
    pub fn after_document(mut self) -> Self {
        self.documented = true;
        self
    }

    /// The problem as a JSON document.
    pub fn document(&self) -> Value {
        let mut problem = json!({"error": {
            "code": self.code,
            "exit": self.exit_code(),
            "message": self.message,
            "charged": self.charged,
            "next": self.next,
        }});
        if let Some(place) = &self.place
            && !place.detail.is_null()
        {
            problem["error"]["detail"] = place.detail.clone();
        }
        problem
    }

    /// Tells the user: text on stderr, and one JSON document on stdout where that is asked for.
    pub fn report(&self, as_json: bool) {
        if as_json && !self.documented {
            // When stdout is gone, stderr and the exit code still tell.
            let _ = crate::output::json(&self.document());
        }
        eprintln!("error[{}]: {}", self.code, self.message);
        for line in self.lines() {
            eprintln!("  {line}");
        }
        eprintln!("  charged: {}", self.charged);
        eprintln!("  next: {}", self.next);
    }
}
