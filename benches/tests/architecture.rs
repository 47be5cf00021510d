//! The architecture test: docs/ARCHITECTURE.md says what may depend on what; this test reads it,
//! reads `cargo metadata`, and fails on every difference.

#![allow(clippy::unwrap_used)]

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const LINES_AT_MOST: usize = 700;
const SOURCES: [&str; 7] = ["rs", "sol", "mjs", "js", "ts", "svelte", "py"];

/// What a package may depend on.
#[derive(Debug, Default)]
struct Permission {
    folder: String,
    uses: BTreeSet<String>,
    tests_use: BTreeSet<String>,
}

/// The tables of docs/ARCHITECTURE.md.
#[derive(Debug, Default)]
struct Rules {
    packages: BTreeMap<String, Permission>,
    /// Heavy crate and the packages that may name it.
    walls: BTreeMap<String, BTreeSet<String>>,
    top_level: BTreeSet<String>,
}

/// One declared dependency of a workspace package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrow {
    from: String,
    to: String,
    kind: DependencyKind,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// The words between backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let from = text
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let body = &text[from + 1..];
    body.find("\n## ").map_or(body, |end| &body[..end])
}

/// Cells of the table rows whose first cell is a quoted name.
fn rows(section: &str) -> Vec<Vec<&str>> {
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

impl Rules {
    fn parse(text: &str) -> Self {
        let name = |cell: &str| quoted(cell).pop_first().unwrap();
        let packages = rows(section(text, "Packages"))
            .into_iter()
            .map(|cells| {
                let permission = Permission {
                    folder: cells[1].to_owned(),
                    uses: quoted(cells[3]),
                    tests_use: quoted(cells[4]),
                };
                (name(cells[0]), permission)
            })
            .collect();
        let walls = rows(section(text, "Walls"))
            .into_iter()
            .map(|cells| (name(cells[0]), quoted(cells[1])))
            .collect();
        let allowed = section(text, "Top level").split("\n\n").nth(1).unwrap();
        Self {
            packages,
            walls,
            top_level: quoted(allowed),
        }
    }

    fn wall_of(&self, name: &str) -> Option<(&String, &BTreeSet<String>)> {
        self.walls.iter().find(|(heavy, _)| {
            name == heavy.as_str()
                || name
                    .strip_prefix(heavy.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
        })
    }

    /// What is wrong with these dependencies: one sentence each.
    fn violations(&self, arrows: &[Arrow]) -> Vec<String> {
        let mut found = Vec::new();
        for Arrow { from, to, kind } in arrows {
            let Some(permission) = self.packages.get(from) else {
                found.push(format!("{from} is not in the table of packages"));
                continue;
            };
            if let Some((heavy, owners)) = self.wall_of(to)
                && !owners.contains(from)
            {
                found.push(format!(
                    "{from} names {to}, but {heavy} stays in {owners:?}"
                ));
            }
            if !self.packages.contains_key(to) {
                continue;
            }
            let in_tests =
                *kind == DependencyKind::Development && permission.tests_use.contains(to);
            if !permission.uses.contains(to) && !in_tests {
                found.push(format!("{from} may not name {to} ({kind:?})"));
            }
        }
        found
    }

    fn strangers<'a>(&self, entries: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        entries
            .into_iter()
            .filter(|e| !e.starts_with('.') && !self.top_level.contains(*e))
            .collect()
    }
}

fn rules() -> Rules {
    Rules::parse(&std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap())
}

/// Packages with their folders, and all their declared dependencies.
fn workspace() -> (BTreeMap<String, PathBuf>, Vec<Arrow>) {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .unwrap();
    let mut folders = BTreeMap::new();
    let mut arrows = Vec::new();
    for package in metadata.packages {
        let from = package.name.to_string();
        folders.insert(
            from.clone(),
            package
                .manifest_path
                .parent()
                .unwrap()
                .as_std_path()
                .to_path_buf(),
        );
        for dependency in package.dependencies {
            arrows.push(Arrow {
                from: from.clone(),
                to: dependency.name,
                kind: dependency.kind,
            });
        }
    }
    (folders, arrows)
}

/// Files under version control; `None` outside a checkout.
fn tracked() -> Option<Vec<String>> {
    let out = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .ok()?;
    let files: Vec<String> = String::from_utf8(out.stdout)
        .ok()?
        .split('\0')
        .filter(|f| !f.is_empty())
        .map(str::to_owned)
        .collect();
    (out.status.success() && !files.is_empty()).then_some(files)
}

/// Source files with too many lines.
fn too_long<'a>(files: impl IntoIterator<Item = (&'a str, usize)>) -> Vec<String> {
    files
        .into_iter()
        .filter(|(name, lines)| {
            *lines > LINES_AT_MOST
                && name
                    .rsplit('.')
                    .next()
                    .is_some_and(|e| SOURCES.contains(&e))
        })
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect()
}

/// Targets of relative links in a document.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| {
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
        })
        .collect()
}

#[test]
fn every_arrow_stands_in_the_table() {
    let (_, arrows) = workspace();
    assert!(
        arrows.len() > 20,
        "cargo metadata lists {} dependencies",
        arrows.len()
    );
    let found = rules().violations(&arrows);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_table_lists_the_workspace_and_nothing_else() {
    let (folders, _) = workspace();
    let rules = rules();
    let listed: BTreeMap<String, PathBuf> = rules
        .packages
        .iter()
        .map(|(name, p)| (name.clone(), root().join(&p.folder)))
        .collect();
    assert_eq!(listed, folders);
    let names: BTreeSet<&String> = rules.packages.keys().collect();
    for permission in rules.packages.values() {
        for named in permission.uses.iter().chain(&permission.tests_use) {
            assert!(
                names.contains(named),
                "the table names {named}, which is no package"
            );
        }
    }
}

#[test]
fn packages_form_no_cycle() {
    let rules = rules();
    let mut left: BTreeMap<&String, &BTreeSet<String>> =
        rules.packages.iter().map(|(n, p)| (n, &p.uses)).collect();
    while !left.is_empty() {
        let free = left
            .iter()
            .find(|(_, uses)| uses.iter().all(|u| !left.contains_key(u)))
            .map(|(n, _)| *n);
        let free = free.unwrap_or_else(|| panic!("a cycle among {:?}", left.keys()));
        left.remove(free);
    }
}

#[test]
fn the_top_level_has_no_stranger() {
    let Some(files) = tracked() else {
        println!("skipped: not a git checkout");
        return;
    };
    let entries: BTreeSet<&str> = files.iter().filter_map(|f| f.split('/').next()).collect();
    assert_eq!(rules().strangers(entries), Vec::<&str>::new());
}

#[test]
fn no_source_file_is_too_long() {
    let Some(files) = tracked() else {
        println!("skipped: not a git checkout");
        return;
    };
    let lines = |name: &str| {
        std::fs::read(root().join(name)).map_or(0, |b| b.iter().filter(|c| **c == b'\n').count())
    };
    let found = too_long(files.iter().map(|name| (name.as_str(), lines(name))));
    assert!(
        found.is_empty(),
        "more than {LINES_AT_MOST} lines:\n{}",
        found.join("\n")
    );
}

#[test]
fn packages_that_may_touch_nothing_touch_nothing() {
    let Some(files) = tracked() else {
        println!("skipped: not a git checkout");
        return;
    };
    let pure = |f: &&String| {
        (f.starts_with("circuits/src/") || f.starts_with("datasets/schema/src/"))
            && f.ends_with(".rs")
    };
    for name in files.iter().filter(pure) {
        let Ok(text) = std::fs::read_to_string(root().join(name)) else {
            continue;
        };
        for forbidden in ["std::fs", "std::net", "std::process", "std::env"] {
            assert!(!text.contains(forbidden), "{name} uses {forbidden}");
        }
    }
}

#[test]
fn documents_link_to_files_that_exist() {
    let Some(files) = tracked() else {
        println!("skipped: not a git checkout");
        return;
    };
    for name in files.iter().filter(|f| f.ends_with(".md")) {
        let path = root().join(name);
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for target in links(&text) {
            assert!(
                path.parent().unwrap().join(target).exists(),
                "{name} links to {target}, which does not exist"
            );
        }
    }
}

#[test]
fn every_step_says_so_in_its_file() {
    let Some(files) = tracked() else {
        println!("skipped: not a git checkout");
        return;
    };
    let sources: Vec<String> = files
        .iter()
        .filter(|f| f.ends_with(".rs") || f.ends_with(".sol"))
        .filter_map(|f| std::fs::read_to_string(root().join(f)).ok())
        .collect();
    for step in 1..=8 {
        let words = format!("Step {step} of 8: ");
        let said = sources.iter().any(|s| {
            s.lines()
                .any(|l| l.trim_start().starts_with("//") && l.contains(&words))
        });
        assert!(said, "no file says \"{words}\"");
    }
}

mod the_check_itself {
    use super::*;

    const PAGE: &str = "# X\n\n## Packages\n\n| package | folder | what | may name | tests | touch |\n|---|---|---|---|---|---|\n\
        | `low` | a | x | nothing | nothing | nothing |\n\
        | `high` | b | x | `low` | nothing | files |\n\
        | `side` | c | x | nothing | `low` | files |\n\n\
        ## Walls\n\n| crate | only in |\n|---|---|\n| `polars` | `high` |\n| `tfhe` | nobody yet |\n\n\
        ## Top level\n\nAllowed: `Cargo.toml`, `docs`.\n\nNot `this`.\n";

    fn arrow(from: &str, to: &str, kind: DependencyKind) -> Arrow {
        Arrow {
            from: from.to_owned(),
            to: to.to_owned(),
            kind,
        }
    }

    fn count(arrows: &[Arrow]) -> usize {
        Rules::parse(PAGE).violations(arrows).len()
    }

    #[test]
    fn accepts_what_the_table_allows() {
        use DependencyKind::{Build, Development, Normal};
        let arrows = [
            arrow("high", "low", Normal),
            arrow("high", "low", Build),
            arrow("high", "low", Development),
            arrow("side", "low", Development),
            arrow("high", "polars", Normal),
            arrow("high", "polars-core", Normal),
            arrow("low", "polarsteps", Normal),
            arrow("low", "serde", Normal),
        ];
        assert_eq!(Rules::parse(PAGE).violations(&arrows), Vec::<String>::new());
    }

    #[test]
    fn rejects_a_forbidden_arrow() {
        use DependencyKind::{Build, Development, Normal};
        for kind in [Normal, Build, Development] {
            assert_eq!(count(&[arrow("low", "high", kind)]), 1, "{kind:?}");
        }
        assert_eq!(
            count(&[arrow("side", "low", Normal)]),
            1,
            "a test permission is for tests only"
        );
        assert_eq!(count(&[arrow("side", "low", Build)]), 1);
    }

    #[test]
    fn rejects_a_heavy_crate_outside_its_wall() {
        use DependencyKind::{Development, Normal};
        for to in ["polars", "polars-core", "tfhe", "tfhe-fft"] {
            assert_eq!(count(&[arrow("low", to, Normal)]), 1, "{to}");
            assert_eq!(count(&[arrow("low", to, Development)]), 1, "{to}");
        }
        assert_eq!(
            count(&[arrow("high", "tfhe", Normal)]),
            1,
            "nobody may name it yet"
        );
    }

    #[test]
    fn rejects_a_package_that_the_table_does_not_know() {
        assert_eq!(count(&[arrow("new", "serde", DependencyKind::Normal)]), 1);
    }

    #[test]
    fn rejects_strangers_on_the_top_level() {
        let rules = Rules::parse(PAGE);
        assert_eq!(
            rules.strangers(["Cargo.toml", ".gitignore", "docs"]),
            Vec::<&str>::new()
        );
        assert_eq!(
            rules.strangers(["docs", "scripts", "this"]),
            ["scripts", "this"]
        );
    }

    #[test]
    fn rejects_long_sources_only() {
        assert_eq!(
            too_long([
                ("a.rs", 701),
                ("b.sol", 700),
                ("Cargo.lock", 9000),
                ("c.json", 9000)
            ])
            .len(),
            1
        );
    }

    #[test]
    fn finds_relative_links() {
        assert_eq!(
            links("[a](b.md) [c](https://x.y/z) [d](e/f.rs#L1) [g](#h)"),
            ["b.md", "e/f.rs"]
        );
    }
}
