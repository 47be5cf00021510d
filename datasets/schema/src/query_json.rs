//! The versioned JSON form of a query.

use serde::{Deserialize, Serialize};

use crate::codebook::Codebook;
use crate::codeset::CodeSet;
use crate::column::MISSING;
use crate::decimal::Decimal;
use crate::filter::{Accept, Condition, domain};
use crate::query::{Cut, Draft, MAX_QUERY_BYTES, Measure, QUERY_VERSION, Query, find};
use crate::refusal::Cause;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryForm {
    version: u32,
    measures: Vec<MeasureForm>,
    #[serde(default, rename = "where")]
    filter: Vec<ConditionForm>,
    #[serde(default)]
    group_by: Vec<GroupingForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasureForm {
    op: Op,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Count,
    Sum,
    Avg,
    VarSamp,
    StddevSamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionForm {
    column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is: Option<Is>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<(String, String)>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<(String, String)>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    or_missing: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Is {
    Missing,
    Present,
    Nothing,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupingForm {
    column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edges: Option<Vec<String>>,
}

impl QueryForm {
    pub(crate) fn of(query: &Query) -> Self {
        Self {
            version: QUERY_VERSION,
            measures: query
                .measures
                .iter()
                .map(|&measure| MeasureForm {
                    op: match measure {
                        Measure::Count | Measure::CountOf => Op::Count,
                        Measure::Sum => Op::Sum,
                        Measure::Avg => Op::Avg,
                        Measure::VarSamp => Op::VarSamp,
                        Measure::StddevSamp => Op::StddevSamp,
                    },
                    column: match measure {
                        Measure::Count => None,
                        _ => query.measured.clone(),
                    },
                })
                .collect(),
            filter: query.filter.iter().map(ConditionForm::of).collect(),
            group_by: query
                .group_by
                .iter()
                .map(|grouping| GroupingForm {
                    column: grouping.column.clone(),
                    edges: grouping
                        .edges()
                        .map(|edges| edges.iter().map(Decimal::to_string).collect()),
                })
                .collect(),
        }
    }
}

impl ConditionForm {
    fn of(condition: &Condition) -> Self {
        let mut form = Self {
            column: condition.column.clone(),
            is: None,
            labels: None,
            ranges: None,
            buckets: None,
            or_missing: false,
        };
        let texts = |ranges: &[(Decimal, Decimal)]| {
            ranges
                .iter()
                .map(|(from, to)| (from.to_string(), to.to_string()))
                .collect()
        };
        match &condition.accept {
            Accept::Nothing => form.is = Some(Is::Nothing),
            Accept::Missing => form.is = Some(Is::Missing),
            Accept::Present => form.is = Some(Is::Present),
            Accept::Labels { labels, or_missing } => {
                form.labels = Some(labels.clone());
                form.or_missing = *or_missing;
            }
            Accept::Ranges { ranges, or_missing } => {
                form.ranges = Some(texts(ranges));
                form.or_missing = *or_missing;
            }
            Accept::Buckets { ranges, or_missing } => {
                form.buckets = Some(texts(ranges));
                form.or_missing = *or_missing;
            }
        }
        form
    }

    fn accept(self, kind: &'static str) -> Result<Accept, Cause> {
        let column = self.column;
        let or_missing = self.or_missing;
        let numbers = |ranges: Vec<(String, String)>| {
            ranges
                .into_iter()
                .map(|(from, to)| Ok((number(&column, from)?, number(&column, to)?)))
                .collect::<Result<Vec<_>, Cause>>()
        };
        match (self.is, self.labels, self.ranges, self.buckets) {
            (Some(is), None, None, None) if !or_missing => Ok(match is {
                Is::Missing => Accept::Missing,
                Is::Present => Accept::Present,
                Is::Nothing => Accept::Nothing,
            }),
            (None, Some(labels), None, None) => Ok(Accept::Labels { labels, or_missing }),
            (None, None, Some(ranges), None) => Ok(Accept::Ranges {
                ranges: numbers(ranges)?,
                or_missing,
            }),
            (None, None, None, Some(ranges)) => Ok(Accept::Buckets {
                ranges: numbers(ranges)?,
                or_missing,
            }),
            _ => Err(Cause::ConditionForm { column, kind }),
        }
    }
}

fn number(column: &str, text: String) -> Result<Decimal, Cause> {
    text.parse().map_err(|_| Cause::NotANumber {
        column: column.to_owned(),
        text,
    })
}

/// The query of a JSON text.
pub(crate) fn read(text: &str, codebook: &Codebook) -> Result<Query, Cause> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(Cause::TooLong {
            bytes: text.len(),
            most: MAX_QUERY_BYTES,
        });
    }
    let form: QueryForm = serde_json::from_str(text).map_err(|error| Cause::Json {
        message: error.to_string(),
    })?;
    if form.version != QUERY_VERSION {
        return Err(Cause::Version {
            found: form.version,
        });
    }
    let mut draft = Draft::default();
    for MeasureForm { op, column } in form.measures {
        let column = match column {
            Some(name) => Some(find(codebook, &name)?.0),
            None => None,
        };
        let measure = match (op, column) {
            (Op::Count, None) => Measure::Count,
            (Op::Count, Some(_)) => Measure::CountOf,
            (Op::Sum, _) => Measure::Sum,
            (Op::Avg, _) => Measure::Avg,
            (Op::VarSamp, _) => Measure::VarSamp,
            (Op::StddevSamp, _) => Measure::StddevSamp,
        };
        if measure.needs_sum() && column.is_none() {
            return Err(Cause::MeasureColumn {
                op: measure.function(),
            });
        }
        draft.measures.push((measure, column));
    }
    for condition in form.filter {
        let (position, column) = find(codebook, &condition.column)?;
        let condition = Condition {
            column: condition.column.clone(),
            accept: condition.accept(column.kind().word())?,
        };
        let codes = condition.codes(column)?;
        draft
            .filter
            .entry(position)
            .and_modify(|set: &mut CodeSet| *set = set.intersection(codes))
            .or_insert(codes);
        debug_assert!(
            codes
                .difference(domain(column))
                .iter()
                .all(|c| c == MISSING)
        );
    }
    for grouping in form.group_by {
        let (position, _) = find(codebook, &grouping.column)?;
        let cut = match grouping.edges {
            None => Cut::Values,
            Some(edges) => Cut::Edges(
                edges
                    .into_iter()
                    .map(|edge| number(&grouping.column, edge))
                    .collect::<Result<_, _>>()?,
            ),
        };
        draft.groups.push((position, cut));
    }
    draft.finish(codebook).map_err(|(cause, _)| cause)
}
