//! The SQL subset: one SELECT of measures FROM one dataset, WHERE a condition per column, GROUP BY up to two columns.
//!
//! `SELECT [group columns,] COUNT(*) | COUNT(c) | SUM(c) | AVG(c) | VAR_SAMP(c) | STDDEV_SAMP(c) [AS name], ... FROM dataset
//! [WHERE conditions] [GROUP BY c | bucket(c, width) | bucket(c, edge, edge, edge, ...), ...]`. Buckets are half-open. Names
//! are matched exactly, or without regard to case when they are not quoted. Aliases are accepted and not shown.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, Ident, ObjectName, Query as SqlQuery, Select, SelectItem, SetExpr, Spanned,
    Statement, TableFactor,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span as SqlSpan, Token, TokenWithSpan, Tokenizer};

use crate::codebook::Codebook;
use crate::query::{Cut, Draft, MAX_QUERY_BYTES, Measure, Part, Query, nearest};
use crate::refusal::{Cause, Feature, Refusal, Span};
use crate::sql_condition;

/// Words of the query text that a refusal repeats, in characters, at most.
const SHOWN: usize = 60;
/// Nested parentheses, at most: the parser gives up not much later, with a less clear message.
const MAX_NESTING: usize = 20;
/// Words and signs of a query, at most: chains of operators become deep trees, which are dropped recursively.
const MAX_WORDS: usize = 4_000;
/// A query without any optional clause, to compare other queries with.
const BARE: &str = "SELECT a FROM t";

/// The query of a SQL text.
pub(crate) fn read(text: &str, codebook: &Codebook) -> Result<Query, Refusal> {
    let mut reader = Reader {
        text,
        codebook,
        tokens: Vec::new(),
        qualifiers: Vec::new(),
    };
    if text.len() > MAX_QUERY_BYTES {
        return Err(Refusal::without_place(Cause::TooLong {
            bytes: text.len(),
            most: MAX_QUERY_BYTES,
        }));
    }
    let statement = reader.parse()?;
    let select = reader.select(statement)?;
    reader.query(select)
}

pub(crate) struct Reader<'a> {
    text: &'a str,
    codebook: &'a Codebook,
    tokens: Vec<TokenWithSpan>,
    qualifiers: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn codebook(&self) -> &'a Codebook {
        self.codebook
    }

    fn parse(&mut self) -> Result<Statement, Refusal> {
        let dialect = GenericDialect {};
        self.tokens = Tokenizer::new(&dialect, self.text)
            .tokenize_with_location()
            .map_err(|error| self.syntax(&error.to_string()))?;
        let words = self
            .tokens
            .iter()
            .filter(|t| !matches!(t.token, Token::Whitespace(_)))
            .count();
        if self.nesting() > MAX_NESTING || words > MAX_WORDS {
            return Err(self.whole(Cause::TooDeep));
        }
        let parsed = Parser::new(&dialect)
            .with_tokens_with_locations(self.tokens.clone())
            .parse_statements();
        let mut statements = parsed.map_err(|error| match error {
            ParserError::RecursionLimitExceeded => self.whole(Cause::TooDeep),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                self.syntax(&message)
            }
        })?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Ok(statement),
            _ => Err(self.whole(Cause::Unsupported(Feature::Statement))),
        }
    }

    /// The deepest nesting of parentheses, and of words such as NOT that nest what follows.
    fn nesting(&self) -> usize {
        let (mut open, mut prefixes, mut deepest) = (0usize, 0, 0);
        for token in &self.tokens {
            match &token.token {
                Token::LParen => open += 1,
                Token::RParen => open = open.saturating_sub(1),
                Token::Word(word) if word.value.eq_ignore_ascii_case("not") => prefixes += 1,
                Token::Minus | Token::Plus => prefixes += 1,
                Token::Whitespace(_) => {}
                _ => prefixes = 0,
            }
            deepest = deepest.max(open + prefixes);
        }
        deepest
    }

    /// A refusal for a parser message that ends in `at Line: L, Column: C`.
    fn syntax(&self, message: &str) -> Refusal {
        let (message, place) = match message.rsplit_once(" at Line: ") {
            Some((message, place)) => (message, place),
            None => (message, ""),
        };
        let numbers = place
            .split_once(", Column: ")
            .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
        let cause = Cause::Syntax {
            message: message.to_owned(),
        };
        let end = self.text.len();
        let start = numbers.map_or(end, |(line, column)| self.offset(line, column));
        self.between(cause, start, end)
    }

    /// Takes the SELECT out of a statement that has nothing else.
    fn select(&self, statement: Statement) -> Result<Select, Refusal> {
        let Statement::Query(mut query) = statement else {
            return Err(self.whole(Cause::Unsupported(Feature::Statement)));
        };
        let mut bare = bare_query();
        let clauses = [
            (query.with.is_some(), "WITH", Feature::With),
            (query.order_by.is_some(), "ORDER", Feature::OrderBy),
            (query.limit_clause.is_some(), "LIMIT", Feature::Limit),
            (query.fetch.is_some(), "FETCH", Feature::Limit),
        ];
        self.refuse_clauses(&clauses)?;
        let body = std::mem::replace(&mut query.body, bare_query().body);
        bare.body.clone_from(&query.body);
        if *query != bare {
            return Err(self.whole(Cause::Unsupported(Feature::Clause)));
        }
        match *body {
            SetExpr::Select(select) => Ok(*select),
            SetExpr::SetOperation { op, .. } => {
                let keyword = op.to_string();
                Err(self.at_keyword(&keyword, Feature::SetOperation))
            }
            _ => Err(self.whole(Cause::Unsupported(Feature::Statement))),
        }
    }

    fn refuse_clauses(&self, clauses: &[(bool, &str, Feature)]) -> Result<(), Refusal> {
        match clauses.iter().find(|(found, _, _)| *found) {
            Some(&(_, keyword, feature)) => Err(self.at_keyword(keyword, feature)),
            None => Ok(()),
        }
    }

    fn query(&mut self, mut select: Select) -> Result<Query, Refusal> {
        let projection = std::mem::take(&mut select.projection);
        let from = std::mem::take(&mut select.from);
        let selection = select.selection.take();
        let none = || GroupByExpr::Expressions(Vec::new(), Vec::new());
        let group_by = std::mem::replace(&mut select.group_by, none());
        self.refuse_clauses(&[
            (select.distinct.is_some(), "DISTINCT", Feature::Distinct),
            (select.having.is_some(), "HAVING", Feature::Having),
            (select.top.is_some(), "TOP", Feature::Limit),
            (select.into.is_some(), "INTO", Feature::Statement),
            (select.qualify.is_some(), "QUALIFY", Feature::Window),
            (!select.named_window.is_empty(), "WINDOW", Feature::Window),
        ])?;
        let SetExpr::Select(mut bare) = *bare_query().body else {
            return Err(self.whole(Cause::Unsupported(Feature::Clause)));
        };
        bare.projection.clear();
        bare.from.clear();
        if select != *bare {
            return Err(self.whole(Cause::Unsupported(Feature::Clause)));
        }
        self.from(from)?;
        let mut draft = Draft::default();
        if let Some(condition) = &selection {
            draft.filter = sql_condition::read(self, condition)?;
        }
        let (groups, group_spans) = self.group_by(group_by, &projection)?;
        let mut measure_spans = Vec::new();
        for item in &projection {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item
            else {
                return Err(match item {
                    SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                        self.at(Cause::Unsupported(Feature::Star), item.span())
                    }
                    _ => self.whole(Cause::Unsupported(Feature::Selected)),
                });
            };
            if self.check_selected_group(expr, &groups)? {
                continue;
            }
            draft.measures.push(self.measure(expr)?);
            measure_spans.push(sql_condition::extent(expr));
        }
        draft.groups = groups;
        draft
            .finish(self.codebook)
            .map_err(|(cause, part)| match part {
                Part::Whole => self.whole(cause),
                Part::Measure(i) => self.at(cause, measure_spans[i]),
                Part::Group(i) => self.at(cause, group_spans[i]),
            })
    }

    /// Checks that FROM names one dataset, and notes the names by which columns may be qualified.
    fn from(&mut self, mut from: Vec<sqlparser::ast::TableWithJoins>) -> Result<(), Refusal> {
        let (Some(table), true) = (from.pop(), from.is_empty()) else {
            let feature = if from.is_empty() {
                Feature::From
            } else {
                Feature::Join
            };
            return Err(self.at_keyword("FROM", feature));
        };
        if !table.joins.is_empty() {
            return Err(self.at_keyword("JOIN", Feature::Join));
        }
        match table.relation {
            TableFactor::Table {
                name,
                alias,
                args: None,
                sample: None,
                version: None,
                ..
            } => {
                let last = name.0.last().and_then(|part| part.as_ident());
                self.qualifiers
                    .extend(last.map(|ident| ident.value.clone()));
                self.qualifiers.extend(alias.map(|alias| alias.name.value));
                Ok(())
            }
            TableFactor::Derived { .. } => Err(self.at_keyword("FROM", Feature::Subquery)),
            _ => Err(self.at_keyword("FROM", Feature::From)),
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the groups of a draft and where each stands"
    )]
    fn group_by(
        &self,
        group_by: GroupByExpr,
        projection: &[SelectItem],
    ) -> Result<(Vec<(usize, Cut)>, Vec<SqlSpan>), Refusal> {
        let expressions = match group_by {
            GroupByExpr::Expressions(expressions, modifiers) if modifiers.is_empty() => expressions,
            _ => return Err(self.at_keyword("GROUP", Feature::Clause)),
        };
        let (mut groups, mut spans) = (Vec::new(), Vec::new());
        for expr in &expressions {
            let group = match (self.group(expr), self.alias(expr, projection)) {
                (Err(refusal), Some(aliased)) if refusal.code() == "unknown_column" => {
                    self.group(aliased)?
                }
                (group, _) => group?,
            };
            match group {
                Some(group) => groups.push(group),
                None => {
                    return Err(self.at(
                        Cause::Unsupported(Feature::GroupExpression),
                        sql_condition::extent(expr),
                    ));
                }
            }
            spans.push(sql_condition::extent(expr));
        }
        Ok((groups, spans))
    }

    /// The selected expression that an alias in GROUP BY stands for.
    fn alias<'e>(&self, expr: &Expr, projection: &'e [SelectItem]) -> Option<&'e Expr> {
        let Expr::Identifier(wanted) = expr else {
            return None;
        };
        projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value == wanted.value => Some(expr),
            _ => None,
        })
    }

    /// The group that an expression names, `None` when it is neither a column nor a bucket.
    fn group(&self, expr: &Expr) -> Result<Option<(usize, Cut)>, Refusal> {
        if let Some(column) = self.column(expr)? {
            return Ok(Some((column, Cut::Values)));
        }
        let Expr::Function(function) = expr else {
            return Ok(None);
        };
        if function_name(&function.name).as_deref() != Some("bucket") {
            return Ok(None);
        }
        let wrong = || self.at(Cause::BucketArguments, sql_condition::extent(expr));
        let arguments = self.arguments(function)?;
        let Some(([column], numbers)) = arguments.split_first_chunk() else {
            return Err(wrong());
        };
        let column = self.column(column)?.ok_or_else(wrong)?;
        let mut edges = Vec::new();
        for argument in numbers {
            let text = sql_condition::constant(self, argument)?;
            edges.push(text.parse().map_err(|_| {
                let cause = Cause::NotANumber {
                    column: self.codebook.columns()[column].name().to_owned(),
                    text,
                };
                self.at(cause, sql_condition::extent(argument))
            })?);
        }
        match edges[..] {
            [] => Err(wrong()),
            [width] => Ok(Some((column, Cut::Width(width)))),
            _ => Ok(Some((column, Cut::Edges(edges)))),
        }
    }

    /// Whether a selected expression is a group column; refuses a column that is not grouped by.
    fn check_selected_group(&self, expr: &Expr, groups: &[(usize, Cut)]) -> Result<bool, Refusal> {
        let Some(group) = self.group(expr)? else {
            return Ok(false);
        };
        if groups.contains(&group) {
            return Ok(true);
        }
        let column = self.codebook.columns()[group.0].name().to_owned();
        Err(self.at(Cause::NotGrouped { column }, sql_condition::extent(expr)))
    }

    fn measure(&self, expr: &Expr) -> Result<(Measure, Option<usize>), Refusal> {
        let at = |feature| self.at(Cause::Unsupported(feature), sql_condition::extent(expr));
        let function = match expr {
            Expr::Function(function) => function,
            Expr::Subquery(_) => return Err(at(Feature::Subquery)),
            _ => return Err(at(Feature::Selected)),
        };
        let name = function_name(&function.name).unwrap_or_default();
        let measure = match name.as_str() {
            "count" => Measure::CountOf,
            "sum" => Measure::Sum,
            "avg" => Measure::Avg,
            "var_samp" => Measure::VarSamp,
            "stddev_samp" => Measure::StddevSamp,
            "min" | "max" | "median" | "mode" | "first" | "last" | "any_value" => {
                return Err(at(Feature::Extreme));
            }
            _ => return Err(at(Feature::Function)),
        };
        if function.over.is_some() {
            return Err(at(Feature::Window));
        }
        if let FunctionArguments::List(list) = &function.args
            && let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = list.args[..]
            && measure == Measure::CountOf
            && list.duplicate_treatment.is_none()
            && list.clauses.is_empty()
            && function.filter.is_none()
        {
            return Ok((Measure::Count, None));
        }
        let arguments = self.arguments(function)?;
        let op = measure.function();
        match arguments[..] {
            [argument] => match self.column(argument)? {
                Some(column) => Ok((measure, Some(column))),
                None => Err(at(Feature::Selected)),
            },
            _ => Err(self.at(Cause::MeasureColumn { op }, sql_condition::extent(expr))),
        }
    }

    /// The plain arguments of a function without any clause.
    fn arguments<'e>(&self, function: &'e Function) -> Result<Vec<&'e Expr>, Refusal> {
        let at = |feature| self.at(Cause::Unsupported(feature), function.name.span());
        let list = match &function.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::Subquery(_) => return Err(at(Feature::Subquery)),
            FunctionArguments::None => return Err(at(Feature::Function)),
        };
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            return Err(self.at_keyword("DISTINCT", Feature::Distinct));
        }
        if function.over.is_some() {
            return Err(at(Feature::Window));
        }
        if function.filter.is_some()
            || function.null_treatment.is_some()
            || !function.within_group.is_empty()
            || !list.clauses.is_empty()
            || function.parameters != FunctionArguments::None
        {
            return Err(at(Feature::AggregateFilter));
        }
        list.args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
                _ => Err(at(Feature::Selected)),
            })
            .collect()
    }

    /// The column that an expression names, `None` when it is not a name.
    pub(crate) fn column(&self, expr: &Expr) -> Result<Option<usize>, Refusal> {
        match expr {
            Expr::Identifier(name) => self.find(name).map(Some),
            Expr::CompoundIdentifier(parts) => match &parts[..] {
                [qualifier, name]
                    if self
                        .qualifiers
                        .iter()
                        .any(|q| q.eq_ignore_ascii_case(&qualifier.value)) =>
                {
                    self.find(name).map(Some)
                }
                _ => Err(self.at(
                    Cause::UnknownColumn {
                        name: expr.to_string(),
                        nearest: parts.last().and_then(|p| nearest(self.codebook, &p.value)),
                    },
                    sql_condition::extent(expr),
                )),
            },
            Expr::Nested(inner) => self.column(inner),
            _ => Ok(None),
        }
    }

    fn find(&self, name: &Ident) -> Result<usize, Refusal> {
        if let Some((position, _)) = self.codebook.find(&name.value) {
            return Ok(position);
        }
        let columns = self.codebook.columns().iter().enumerate();
        let same: Vec<usize> = columns
            .filter(|(_, c)| c.name().to_lowercase() == name.value.to_lowercase())
            .map(|(position, _)| position)
            .collect();
        match same[..] {
            [position] if name.quote_style.is_none() => Ok(position),
            _ => Err(self.at(
                Cause::UnknownColumn {
                    name: name.value.clone(),
                    nearest: nearest(self.codebook, &name.value),
                },
                name.span,
            )),
        }
    }

    /// A refusal at the first unquoted `keyword` of the text.
    fn at_keyword(&self, keyword: &str, feature: Feature) -> Refusal {
        let cause = Cause::Unsupported(feature);
        let found = self.tokens.iter().find(|token| match &token.token {
            Token::Word(word) => {
                word.quote_style.is_none() && word.value.eq_ignore_ascii_case(keyword)
            }
            _ => false,
        });
        match found {
            Some(token) => self.at(cause, token.span),
            None => self.whole(cause),
        }
    }

    /// A refusal at a span of the parser, stretched over closing parentheses that the parser leaves out.
    pub(crate) fn at(&self, cause: Cause, span: SqlSpan) -> Refusal {
        if span.start.line == 0 {
            return self.whole(cause);
        }
        let place = |at: sqlparser::tokenizer::Location| {
            let word = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            self.offset(word(at.line), word(at.column))
        };
        let (start, mut end) = (place(span.start), place(span.end));
        let open = |end: usize| {
            let text = &self.text[start..end];
            text.matches('(').count() > text.matches(')').count()
        };
        if self.text[end..].starts_with('(') {
            end += 1;
        }
        while open(end)
            && let Some(next) = self.text[end..].find(')')
        {
            end += next + 1;
        }
        self.between(cause, start, end)
    }

    fn whole(&self, cause: Cause) -> Refusal {
        let start = self.text.len() - self.text.trim_start().len();
        self.between(cause, start, self.text.trim_end().len())
    }

    fn between(&self, cause: Cause, start: usize, end: usize) -> Refusal {
        let start = start.min(self.text.len());
        let end = end.clamp(start, self.text.len());
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Refusal {
            cause: Box::new(cause),
            at: Some(Span {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                offset: start,
                length: end - start,
            }),
            text: self.text[start..end].chars().take(SHOWN).collect(),
        }
    }

    /// The byte offset of a line and character, both from 1.
    fn offset(&self, line: usize, column: usize) -> usize {
        let mut start = 0;
        for _ in 1..line {
            match self.text[start..].find('\n') {
                Some(end) => start += end + 1,
                None => return self.text.len(),
            }
        }
        self.text[start..]
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(self.text.len(), |(i, _)| start + i)
    }
}

/// The lower-case name of a function that is one word.
fn function_name(name: &ObjectName) -> Option<String> {
    match &name.0[..] {
        [part] => part.as_ident().map(|ident| ident.value.to_lowercase()),
        _ => None,
    }
}

fn bare_query() -> SqlQuery {
    let parsed = Parser::parse_sql(&GenericDialect {}, BARE)
        .ok()
        .and_then(|mut statements| statements.pop());
    match parsed {
        Some(Statement::Query(query)) => *query,
        _ => unreachable!("a constant text is one SELECT"),
    }
}
