//! Queries into SQL conditions. Values are always bound, never spliced in.

use bcs_store::{Field, Filter, Operator, Query, Requirement, Scalar, Test};
use rusqlite::types::Value;

/// A condition on the table `documents` and the values of its question marks, in order.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) condition: String,
    pub(crate) parameters: Vec<Value>,
}

/// Scope, filters and selector of a query; paging is the caller's.
pub(crate) fn compile(query: &Query) -> Compiled {
    let mut compiled = Compiled {
        condition: "1".into(),
        parameters: Vec::new(),
    };
    let scope = &query.scope;
    for (column, wanted) in [
        ("kind", &scope.kind),
        ("cluster", &scope.cluster),
        ("namespace", &scope.namespace),
        ("name", &scope.name),
    ] {
        if let Some(wanted) = wanted {
            compiled.and(&format!("{column} = ?"), [text(wanted)]);
        }
    }
    for filter in &query.filters {
        add_filter(&mut compiled, filter);
    }
    for requirement in &query.selector.requirements {
        add_requirement(&mut compiled, requirement);
    }
    compiled
}

impl Compiled {
    fn and<I: IntoIterator<Item = Value>>(&mut self, condition: &str, parameters: I) {
        self.condition.push_str(" AND ");
        self.condition.push_str(condition);
        self.parameters.extend(parameters);
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(",")
}

/// `$."a"."b"`; a parsed field has no quotes or backslashes inside its names.
fn json_path(segments: &[String]) -> String {
    let mut path = String::from("$");
    for segment in segments {
        path.push_str(".\"");
        path.push_str(segment);
        path.push('"');
    }
    path
}

fn add_filter(compiled: &mut Compiled, filter: &Filter) {
    let column = match &filter.field {
        Field::Cluster => "cluster",
        Field::Namespace => "namespace",
        Field::Kind => "kind",
        Field::Name => "name",
        Field::Created => return add_time_filter(compiled, "created", &filter.test),
        Field::Updated => return add_time_filter(compiled, "updated", &filter.test),
        Field::Data(segments) => return add_data_filter(compiled, segments, &filter.test),
    };
    match &filter.test {
        Test::In(values) | Test::NotIn(values) => {
            let texts: Vec<Value> = values
                .iter()
                .filter_map(|scalar| match scalar {
                    Scalar::Text(wanted) => Some(text(wanted)),
                    Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) => None,
                })
                .collect();
            let not = if matches!(filter.test, Test::NotIn(_)) {
                "NOT "
            } else {
                ""
            };
            compiled.and(&format!("{column} {not}IN ({})", marks(texts.len())), texts);
        }
        Test::Prefix(prefix) => {
            compiled.and(
                &format!("substr({column}, 1, length(?)) = ?"),
                [text(prefix), text(prefix)],
            );
        }
        Test::Contains(part) => compiled.and(&format!("instr({column}, ?) > 0"), [text(part)]),
        Test::Exists(wanted) => compiled.and(if *wanted { "1" } else { "0" }, []),
        Test::Before(bound) => {
            compiled.and(
                &format!("bcs_instant({column}) < ?"),
                [Value::Integer(*bound)],
            );
        }
        Test::After(bound) => {
            compiled.and(
                &format!("bcs_instant({column}) > ?"),
                [Value::Integer(*bound)],
            );
        }
    }
}

fn add_time_filter(compiled: &mut Compiled, column: &str, test: &Test) {
    match test {
        Test::Before(bound) => compiled.and(&format!("{column} < ?"), [Value::Integer(*bound)]),
        Test::After(bound) => compiled.and(&format!("{column} > ?"), [Value::Integer(*bound)]),
        Test::Exists(wanted) => compiled.and(if *wanted { "1" } else { "0" }, []),
        Test::In(values) | Test::NotIn(values) => {
            // Compared as instants: the text form has more than one spelling.
            let instants: Vec<Value> = values
                .iter()
                .filter_map(|scalar| match scalar {
                    Scalar::Text(wanted) => bcs_store::instant::parse(wanted).map(Value::Integer),
                    Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) => None,
                })
                .collect();
            compiled.and(
                &format!("{column} IN ({})", marks(instants.len())),
                instants,
            );
        }
        // No one has a use for a part of a time's text.
        Test::Prefix(_) | Test::Contains(_) => compiled.and("0", []),
    }
}

fn add_data_filter(compiled: &mut Compiled, segments: &[String], test: &Test) {
    let path = text(&json_path(segments));
    match test {
        Test::In(values) => add_in(compiled, &path, values, ""),
        // An absent field makes the alternatives NULL, which is "none of these".
        Test::NotIn(values) => add_in(compiled, &path, values, " IS NOT TRUE"),
        Test::Prefix(prefix) => compiled.and(
            "(json_type(body, ?) = 'text' AND substr(json_extract(body, ?), 1, length(?)) = ?)",
            [path.clone(), path, text(prefix), text(prefix)],
        ),
        Test::Contains(part) => compiled.and(
            "(json_type(body, ?) = 'text' AND instr(json_extract(body, ?), ?) > 0)",
            [path.clone(), path, text(part)],
        ),
        Test::Exists(true) => compiled.and("json_type(body, ?) IS NOT NULL", [path]),
        Test::Exists(false) => compiled.and("json_type(body, ?) IS NULL", [path]),
        Test::Before(bound) => compiled.and(
            "(json_type(body, ?) IN ('text','integer','real') AND bcs_instant(json_extract(body, ?)) < ?)",
            [path.clone(), path, Value::Integer(*bound)],
        ),
        Test::After(bound) => compiled.and(
            "(json_type(body, ?) IN ('text','integer','real') AND bcs_instant(json_extract(body, ?)) > ?)",
            [path.clone(), path, Value::Integer(*bound)],
        ),
    }
}

/// JSON types are told apart: SQLite alone would take true for 1 and an array for its text.
fn add_in(compiled: &mut Compiled, path: &Value, values: &[Scalar], truth: &str) {
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut types = Vec::new();
    for scalar in values {
        match scalar {
            Scalar::Null => types.push(text("null")),
            Scalar::Bool(true) => types.push(text("true")),
            Scalar::Bool(false) => types.push(text("false")),
            Scalar::Number(number) => numbers.push(Value::Real(*number)),
            Scalar::Text(wanted) => texts.push(text(wanted)),
        }
    }
    let mut alternatives = vec!["0".to_owned()];
    let mut parameters = Vec::new();
    if !texts.is_empty() {
        alternatives.push(format!(
            "(json_type(body, ?) = 'text' AND json_extract(body, ?) IN ({}))",
            marks(texts.len())
        ));
        parameters.extend([path.clone(), path.clone()]);
        parameters.extend(texts);
    }
    if !numbers.is_empty() {
        alternatives.push(format!(
            "(json_type(body, ?) IN ('integer','real') AND json_extract(body, ?) IN ({}))",
            marks(numbers.len())
        ));
        parameters.extend([path.clone(), path.clone()]);
        parameters.extend(numbers);
    }
    if !types.is_empty() {
        alternatives.push(format!("json_type(body, ?) IN ({})", marks(types.len())));
        parameters.push(path.clone());
        parameters.extend(types);
    }
    compiled.and(
        &format!("(({}){truth})", alternatives.join(" OR ")),
        parameters,
    );
}

fn add_requirement(compiled: &mut Compiled, requirement: &Requirement) {
    let segments = ["metadata", "labels", &requirement.key].map(str::to_owned);
    let path = text(&json_path(&segments));
    // A label that is not text is no label; the query's own meaning says the same.
    let label = "iif(json_type(body, ?) = 'text', json_extract(body, ?), NULL)";
    let twice = [path.clone(), path.clone()];
    let values = |list: &[String]| list.iter().map(|value| text(value)).collect::<Vec<_>>();
    match &requirement.operator {
        Operator::Exists => compiled.and("json_type(body, ?) IS 'text'", [path]),
        Operator::Absent => compiled.and("json_type(body, ?) IS NOT 'text'", [path]),
        Operator::In(wanted) => {
            let condition = format!("{label} IN ({})", marks(wanted.len()));
            compiled.and(&condition, twice.into_iter().chain(values(wanted)));
        }
        Operator::NotIn(refused) => {
            let condition = format!(
                "(json_type(body, ?) IS NOT 'text' OR {label} NOT IN ({}))",
                marks(refused.len())
            );
            let parameters = [path].into_iter().chain(twice).chain(values(refused));
            compiled.and(&condition, parameters);
        }
        Operator::Above(bound) => add_bound(compiled, &path, ">", *bound),
        Operator::Below(bound) => add_bound(compiled, &path, "<", *bound),
    }
}

fn add_bound(compiled: &mut Compiled, path: &Value, comparison: &str, bound: i64) {
    let condition = format!(
        "(json_type(body, ?) IS 'text' AND bcs_integer(json_extract(body, ?)) {comparison} ?)"
    );
    compiled.and(
        &condition,
        [path.clone(), path.clone(), Value::Integer(bound)],
    );
}
