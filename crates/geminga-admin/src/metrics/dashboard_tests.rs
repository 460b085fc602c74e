//! The dashboard, as far as this repository can know that it works.

use regex::Regex;
use serde_json::Value;

use super::{FAMILIES, Family, Kind};

fn dashboard() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dashboards/geminga.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every query: of the panels, and of the variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let found = targets.map(|target| &target["expr"]);
    let found = found.chain(variables.map(|variable| &variable["definition"]));
    found.filter_map(|query| Some(query.as_str()?.to_owned())).collect()
}

/// The family of a series, which of a histogram or summary has a suffix.
fn family_of(series: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| match family.kind {
        Kind::Gauge | Kind::Counter => family.name == series,
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| format!("{}{end}", family.name) == series),
        Kind::Summary => {
            ["", "_sum", "_count"].iter().any(|end| format!("{}{end}", family.name) == series)
        }
    })
}

/// Goal: no panel is empty because its query names what there is not.
/// Method: every metric of a query is in the table of families, with the labels that it is asked by.
#[test]
fn every_metric_of_the_dashboard_is_one_that_we_have() {
    let series =
        Regex::new(r"\b((?:pulsar|geminga|bookie|bookkeeper|process|topic)_\w+)(?:\{([^}]*)\})?")
            .unwrap();
    let label = Regex::new(r#"(\w+)=~?""#).unwrap();
    let mut found = 0;
    for query in queries(&dashboard()) {
        for captures in series.captures_iter(&query) {
            found += 1;
            let name = &captures[1];
            let family = family_of(name).unwrap_or_else(|| panic!("{name} is unknown: {query}"));
            let has: Vec<&str> = family.labels.split(", ").collect();
            let wanted = captures.get(2).map_or("", |wanted| wanted.as_str());
            for wanted in label.captures_iter(wanted) {
                assert!(has.contains(&&wanted[1]), "{name} has no {}: {query}", &wanted[1]);
            }
            if family.kind == Kind::Counter {
                assert!(query.contains("rate("), "{name} only grows: {query}");
            }
        }
    }
    assert!(50 < found, "{found}");
}

#[test]
fn the_dashboard_lets_one_choose_and_its_panels_do_not_overlap() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "cluster", "namespace", "topic"]);
    let mut taken = std::collections::BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|at| panel["gridPos"][at].as_u64().unwrap());
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(place.0 < 24 && taken.insert(place), "{}", panel["title"]);
        }
    }
}
