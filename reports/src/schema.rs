//! Tests that `schema/results-v2.json` says what the code does.
//!
//! A validator library would add a minute to a clean build, so a small one stands here. It knows
//! the keywords that the schema uses and refuses every other.

use std::sync::LazyLock;

use rigor_core::result::{ResultError, RunResult};
use serde_json::{Map, Value, json};

use crate::{RESULTS_SCHEMA, sample};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(RESULTS_SCHEMA).unwrap());

/// Whether `value` is valid under `rule`, a part of the schema `root`.
///
/// # Panics
/// At a keyword that is not implemented.
fn valid(root: &Value, rule: &Value, value: &Value) -> bool {
    let Some(keywords) = rule.as_object() else {
        return rule.as_bool().unwrap();
    };
    keywords.iter().all(|(keyword, operand)| {
        let any =
            |rules: &Value| rules.as_array().unwrap().iter().filter(|rule| valid(root, rule, value)).count();
        let at_least = |limit: &Value| value.as_f64().is_none_or(|v| v >= limit.as_f64().unwrap());
        let length = |limit: &Value| limit.as_u64().unwrap() as usize;
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = operand.as_str().unwrap().strip_prefix('#').unwrap();
                valid(root, root.pointer(pointer).unwrap(), value)
            }
            "type" => match operand.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "number" => value.is_number(),
                "integer" => value.as_f64().is_some_and(|v| v.fract() == 0.0),
                "null" => value.is_null(),
                other => panic!("type {other}"),
            },
            "const" => value == operand,
            "enum" => operand.as_array().unwrap().contains(value),
            "anyOf" => any(operand) >= 1,
            "oneOf" => any(operand) == 1,
            "minimum" => at_least(operand),
            "exclusiveMinimum" => at_least(operand) && value.as_f64() != operand.as_f64(),
            "maximum" => value.as_f64().is_none_or(|v| v <= operand.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|v| v.len() >= length(operand)),
            "maxItems" => value.as_array().is_none_or(|v| v.len() <= length(operand)),
            "maxLength" => value.as_str().is_none_or(|v| v.chars().count() <= length(operand)),
            "pattern" => {
                assert_eq!(operand, "^[A-Z0-9]+(-[A-Z0-9]+)+$", "teach this test the pattern");
                let group = |group: &str| {
                    let letters = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
                    !group.is_empty() && group.bytes().all(letters)
                };
                value.as_str().is_none_or(|v| v.contains('-') && v.split('-').all(group))
            }
            "prefixItems" => value.as_array().is_none_or(|v| {
                let rules = operand.as_array().unwrap();
                v.iter().zip(rules).all(|(item, rule)| valid(root, rule, item))
            }),
            "items" => value.as_array().is_none_or(|v| v.iter().all(|item| valid(root, operand, item))),
            "dependentRequired" => value.as_object().is_none_or(|object| {
                let present = |key: &Value| object.contains_key(key.as_str().unwrap());
                let rules = operand.as_object().unwrap().iter();
                rules
                    .filter(|(key, _)| object.contains_key(*key))
                    .all(|(_, needed)| needed.as_array().unwrap().iter().all(present))
            }),
            "dependentSchemas" => value.as_object().is_none_or(|object| {
                let rules = operand.as_object().unwrap().iter();
                rules.filter(|(key, _)| object.contains_key(*key)).all(|(_, rule)| valid(root, rule, value))
            }),
            "required" => value.as_object().is_none_or(|object| {
                operand.as_array().unwrap().iter().all(|k| object.contains_key(k.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|object| {
                let rules = operand.as_object().unwrap();
                object.iter().all(|(k, v)| rules.get(k).is_none_or(|rule| valid(root, rule, v)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|object| {
                assert_eq!(operand, &json!(false));
                let known = rule["properties"].as_object().unwrap();
                object.keys().all(|key| known.contains_key(key))
            }),
            other => panic!("keyword {other} is not implemented here"),
        }
    })
}

fn accepts(value: &Value) -> bool {
    valid(&SCHEMA, &SCHEMA, value)
}

/// Whether the reader finds the shape right, consistent or not.
fn reads(value: &Value) -> bool {
    !matches!(
        RunResult::read(&value.to_string()),
        Err(ResultError::Shape { .. } | ResultError::Version { .. })
    )
}

fn sample() -> Value {
    serde_json::from_str(&sample::run().to_json().unwrap()).unwrap()
}

#[test]
fn what_is_written_is_valid() {
    assert!(accepts(&sample()));
    assert!(accepts(&serde_json::from_str(&sample::empty().to_json().unwrap()).unwrap()));
}

/// Every place of `value` as a JSON pointer.
fn places(value: &Value, here: String, found: &mut Vec<String>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                places(inner, format!("{here}/{}", escape(key)), found);
            }
        }
        Value::Array(array) => {
            for (index, inner) in array.iter().enumerate() {
                places(inner, format!("{here}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(here);
}

/// Schema and reader must agree on every small change to a result: each field of another type,
/// each field gone, each object with one field more.
#[test]
fn schema_and_reader_agree() {
    let good = sample();
    let mut all = Vec::new();
    places(&good, String::new(), &mut all);
    assert!(all.len() > 400, "{}", all.len());
    let mut checked = 0;
    let mut agree = |changed: &Value, what: &str| {
        assert_eq!(accepts(changed), reads(changed), "{what}");
        checked += 1;
    };
    for place in &all {
        for replacement in
            [json!(null), json!(true), json!(-1), json!(1.5), json!("x"), json!("K1-X"), json!([]), json!({})]
        {
            // The reader calls this one a contradiction, not a matter of shape, and the schema
            // cannot say that limits ascend. In budgets the reader takes null for absent.
            let negative = replacement == json!(-1) && place.ends_with("/uncertainty");
            let absent = replacement.is_null() && place.contains("/budget/");
            if negative || absent || place.ends_with("/between/1") {
                continue;
            }
            let mut changed = good.clone();
            *changed.pointer_mut(place).unwrap() = replacement.clone();
            agree(&changed, &format!("{place} = {replacement}"));
        }
        let Some(object) = good.pointer(place).and_then(Value::as_object) else { continue };
        let with = |edited: Map<String, Value>| {
            let mut changed = good.clone();
            *changed.pointer_mut(place).unwrap() = Value::Object(edited);
            changed
        };
        let mut more = object.clone();
        more.insert("surprise".to_owned(), json!(1));
        agree(&with(more), &format!("{place} with one field more"));
        if place.ends_with("/budget") {
            for (key, value) in [
                ("share_percent", json!(50)),
                ("nominal", json!(1)),
                ("tolerance", json!(1)),
                ("tolerance_percent", json!(1)),
                ("at_most", json!(1)),
                ("at_least", json!(1)),
                ("between", json!([1, 2])),
                ("equals", json!(1)),
                ("min_samples", json!(2)),
                ("min_samples", json!(0)),
                ("bound", json!("mean")),
                ("bound", json!("share-within")),
            ] {
                let mut more = object.clone();
                more.insert(key.to_owned(), value);
                agree(&with(more), &format!("{place} with another {key}"));
            }
        }
        // Everything is always written, so the schema demands what the reader could do without:
        // fields that may be null, and the bound that has a default.
        for key in object.keys() {
            let mut less = object.clone();
            less.remove(key);
            let changed = with(less);
            assert!(!accepts(&changed) || reads(&changed), "{place} without {key}");
        }
    }
    assert!(checked > 3000, "{checked}");
}
