//! `geminga doctor` and `geminga completions`, as scripts run them.
#![cfg(test)]

use std::process::{Command, Output};

use serde_json::Value;

fn geminga(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_geminga")).args(words).output().unwrap()
}

#[test]
fn the_doctor_fails_where_there_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("standalone.conf");
    std::fs::write(&config, "memoryLimitMb=1\n").unwrap();
    let (data_dir, config) = (directory.path().to_str().unwrap(), config.to_str().unwrap());
    let output = geminga(&["doctor", "--data-dir", data_dir, "--config", config]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("problem  configuration  memoryLimitMb=1"), "{text}");
    assert!(lines.next().unwrap().trim_start().starts_with("-> "), "{text}");

    let output = geminga(&["doctor", "--data-dir", data_dir, "--config", config, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["checks"][0]["state"], "problem", "{report}");
    // A file that is not there is a problem of the configuration too, and the rest is looked at.
    let output =
        geminga(&["doctor", "--data-dir", data_dir, "--config", "/no/such/file", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(5 < report["checks"].as_array().unwrap().len(), "{report}");
    assert_eq!(geminga(&["doctor", "--frobnicate"]).status.code(), Some(2));
}

#[test]
fn shells_are_told_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let output = geminga(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}: {output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["reset-cursor", "set-retention", "doctor", "subscription-position"] {
            assert!(script.contains(word), "{shell} knows no {word}");
        }
    }
    assert_eq!(geminga(&["completions", "dos"]).status.code(), Some(2));
}
