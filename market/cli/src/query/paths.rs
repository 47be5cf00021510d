//! Which ways there are to answer a query, what each takes, and which one is taken: all before anything runs.

use super::Planned;
use salus_adhoc::layout::Layout;
use salus_adhoc::query::AdhocQuery;
use salus_cubes::parameters::{Flooding, FloodingBudget, Room};
use salus_schema::cube::{Cube, CubeForms, Form, PassForms, forms};
use salus_schema::plan::{ColumnIndex, Plan};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// CPU seconds per record and pass of the proven path (README, figures).
const PROVE_SECONDS: f64 = 16e-6;
/// CPU seconds of one holder per term of an opened form.
const TERM_SECONDS: f64 = 13e-9;
/// Subsets of the usual committee, any two of four holders.
const SUBSETS: u32 = 4;

/// The ways of a planned query for this many people, and the one that is taken on the sealed path.
pub(super) fn document(planned: &Planned, people: u64) -> Value {
    let cube = cube(planned, people);
    let ad_hoc = ad_hoc(&planned.plan, planned, people);
    let sealed = if cube["available"] == true {
        json!("cube")
    } else if ad_hoc["available"] == true {
        json!("ad-hoc")
    } else {
        Value::Null
    };
    let proven_seconds = people as f64 * PROVE_SECONDS * planned.plan.passes().len() as f64;
    json!({
        "people": people,
        "proven": {
            "available": true,
            "cpu_seconds": proven_seconds,
            "error": "none: exact, then the release rule",
        },
        "cube": cube,
        "ad_hoc": ad_hoc,
        "sealed_by": sealed,
    })
}

fn cube(planned: &Planned, people: u64) -> Value {
    let cubes = planned.codebook.cubes();
    let mut reasons = Vec::new();
    for cube in cubes {
        match forms(cube, &planned.plan, people) {
            Ok(found) => return opening(cube, &found, people),
            Err(why) => reasons.push(json!({"cube": cube.name(), "reason": why.to_string()})),
        }
    }
    json!({
        "available": false,
        "reason": if cubes.is_empty() { "the codebook declares no cubes" } else { "no cube covers the query" },
        "cubes": reasons,
    })
}

fn opening(cube: &Cube, found: &CubeForms, people: u64) -> Value {
    let flooding = Flooding::new(SUBSETS, Room::Value(cube.modulus()));
    let all = found.passes.iter().flat_map(PassForms::all);
    let all: Vec<&Form> = all.filter(|form| !form.is_empty()).collect();
    let terms: usize = all.iter().map(|form| form.terms().len()).sum();
    let cost: f64 = all
        .iter()
        .map(|form| flooding.form_cost(form, people))
        .sum();
    json!({
        "available": true,
        "cube": cube.name(),
        "cells": cube.cells(),
        "values_opened": all.len(),
        "cpu_seconds_per_holder": terms as f64 * TERM_SECONDS * f64::from(SUBSETS - 1),
        "flooding_budget_share": cost / FloodingBudget::LIMIT,
        "error": "none: exact, then the release rule",
    })
}

fn ad_hoc(plan: &Plan, planned: &Planned, people: u64) -> Value {
    let mut columns: Vec<ColumnIndex> = plan
        .passes()
        .iter()
        .flat_map(|pass| pass.columns().iter().copied())
        .collect();
    columns.sort_unstable_by_key(|column| column.0);
    columns.dedup();
    let query = Layout::of_columns(&planned.codebook, &columns)
        .map_err(|e| e.to_string())
        .and_then(|layout| AdhocQuery::new(plan, &layout).map_err(|e| e.to_string()));
    match query {
        Err(reason) => json!({"available": false, "reason": reason}),
        Ok(query) => {
            let estimate = query.estimate(usize::try_from(people).unwrap_or(usize::MAX), 2);
            json!({
                "available": true,
                "seconds_on_two_cores": estimate.seconds,
                "rotations_per_record": estimate.rotations_per_record,
                "records_per_second_and_core": estimate.records_per_second_assumed,
                "wrong_digit_log2": estimate.p_fail_log2,
                "key": "dealer ceremony",
                "error": "none, but for a wrong digit with the probability given",
            })
        }
    }
}

/// The ways as text.
pub(super) fn text(paths: &Value) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\nfor {} people", paths["people"]);
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let _ = writeln!(
        out,
        "  proven   {} of CPU by the custodian; exact",
        duration(number(&paths["proven"]["cpu_seconds"]))
    );
    let cube = &paths["cube"];
    if cube["available"] == true {
        let _ = writeln!(
            out,
            "  cube     {} ({} cells): {} values, {} of CPU per holder, {:.1e} of the flooding budget; exact",
            cube["cube"].as_str().unwrap_or_default(),
            cube["cells"],
            cube["values_opened"],
            duration(number(&cube["cpu_seconds_per_holder"])),
            number(&cube["flooding_budget_share"]),
        );
    } else {
        let _ = writeln!(
            out,
            "  cube     no: {}",
            cube["reason"].as_str().unwrap_or_default()
        );
        for tried in cube["cubes"].as_array().into_iter().flatten() {
            let word = |name: &str| tried[name].as_str().unwrap_or_default();
            let _ = writeln!(out, "           {}: {}", word("cube"), word("reason"));
        }
    }
    let ad_hoc = &paths["ad_hoc"];
    if ad_hoc["available"] == true {
        let _ = writeln!(
            out,
            "  ad-hoc   {} on two cores, {:.1} rotations per record, a wrong digit with 2^{:.0}; key from a dealer ceremony",
            duration(number(&ad_hoc["seconds_on_two_cores"])),
            number(&ad_hoc["rotations_per_record"]),
            number(&ad_hoc["wrong_digit_log2"]),
        );
    } else {
        let _ = writeln!(
            out,
            "  ad-hoc   no: {}",
            ad_hoc["reason"].as_str().unwrap_or_default()
        );
    }
    let _ = match paths["sealed_by"].as_str() {
        Some(way) => writeln!(out, "  sealed answers of this query come from: {way}"),
        None => writeln!(out, "  this query has no sealed answer"),
    };
    out
}

/// A duration in the unit that suits it.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
