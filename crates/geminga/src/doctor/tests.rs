//! The doctor as a whole, on this machine and a temporary directory.

use geminga_env::net::Listener;
use serde_json::Value;

use super::*;

async fn looked_at(settings: &[(&str, &str)], data_dir: &Path) -> (bool, Vec<Value>) {
    let mut read = (Config::default(), Remarks::default());
    let settings: Vec<_> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let outcome = read.0.apply("test", &settings, &mut read.1);
    let read = outcome.map(|()| read).map_err(anyhow::Error::new);
    let mut out = Vec::new();
    let is_well = run(&Env::system(), &read, data_dir, true, &mut out).await.unwrap();
    let report: Value = serde_json::from_slice(&out).unwrap();
    let findings = report["checks"].as_array().unwrap().clone();
    let has_problem = findings.iter().any(|finding| finding["state"] == "problem");
    assert_eq!(is_well, !has_problem, "{findings:?}");
    (is_well, findings)
}

fn of<'f>(findings: &'f [Value], name: &str) -> Vec<&'f Value> {
    findings.iter().filter(|finding| finding["name"] == name).collect()
}

#[tokio::test]
async fn a_directory_that_can_be_used_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let ports = [("brokerServicePort", "0"), ("webServicePort", "0")];
    for data_dir in [directory.path().to_owned(), directory.path().join("not/yet")] {
        let (_, findings) = looked_at(&ports, &data_dir).await;
        for name in ["configuration", "data directory"] {
            assert_eq!(of(&findings, name)[0]["state"], "ok", "{findings:?}");
        }
        for name in ["file system", "disk space", "sync", "clock", "open files", "memory"] {
            assert!(!of(&findings, name).is_empty(), "{name}: {findings:?}");
        }
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "something was left behind");
}

#[tokio::test]
async fn a_directory_that_is_none_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (is_well, findings) = looked_at(&[], &file).await;
    assert!(!is_well);
    assert_eq!(of(&findings, "data directory")[0]["state"], "problem", "{findings:?}");
    assert_eq!(of(&findings, "sync")[0]["state"], "problem", "{findings:?}");
}

#[tokio::test]
async fn settings_are_judged_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let (_, findings) = looked_at(
        &[("journalSyncDatta", "true"), ("managedLedgerMaxReadsInFlightSizeInMB", "5")],
        directory.path(),
    )
    .await;
    let found = of(&findings, "configuration");
    assert!(found.iter().all(|finding| finding["state"] == "warning"), "{found:?}");
    let change = found[0]["change"].as_str().unwrap();
    assert!(change.contains("journalSyncData"), "{found:?}");
    for wrong in [("memoryLimitMb", "64"), ("brokerServicePort", "many"), ("bindAddress", "here")] {
        let (is_well, findings) = looked_at(&[wrong], directory.path()).await;
        assert!(!is_well, "{wrong:?}");
        assert_eq!(of(&findings, "configuration")[0]["state"], "problem", "{findings:?}");
    }
}

#[tokio::test]
async fn a_port_that_another_program_has_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    let taken: Box<dyn Listener> =
        Env::system().net.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let port = taken.local_address().port().to_string();
    let ports = [("brokerServicePort", port.as_str()), ("webServicePort", "0")];
    let (is_well, findings) = looked_at(&ports, directory.path()).await;
    assert!(!is_well);
    let found = of(&findings, "ports");
    assert_eq!(found[0]["state"], "problem", "{found:?}");
    assert!(found[0]["change"].as_str().unwrap().contains("brokerServicePort"), "{found:?}");
}
