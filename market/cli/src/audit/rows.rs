//! Queries as people see them against what the chain says: words, plan, id, rows.

use super::Topic;
use super::market::{Market, Query as Funded};
use super::registry::Dataset;
use super::report::AuditReport;
use crate::bundle::BundleQuery;
use salus_contracts::client::DatasetId;
use salus_contracts::primitives::B256;
use salus_schema::answer::PassValues;
use salus_schema::codebook::Codebook;
use salus_schema::planner;
use salus_schema::query::Query;
use serde_json::Value;
use std::collections::HashSet;

/// Checks every entry of queries.json; returns the ids of those that hold.
pub fn check(
    queries: &[BundleQuery],
    codebook: &Codebook,
    id: DatasetId,
    dataset: &Dataset,
    market: &Market,
    report: &mut AuditReport,
) -> HashSet<B256> {
    if dataset.params.schemaHash != B256::from(codebook.hash()) {
        report.wrong(
            Topic::Datasets,
            None,
            "codebook.toml is not the codebook that the dataset was created with",
        );
    }
    if usize::from(dataset.params.columns) != codebook.physical_len() {
        report.wrong(
            Topic::Datasets,
            None,
            "codebook.toml and the dataset differ in their number of columns",
        );
    }
    let (mut seen, mut sound) = (HashSet::new(), HashSet::new());
    for (number, query) in queries.iter().enumerate() {
        report.checked(Topic::Rows, 1);
        let key = B256::from(query.query_id);
        let name = format!("query {} ({key})", number + 1);
        if !seen.insert(key) {
            report.wrong(
                Topic::Rows,
                None,
                format!("{name} stands twice in queries.json"),
            );
        }
        let Some(funded) = market
            .queries
            .get(&key)
            .filter(|funded| funded.dataset == id)
        else {
            report.wrong(Topic::Rows, None, format!("{name} was never funded"));
            continue;
        };
        let transaction = funded
            .published
            .as_ref()
            .map_or(funded.funded, |(hash, _)| *hash);
        match one(query, codebook, funded) {
            Ok(()) => {
                sound.insert(key);
            }
            Err(problem) => {
                report.wrong(Topic::Rows, Some(transaction), format!("{name}: {problem}"));
            }
        }
    }
    let silent = market
        .queries
        .iter()
        .filter(|(key, q)| q.dataset == id && !seen.contains(*key))
        .count();
    if silent > 0 {
        report.note(format!(
            "{silent} funded queries are not in queries.json: their proofs and signatures were checked, their words were not"
        ));
    }
    sound
}

/// What is wrong with an entry of queries.json.
#[derive(Debug, thiserror::Error)]
enum Mismatch {
    #[error("its body cannot be asked: {0}")]
    Body(String),
    #[error("its SQL cannot be asked: {0}")]
    Sql(String),
    #[error("its SQL asks something else than its body")]
    Words,
    #[error("its body is not canonical")]
    NotCanonical,
    #[error("its body is not the one that was funded")]
    BodyHash,
    #[error("its plan is not the plan of its body")]
    Plan,
    #[error("its plan is not the one that was funded")]
    PlanHash,
    #[error("what was published does not decode: {0}")]
    Decode(String),
    #[error("it was not answered, but queries.json shows rows")]
    Unanswered,
    #[error("the rows shown are not what was {0}")]
    Rows(&'static str),
}

fn one(shown: &BundleQuery, codebook: &Codebook, funded: &Funded) -> Result<(), Mismatch> {
    let query =
        Query::from_json(&shown.body, codebook).map_err(|e| Mismatch::Body(e.to_string()))?;
    let ensure = |kept: bool, mismatch| if kept { Ok(()) } else { Err(mismatch) };
    ensure(query.canonical_json() == shown.body, Mismatch::NotCanonical)?;
    ensure(
        funded.request.bodyHash == B256::from(query.hash()),
        Mismatch::BodyHash,
    )?;
    let asked = Query::from_sql(&shown.sql, codebook).map_err(|e| Mismatch::Sql(e.to_string()))?;
    ensure(asked == query, Mismatch::Words)?;
    let (plan, decoder) =
        planner::plan(&query, codebook).map_err(|e| Mismatch::Body(e.to_string()))?;
    ensure(plan.to_bytes() == shown.plan, Mismatch::Plan)?;
    ensure(
        funded.request.planHash == B256::from(plan.hash()),
        Mismatch::PlanHash,
    )?;
    let Some((_, totals)) = &funded.published else {
        let nothing = shown.answer.is_null() || shown.answer.as_array().is_some_and(Vec::is_empty);
        return ensure(nothing, Mismatch::Unanswered);
    };
    let published: Vec<PassValues> = totals
        .iter()
        .map(|total| PassValues {
            values: total.values,
            mask: total.mask,
        })
        .collect();
    let answer = decoder
        .decode(&published)
        .map_err(|e| Mismatch::Decode(e.to_string()))?;
    // Through text, as the rows in the file went.
    let proven: Value = serde_json::to_string(&answer.rows)
        .and_then(|text| serde_json::from_str(&text))
        .map_err(|e| Mismatch::Decode(e.to_string()))?;
    let how = match funded.sealed {
        Some(_) => "signed",
        None => "proven",
    };
    ensure(same(&proven, &shown.answer), Mismatch::Rows(how))
}

/// Equal up to the last digits of a fraction, which reading and writing may change; integers are exact.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) if x.is_f64() || y.is_f64() => {
            match (x.as_f64(), y.as_f64()) {
                (Some(x), Some(y)) => (x - y).abs() <= 1e-14 * x.abs().max(y.abs()),
                _ => false,
            }
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_compared_exactly_but_for_the_last_digit_of_fractions() {
        let row = json!({"count": 403, "avg": {"age": 46.173697270471465}, "sum": null});
        let near = json!({"sum": null, "count": 403, "avg": {"age": 46.173697270471466}});
        assert!(same(&row, &near));
        for other in [
            json!({"count": 404, "avg": {"age": 46.173697270471465}, "sum": null}),
            json!({"count": 403, "avg": {"age": 46.17369727}, "sum": null}),
            json!({"count": 403, "avg": {"age": 46.173697270471465}, "sum": 0}),
            json!({"count": 403, "avg": {"age": 46.173697270471465}}),
        ] {
            assert!(!same(&row, &other), "{other}");
        }
    }
}
