//! Queries as canonical SQL and in plain words.

use crate::decimal::Decimal;
use crate::filter::{Accept, Condition};
use crate::query::{Grouping, Measure, Query};
use crate::refusal::quote;

impl Query {
    /// The query as canonical SQL, which reads back as the same query; the dataset is called `data`.
    pub fn to_sql(&self) -> String {
        let groups: Vec<String> = self.group_by.iter().map(Grouping::to_sql).collect();
        let measures = self.measures.iter().map(|&measure| {
            let of = match (measure, self.measured.as_deref()) {
                (Measure::Count, _) | (_, None) => "*".to_owned(),
                (_, Some(column)) => quote(column),
            };
            format!("{}({of})", measure.function())
        });
        let selected: Vec<String> = groups.iter().cloned().chain(measures).collect();
        let mut sql = format!("SELECT {} FROM data", selected.join(", "));
        let conditions: Vec<String> = self.filter.iter().map(Condition::to_sql).collect();
        if !conditions.is_empty() {
            sql += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if !groups.is_empty() {
            sql += &format!(" GROUP BY {}", groups.join(", "));
        }
        sql
    }

    /// The query in one plain sentence.
    pub fn sentence(&self) -> String {
        let column = self.measured.as_deref().unwrap_or_default();
        let measures: Vec<String> = self
            .measures
            .iter()
            .map(|measure| match measure {
                Measure::Count => "the number of people".to_owned(),
                Measure::CountOf => format!("the number of people whose {column} is known"),
                Measure::Sum => format!("the sum of {column}"),
                Measure::Avg => format!("the average {column}"),
                Measure::VarSamp => format!("the sample variance of {column}"),
                Measure::StddevSamp => format!("the standard deviation of {column}"),
            })
            .collect();
        let mut sentence = String::new();
        if self.filter.is_empty() {
            sentence += "Among all people: ";
        } else {
            let conditions: Vec<String> = self.filter.iter().map(Condition::words).collect();
            sentence += &format!("Among people whose {}: ", conditions.join(", and whose "));
        }
        sentence += &enumerate(&measures, "and");
        let groups: Vec<String> = self.group_by.iter().map(Grouping::words).collect();
        if !groups.is_empty() {
            sentence += &format!(", for each {}", groups.join(" and each "));
        }
        sentence + "."
    }
}

impl Grouping {
    fn to_sql(&self) -> String {
        match self.edges() {
            None => quote(&self.column),
            Some(edges) => {
                let edges: Vec<String> = edges.iter().map(Decimal::to_string).collect();
                format!("bucket({}, {})", quote(&self.column), edges.join(", "))
            }
        }
    }

    fn words(&self) -> String {
        match self.edges() {
            None => format!("value of {}", self.column),
            Some(edges) => {
                let edges: Vec<String> = edges.iter().map(Decimal::to_string).collect();
                format!(
                    "range of {} between {}",
                    self.column,
                    enumerate(&edges, "and")
                )
            }
        }
    }
}

impl Condition {
    fn to_sql(&self) -> String {
        let column = quote(&self.column);
        let (mut parts, or_missing) = match &self.accept {
            Accept::Nothing => return format!("{column} IS NULL AND {column} IS NOT NULL"),
            Accept::Missing => return format!("{column} IS NULL"),
            Accept::Present => return format!("{column} IS NOT NULL"),
            Accept::Labels { labels, or_missing } => {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|label| format!("'{}'", label.replace('\'', "''")))
                    .collect();
                let part = match &labels[..] {
                    [label] => format!("{column} = {label}"),
                    _ => format!("{column} IN ({})", labels.join(", ")),
                };
                (vec![part], *or_missing)
            }
            Accept::Ranges { ranges, or_missing } => {
                let part = |(from, to): &(Decimal, Decimal)| {
                    if from == to {
                        format!("{column} = {from}")
                    } else {
                        format!("{column} BETWEEN {from} AND {to}")
                    }
                };
                (ranges.iter().map(part).collect(), *or_missing)
            }
            Accept::Buckets { ranges, or_missing } => {
                let part = |(from, to): &(Decimal, Decimal)| {
                    format!("{column} >= {from} AND {column} < {to}")
                };
                (ranges.iter().map(part).collect(), *or_missing)
            }
        };
        if or_missing {
            parts.push(format!("{column} IS NULL"));
        }
        match &parts[..] {
            [part] => part.clone(),
            _ => format!("({})", parts.join(" OR ")),
        }
    }

    fn words(&self) -> String {
        let column = &self.column;
        let (mut parts, or_missing) = match &self.accept {
            Accept::Nothing => return format!("{column} is both known and not known (nobody)"),
            Accept::Missing => return format!("{column} is not known"),
            Accept::Present => return format!("{column} is known"),
            Accept::Labels { labels, or_missing } => (labels.clone(), *or_missing),
            Accept::Ranges { ranges, or_missing } => {
                let part = |(from, to): &(Decimal, Decimal)| {
                    if from == to {
                        from.to_string()
                    } else {
                        format!("from {from} to {to}")
                    }
                };
                (ranges.iter().map(part).collect(), *or_missing)
            }
            Accept::Buckets { ranges, or_missing } => {
                let part =
                    |(from, to): &(Decimal, Decimal)| format!("at least {from} and below {to}");
                (ranges.iter().map(part).collect(), *or_missing)
            }
        };
        if or_missing {
            parts.push("not known".to_owned());
        }
        format!("{column} is {}", enumerate(&parts, "or"))
    }
}

/// `a`, `a and b`, `a, b and c`.
fn enumerate(parts: &[String], word: &str) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}
