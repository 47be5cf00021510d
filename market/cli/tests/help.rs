//! The help texts, word for word. After a wanted change: `SALUS_UPDATE_HELP=1 cargo test -p salus --test help`.
#![allow(clippy::unwrap_used)]

mod driver;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help")
}

fn help(command: &[String]) -> String {
    let run = driver::plain(command.iter().map(String::as_str).chain(["--help"]));
    assert_eq!(run.code, Some(0), "{command:?}: {}", run.stderr);
    assert_eq!(run.stderr, "", "help is data");
    // Blanks at line ends are invisible and editors strip them.
    run.stdout
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// The subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn help_texts_are_the_recorded_ones() {
    let update = std::env::var_os("SALUS_UPDATE_HELP").is_some();
    let mut waiting = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    let mut differing = Vec::new();
    while let Some(command) = waiting.pop() {
        let text = help(&command);
        for name in subcommands(&text) {
            let mut child: Vec<String> = command.clone();
            child.push(name);
            waiting.push(child);
        }
        let name = if command.is_empty() {
            "salus".to_owned()
        } else {
            command.join("-")
        };
        let file = golden().join(format!("{name}.txt"));
        seen.insert(file.clone());
        if update {
            std::fs::write(&file, &text).unwrap();
        } else if std::fs::read_to_string(&file).ok().as_ref() != Some(&text) {
            differing.push(name);
        }
    }
    for entry in std::fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if !seen.contains(&path) {
            if update {
                std::fs::remove_file(&path).unwrap();
            } else {
                differing.push(path.display().to_string());
            }
        }
    }
    assert!(
        differing.is_empty(),
        "help differs from tests/help for {differing:?}; if that is wanted, run with SALUS_UPDATE_HELP=1"
    );
    assert!(seen.len() > 10, "the command tree was not found: {seen:?}");
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let run = driver::plain(["completions", shell]);
        assert_eq!(run.code, Some(0));
        for command in ["demo", "dataset", "query", "verify", "audit", "doctor"] {
            assert!(
                run.stdout.contains(command),
                "{shell} does not complete {command}"
            );
        }
    }
}
