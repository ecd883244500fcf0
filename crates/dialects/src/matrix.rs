//! Expansion of a matrix into its combinations, with the semantics users rely on: cross product in the order of the
//! keys with the first outermost; `exclude` first and on a subset of keys; `include` extends what it matches by
//! original values, or stands alone.

use indexmap::IndexMap;
use serde_json::Value;

use crate::plan::Cell;

/// Most jobs of one matrix.
pub const MAX_JOBS: usize = 256;
/// Longest label; a longer one is cut to 97 and three dots, as check names are.
const MAX_LABEL: usize = 100;

type Values = IndexMap<String, Value>;

/// Expands a matrix whose expressions are evaluated.
///
/// # Errors
/// When it has no usable shape, no combination, or more than [`MAX_JOBS`].
pub fn expand(matrix: &Value) -> Result<Vec<Cell>, String> {
    let Value::Object(map) = matrix else { return Err("a matrix must be a mapping of names to lists".into()) };
    let mut vectors: Vec<(&str, &Vec<Value>)> = Vec::new();
    let mut include: Vec<Values> = Vec::new();
    let mut exclude: Vec<Values> = Vec::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("include", value) => include = filters("include", value)?,
            ("exclude", value) => exclude = filters("exclude", value)?,
            (key, Value::Array(items)) => {
                if items.is_empty() {
                    return Err(format!("Matrix vector '{key}' does not contain any values"));
                }
                vectors.push((key, items));
            }
            (key, _) => return Err(format!("matrix vector '{key}' must be a list")),
        }
    }
    let product = if vectors.is_empty() { 0 } else { vectors.iter().fold(1usize, |n, (_, v)| n.saturating_mul(v.len())) };
    // bounds the work too: what exclude would remove still has to be made
    if product > MAX_JOBS * 40 {
        return Err(format!("the matrix has {product} combinations, at most {MAX_JOBS} jobs are allowed"));
    }
    let mut cells: Vec<Values> = Vec::with_capacity(product);
    for index in 0..product {
        let mut rest = index;
        let mut values = Values::with_capacity(vectors.len());
        for (key, items) in vectors.iter().rev() {
            values.insert((*key).to_owned(), items[rest % items.len()].clone());
            rest /= items.len();
        }
        values.reverse();
        if !exclude.iter().any(|filter| matches(&values, filter)) {
            cells.push(values);
        }
    }
    let originals = cells.clone();
    let is_vector = |key: &str| vectors.iter().any(|(k, _)| *k == key);
    let mut alone = Vec::new();
    for entry in include {
        let filter: Values = entry.iter().filter(|(k, _)| is_vector(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut used = false;
        for (original, cell) in originals.iter().zip(&mut cells) {
            if matches(original, &filter) {
                used = true;
                for (key, value) in entry.iter().filter(|(k, _)| !is_vector(k)) {
                    cell.insert(key.clone(), value.clone());
                }
            }
        }
        if !used {
            alone.push(entry);
        }
    }
    cells.extend(alone);
    if cells.is_empty() {
        return Err("Matrix must define at least one vector".into());
    }
    if cells.len() > MAX_JOBS {
        return Err(format!("the matrix makes {} jobs, at most {MAX_JOBS} are allowed", cells.len()));
    }
    let from_product = originals.len();
    Ok(cells
        .into_iter()
        .enumerate()
        .map(|(i, values)| {
            // a combination that only an include made shows all its values
            let shown = values.iter().filter(|(k, _)| i >= from_product || is_vector(k));
            let label = label(shown.map(|(_, v)| v));
            Cell { values, label }
        })
        .collect())
}

fn filters(key: &str, value: &Value) -> Result<Vec<Values>, String> {
    let bad = || format!("matrix '{key}' must be a list of mappings");
    let Value::Array(items) = value else { return if value.is_null() { Ok(Vec::new()) } else { Err(bad()) } };
    if items.len() > MAX_JOBS * 4 {
        return Err(format!("matrix '{key}' has {} entries, at most {} are allowed", items.len(), MAX_JOBS * 4));
    }
    items
        .iter()
        .map(|item| match item {
            Value::Object(map) => Ok(map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            _ => Err(bad()),
        })
        .collect()
}

fn matches(values: &Values, filter: &Values) -> bool {
    filter.iter().all(|(key, wanted)| values.get(key).is_some_and(|v| same(v, wanted)))
}

/// Equality of values: texts without case, mappings on the keys the filter names.
fn same(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(v), Value::Object(w)) => w.iter().all(|(k, w)| v.get(k).is_some_and(|v| same(v, w))),
        (Value::Array(v), Value::Array(w)) => v.len() == w.len() && v.iter().zip(w).all(|(v, w)| same(v, w)),
        (Value::String(v), Value::String(w)) => v.to_lowercase() == w.to_lowercase(),
        (Value::Number(v), Value::Number(w)) => v.as_f64() == w.as_f64(),
        (v, w) => v == w,
    }
}

/// The scalar values in order; mappings show theirs.
fn label<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    fn collect(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Null => {}
            Value::Bool(b) => out.push(b.to_string()),
            Value::Number(n) => out.push(crate::expr::number_text(n.as_f64().unwrap_or(f64::NAN))),
            Value::String(s) => out.push(s.clone()),
            Value::Array(items) => items.iter().for_each(|v| collect(v, out)),
            Value::Object(map) => map.values().for_each(|v| collect(v, out)),
        }
    }
    let mut parts = Vec::new();
    values.for_each(|v| collect(v, &mut parts));
    parts.retain(|p| !p.is_empty());
    parts.join(", ")
}

/// The shown name of a matrix job without a name of its own: `key (label)`, cut at 100 characters.
pub fn display_name(key: &str, label: &str) -> String {
    let full = if label.is_empty() { key.to_owned() } else { format!("{key} ({label})") };
    if full.chars().count() > MAX_LABEL {
        let cut: String = full.chars().take(MAX_LABEL - 3).collect();
        return format!("{cut}...");
    }
    full
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(matrix: Value) -> Vec<String> {
        match expand(&matrix) {
            Ok(cells) => cells.iter().map(|c| format!("{} | {}", c.label, serde_json::to_string(&c.values).unwrap())).collect(),
            Err(e) => vec![e],
        }
    }

    #[test]
    fn product_goes_in_order_and_exclude_takes_subsets() {
        let m = json!({"os": ["l", "w"], "v": [1, 2], "exclude": [{"os": "W", "v": 2}]});
        assert_eq!(show(m), ["l, 1 | {\"os\":\"l\",\"v\":1}", "l, 2 | {\"os\":\"l\",\"v\":2}", "w, 1 | {\"os\":\"w\",\"v\":1}"]);
    }

    #[test]
    fn the_documented_include_example() {
        let m = json!({"fruit": ["apple", "pear"], "animal": ["cat", "dog"], "include": [
            {"color": "green"}, {"color": "pink", "animal": "cat"}, {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"}, {"fruit": "banana", "animal": "cat"}]});
        assert_eq!(
            show(m),
            [
                r#"apple, cat | {"fruit":"apple","animal":"cat","color":"pink","shape":"circle"}"#,
                r#"apple, dog | {"fruit":"apple","animal":"dog","color":"green","shape":"circle"}"#,
                r#"pear, cat | {"fruit":"pear","animal":"cat","color":"pink"}"#,
                r#"pear, dog | {"fruit":"pear","animal":"dog","color":"green"}"#,
                r#"banana | {"fruit":"banana"}"#,
                r#"banana, cat | {"fruit":"banana","animal":"cat"}"#,
            ]
        );
    }

    #[test]
    fn includes_alone_make_one_job_each_and_survive_exclude() {
        assert_eq!(show(json!({"include": [{"a": 1}, {"a": 2, "b": "x"}]})), [r#"1 | {"a":1}"#, r#"2, x | {"a":2,"b":"x"}"#]);
        assert_eq!(show(json!({"a": [1], "exclude": [{"a": 1}], "include": [{"a": 1}]})), [r#"1 | {"a":1}"#]);
    }

    #[test]
    fn refusals() {
        assert_eq!(show(json!({"a": []})), ["Matrix vector 'a' does not contain any values"]);
        assert_eq!(show(json!({})), ["Matrix must define at least one vector"]);
        assert_eq!(show(json!({"a": "x"})), ["matrix vector 'a' must be a list"]);
        let wide: Vec<u32> = (0..300).collect();
        assert_eq!(show(json!({"a": wide})), ["the matrix makes 300 jobs, at most 256 are allowed"]);
        let huge: Vec<u32> = (0..1000).collect();
        assert!(show(json!({"a": huge, "b": huge, "c": huge}))[0].contains("combinations"));
    }

    #[test]
    fn names_are_cut() {
        assert_eq!(display_name("test", "a, b"), "test (a, b)");
        let long = display_name("test", &"x".repeat(200));
        assert_eq!(long.len(), 100);
        assert!(long.ends_with("..."));
    }
}
