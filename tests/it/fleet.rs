//! The files of `examples/fleet` are what their readers take: YAML, paths that the server has, tools that can be called.

use edgecall::tools::ToolSet;
use serde_json::Value;
use std::{fs, path::Path};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fleet").join(name)).unwrap()
}

#[test]
fn the_manifest_is_yaml_with_probes_of_the_server_and_tools_that_can_be_called() {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&file("kubernetes.yaml")).unwrap();
    let of = |kind: &str| documents.iter().find(|document| document["kind"] == kind).unwrap();
    let spec = &of("Deployment")["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    for (probe, path) in
        [("startupProbe", "/ready"), ("readinessProbe", "/ready"), ("livenessProbe", "/health")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"]);
    }
    // An alias stands for what it names.
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let tools = ToolSet::parse(of("ConfigMap")["data"]["tools.json"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(tools.iter().map(|tool| tool.name()).collect::<Vec<_>>(), ["FindRestaurants"]);
    // Every volume that is mounted exists, and every one that exists is mounted.
    let names = |list: &Value| -> std::collections::BTreeSet<String> {
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut mounted = names(&container["volumeMounts"]);
    mounted.extend(names(&spec["initContainers"][0]["volumeMounts"]));
    assert_eq!(mounted, names(&spec["volumes"]));
    assert_eq!(of("Service")["spec"]["selector"], of("Deployment")["spec"]["selector"]["matchLabels"]);
}

#[test]
#[cfg(feature = "engine")]
fn the_options_of_unit_and_manifest_are_those_of_serve() {
    let help = crate::program::edgecall().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&file("kubernetes.yaml")).unwrap();
    let deployment = documents.iter().find(|document| document["kind"] == "Deployment").unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let manifest = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned());
    let unit = file("edgecall.service");
    let command =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/edgecall serve ")).unwrap();
    let options: Vec<String> =
        manifest.chain(command.split(' ').map(str::to_owned)).filter(|word| word.starts_with("--")).collect();
    assert!(options.len() >= 6, "{options:?}");
    for option in options {
        assert!(help.contains(&format!("{option} <")), "{option}");
    }
}
