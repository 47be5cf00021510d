//! WHERE: from a SQL condition to the accepted codes of each column.

use std::collections::BTreeMap;

use sqlparser::ast::{BinaryOperator, Expr, Spanned, UnaryOperator, Value, ValueWithSpan};
use sqlparser::tokenizer::Span;

use crate::codeset::CodeSet;
use crate::filter::{Comparison, Predicate, Truth};
use crate::refusal::{Cause, Feature, Refusal};
use crate::sql::Reader;

/// The accepted codes per column of a condition.
pub(crate) fn read(
    reader: &Reader<'_>,
    condition: &Expr,
) -> Result<BTreeMap<usize, CodeSet>, Refusal> {
    match predicate(reader, condition)? {
        Predicate::All(truths) => Ok(truths.into_iter().map(|(c, t)| (c, t.yes)).collect()),
        Predicate::Any(truths) => Err(across(reader, truths.into_keys().collect(), condition)),
    }
}

fn across(reader: &Reader<'_>, columns: Vec<usize>, expr: &Expr) -> Refusal {
    let name = |c: usize| reader.codebook().columns()[c].name().to_owned();
    let columns = columns.into_iter().map(name).collect();
    reader.at(Cause::OrAcrossColumns { columns }, extent(expr))
}

/// The span of an expression, walking along chains instead of recursing into them; empty for kinds that are not asked.
pub(crate) fn extent(expr: &Expr) -> Span {
    match expr {
        Expr::BinaryOp { right, .. } => first(expr).union(&last(right)),
        Expr::InList { list, .. } => match list.last() {
            Some(item) => first(expr).union(&last(item)),
            None => first(expr),
        },
        Expr::Between { high, .. } => first(expr).union(&last(high)),
        _ => first(expr).union(&last(expr)),
    }
}

/// The span of the first operand.
fn first(mut expr: &Expr) -> Span {
    loop {
        expr = match expr {
            Expr::BinaryOp { left: inner, .. }
            | Expr::Nested(inner)
            | Expr::UnaryOp { expr: inner, .. }
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::InList { expr: inner, .. }
            | Expr::InSubquery { expr: inner, .. }
            | Expr::Between { expr: inner, .. }
            | Expr::Like { expr: inner, .. }
            | Expr::ILike { expr: inner, .. } => inner,
            _ => return leaf(expr),
        }
    }
}

/// The span of the last operand.
fn last(mut expr: &Expr) -> Span {
    loop {
        expr = match expr {
            Expr::BinaryOp { right: inner, .. }
            | Expr::Nested(inner)
            | Expr::UnaryOp { expr: inner, .. }
            | Expr::Between { high: inner, .. }
            | Expr::Like { pattern: inner, .. }
            | Expr::ILike { pattern: inner, .. } => inner,
            Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::InSubquery { .. } => return first(expr),
            Expr::InList { list, .. } => match list.last() {
                Some(item) => item,
                None => return first(expr),
            },
            _ => return leaf(expr),
        }
    }
}

/// The span of a name, a constant or the name of a function.
fn leaf(expr: &Expr) -> Span {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => expr.span(),
        Expr::Function(function) => function.name.span(),
        _ => Span::empty(),
    }
}

fn predicate(reader: &Reader<'_>, expr: &Expr) -> Result<Predicate, Refusal> {
    let unsupported = |feature| reader.at(Cause::Unsupported(feature), extent(expr));
    match expr {
        Expr::Nested(inner) => predicate(reader, inner),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => Ok(predicate(reader, expr)?.not()),
        Expr::BinaryOp {
            op: op @ (BinaryOperator::And | BinaryOperator::Or),
            ..
        } => chain(reader, expr, op),
        Expr::BinaryOp { left, op, right } => {
            let op = match op {
                BinaryOperator::Eq => Comparison::Equal,
                BinaryOperator::NotEq => Comparison::NotEqual,
                BinaryOperator::Lt => Comparison::Less,
                BinaryOperator::LtEq => Comparison::LessOrEqual,
                BinaryOperator::Gt => Comparison::Greater,
                BinaryOperator::GtEq => Comparison::GreaterOrEqual,
                _ => return Err(unsupported(Feature::Expression)),
            };
            comparison(reader, expr, left, op, right)
        }
        Expr::IsNull(inner) => null(reader, expr, inner),
        Expr::IsNotNull(inner) => Ok(null(reader, expr, inner)?.not()),
        Expr::Between {
            expr: inner,
            negated,
            low,
            high,
        } => {
            let from = comparison(reader, expr, inner, Comparison::GreaterOrEqual, low)?;
            let to = comparison(reader, expr, inner, Comparison::LessOrEqual, high)?;
            let both = from.and(to).map_err(|c| across(reader, c, expr))?;
            Ok(if *negated { both.not() } else { both })
        }
        Expr::InList {
            expr: inner,
            list,
            negated,
        } => {
            let mut any: Option<Predicate> = None;
            for item in list {
                let one = comparison(reader, expr, inner, Comparison::Equal, item)?;
                any = Some(match any {
                    None => one,
                    Some(earlier) => earlier.or(one).map_err(|c| across(reader, c, expr))?,
                });
            }
            let any = any.ok_or_else(|| unsupported(Feature::Expression))?;
            Ok(if *negated { any.not() } else { any })
        }
        Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => {
            Err(unsupported(Feature::Subquery))
        }
        Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            Err(unsupported(Feature::Pattern))
        }
        Expr::Function(_) => Err(unsupported(Feature::Function)),
        _ => Err(unsupported(Feature::Expression)),
    }
}

/// A chain of one operator. It is walked, not recursed into, because the parser bounds nesting but not its length.
fn chain(reader: &Reader<'_>, expr: &Expr, op: &BinaryOperator) -> Result<Predicate, Refusal> {
    let mut operands = Vec::new();
    let mut rest = expr;
    while let Expr::BinaryOp {
        left,
        op: found,
        right,
    } = rest
        && found == op
    {
        operands.push(right.as_ref());
        rest = left;
    }
    let mut joined = predicate(reader, rest)?;
    for operand in operands.into_iter().rev() {
        let next = predicate(reader, operand)?;
        joined = if *op == BinaryOperator::And {
            joined.and(next)
        } else {
            joined.or(next)
        }
        .map_err(|columns| across(reader, columns, expr))?;
    }
    Ok(joined)
}

fn null(reader: &Reader<'_>, expr: &Expr, inner: &Expr) -> Result<Predicate, Refusal> {
    let column = reader
        .column(inner)?
        .ok_or_else(|| reader.at(Cause::Unsupported(Feature::Expression), extent(expr)))?;
    let truth = Truth::is_null(&reader.codebook().columns()[column]);
    Ok(Predicate::one(column, truth))
}

fn comparison(
    reader: &Reader<'_>,
    whole: &Expr,
    left: &Expr,
    op: Comparison,
    right: &Expr,
) -> Result<Predicate, Refusal> {
    let (name, op, value) = if is_constant(left) {
        (right, op.flipped(), left)
    } else {
        (left, op, right)
    };
    for side in [left, right] {
        if matches!(side, Expr::Subquery(_)) {
            return Err(reader.at(Cause::Unsupported(Feature::Subquery), extent(side)));
        }
    }
    let column = reader
        .column(name)?
        .ok_or_else(|| reader.at(Cause::Unsupported(Feature::Expression), extent(whole)))?;
    let text = constant(reader, value)?;
    let truth =
        Truth::compare(&reader.codebook().columns()[column], op, &text).map_err(|cause| {
            let span = match cause {
                Cause::UnknownValue { .. } | Cause::NotANumber { .. } => extent(value),
                _ => extent(whole),
            };
            reader.at(cause, span)
        })?;
    Ok(Predicate::one(column, truth))
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => is_constant(expr),
        Expr::Nested(inner) => is_constant(inner),
        _ => false,
    }
}

/// The text of a constant.
pub(crate) fn constant(reader: &Reader<'_>, expr: &Expr) -> Result<String, Refusal> {
    let unsupported = || reader.at(Cause::Unsupported(Feature::Expression), extent(expr));
    match expr {
        Expr::Value(ValueWithSpan { value, span }) => match value {
            Value::Number(text, _) => Ok(text.clone()),
            Value::SingleQuotedString(text) => Ok(text.clone()),
            Value::Boolean(truth) => Ok(truth.to_string()),
            Value::Null => Err(reader.at(Cause::NullConstant, *span)),
            _ => Err(unsupported()),
        },
        Expr::UnaryOp {
            op: sign @ (UnaryOperator::Minus | UnaryOperator::Plus),
            expr: inner,
        } => match inner.as_ref() {
            Expr::Value(ValueWithSpan {
                value: Value::Number(text, _),
                ..
            }) if *sign == UnaryOperator::Minus => Ok(format!("-{text}")),
            Expr::Value(ValueWithSpan {
                value: Value::Number(text, _),
                ..
            }) => Ok(text.clone()),
            _ => Err(unsupported()),
        },
        Expr::Nested(inner) => constant(reader, inner),
        Expr::Identifier(name) => match reader.column(expr) {
            Ok(_) => Err(unsupported()),
            Err(_) => Err(reader.at(
                Cause::TextAsColumn {
                    name: name.value.clone(),
                },
                name.span,
            )),
        },
        _ => Err(unsupported()),
    }
}
