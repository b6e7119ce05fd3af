//! Right answers that the schemas of their tools exclude.

use crate::{
    bench::data::{Case, Dataset, json},
    tools::{self, ToolCall},
};

/// Keywords at the top of a schema beside `properties` that may provide for further keys.
const OPENING: [&str; 13] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "then",
    "else",
    "not",
    "dependentSchemas",
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
];

/// A right answer that no model can give under the constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Line in the test set, counted from 1.
    pub line: usize,
    /// Place of the call in the line.
    pub place: String,
    /// Part of the schema that excludes it.
    pub problem: String,
}

/// Right answers of the data that their tools' schemas exclude, in the order of the cases.
pub fn unreachable(dataset: &Dataset) -> Vec<Unreachable> {
    let found = dataset.cases.iter().filter_map(|case| {
        let problem = problem(case)?;
        Some(Unreachable { line: case.line, place: case.place(), problem })
    });
    found.collect()
}

fn problem(case: &Case) -> Option<String> {
    let tools = case.tools();
    let gold = case.gold.as_ref()?;
    let call = match ToolCall::from_text(&gold.name, &json::dumps(&gold.arguments)) {
        Ok(call) => call,
        Err(error) => return Some(error.to_string()),
    };
    match tools::check::check(tools, &call) {
        Err(tools::Error::Mismatch { problem, .. }) => return Some(problem),
        // A schema that cannot be compiled is refused where it is needed.
        Err(_) => return None,
        Ok(()) => {}
    }
    let schema = tools.get(&gold.name)?.parameters();
    if OPENING.iter().any(|keyword| schema.contains_key(*keyword)) {
        return None;
    }
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    let is_declared = |key: &&String| properties.is_some_and(|properties| properties.contains_key(*key));
    let undeclared = gold.arguments.keys().find(|key| !is_declared(key))?;
    Some(format!("`{undeclared}` is not declared in `properties`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_answers_of_a_wrong_type_or_without_a_required_key_are_found_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let job = r#"{"task_description": "t", "tools": [{"name": "timer", "parameters": {"type": "object",
            "properties": {"minutes": {"type": "integer"}, "name": {"type": "string"}}, "required": ["minutes"]}}]}"#;
        std::fs::write(folder.path().join("job_description.json"), job).unwrap();
        let line = |arguments: &str| {
            let answer = format!(r#"{{"name": "timer", "parameters": {arguments}}}"#);
            let question = r#"[{"role": "user", "content": "ten"}]"#;
            serde_json::json!({"question": question, "answer": answer}).to_string()
        };
        let lines = [
            line(r#"{"minutes": 10}"#),
            line(r#"{"minutes": "ten"}"#),
            String::new(),
            line("{}"),
            line(r#"{"minutes": 3, "seconds": 5}"#),
            line(r#"{"minutes": 3.0, "name": "eggs"}"#),
        ];
        std::fs::write(folder.path().join("test.jsonl"), lines.join("\n")).unwrap();
        let found = unreachable(&Dataset::open(folder.path()).unwrap());
        let [wrong_type, missing, undeclared] = &found[..] else { panic!("{found:?}") };
        assert_eq!((wrong_type.line, missing.line, undeclared.line), (2, 4, 5));
        assert!(wrong_type.place == "`answer`" && wrong_type.problem.contains("#/properties/minutes: type"));
        assert!(missing.problem.contains("required"), "{missing:?}");
        assert!(undeclared.problem.contains("`seconds`"), "{undeclared:?}");
    }

    #[test]
    fn the_right_answers_of_the_example_data_can_be_given() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/restaurants/benchmark");
        assert_eq!(unreachable(&Dataset::open(std::path::Path::new(folder)).unwrap()), []);
    }
}
