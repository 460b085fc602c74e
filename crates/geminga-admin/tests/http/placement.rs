//! Where things are to be: parts of clusters, bookies, quotas, groups; and services that are not there.

use serde_json::json;

use crate::server::with_server;

const CLUSTER: &str = "/admin/v2/clusters/standalone";

#[test]
fn peers_of_a_cluster_are_other_clusters() {
    with_server(async |server| {
        let peers = format!("{CLUSTER}/peers");
        server.get(&peers).await.is(204);
        server.post(&peers, r#"["other"]"#).await.is(412);
        server.post(&peers, r#"["standalone"]"#).await.is(412);
        server.put("/admin/v2/clusters/other", r#"{"serviceUrl":"http://o:1"}"#).await.is(204);
        server.post(&peers, r#"["other"]"#).await.is(204);
        assert_eq!(server.get(&peers).await.is(200).json(), json!(["other"]));
        assert_eq!(server.get(CLUSTER).await.is(200).json()["peerClusterNames"], json!(["other"]));
        server.get("/admin/v2/clusters/none/peers").await.is(404);
        server.post("/admin/v2/clusters/none/peers", r#"["other"]"#).await.is(404);
    });
}

#[test]
fn clients_are_not_moved_to_another_cluster() {
    with_server(async |server| {
        let migrate = format!("{CLUSTER}/migrate");
        assert_eq!(server.get(&migrate).await.is(200).json(), json!({"migrated": false}));
        server.post(&format!("{migrate}?migrated=true"), "{}").await.is(405);
        server.post(&format!("{migrate}?migrated=false"), "{}").await.is(204);
        server.get("/admin/v2/clusters/none/migrate").await.is(404);
    });
}

#[test]
fn failure_domains_come_change_and_go() {
    with_server(async |server| {
        let domains = format!("{CLUSTER}/failureDomains");
        assert_eq!(server.get(&domains).await.is(200).json(), json!({}));
        let (one, two) = (format!("{domains}/a%2F1"), format!("{domains}/two"));
        server.get(&one).await.is(404);
        server.post(&one, r#"{"brokers":["b1:8080","b2:8080"]}"#).await.is(204);
        server.post(&two, r#"{"brokers":["b2:8080"]}"#).await.is(409);
        server.post(&two, r#"{"brokers":["b3:8080"]}"#).await.is(204);
        server.post(&one, r#"{"brokers":["b1:8080"]}"#).await.is(204);
        assert_eq!(server.get(&one).await.is(200).json(), json!({"brokers": ["b1:8080"]}));
        let expected = json!({"a/1": {"brokers": ["b1:8080"]}, "two": {"brokers": ["b3:8080"]}});
        assert_eq!(server.get(&domains).await.is(200).json(), expected);
        server.delete(&two).await.is(204);
        server.delete(&two).await.is(404);
        server.post("/admin/v2/clusters/none/failureDomains/x", "{}").await.is(412);
        server.get("/admin/v2/clusters/none/failureDomains/x").await.is(412);
    });
}

/// Goal: policies come back, are checked, and say of each broker what fits it.
#[test]
fn isolation_policies_come_change_and_go() {
    with_server(async |server| {
        let policies = format!("{CLUSTER}/namespaceIsolationPolicies");
        server.get(&policies).await.is(404);
        server.get("/admin/v2/clusters/none/namespaceIsolationPolicies").await.is(404);
        let policy = json!({
            "namespaces": ["public/.*"], "primary": ["local.*:\\d+"], "secondary": ["b2:8080"],
            "auto_failover_policy": {
                "policy_type": "min_available",
                "parameters": {"min_limit": "1", "usage_threshold": "80"},
            },
            "unload_scope": "changed",
        });
        let one = format!("{policies}/p");
        for field in ["namespaces", "primary", "auto_failover_policy"] {
            let mut broken = policy.clone();
            broken.as_object_mut().unwrap().remove(field);
            let reason = server.post(&one, &broken.to_string()).await.is(400).json();
            assert!(reason["reason"].as_str().unwrap().contains(field), "{reason}");
        }
        server.post(&one, &policy.to_string()).await.is(204);
        assert_eq!(server.get(&one).await.is(200).json(), policy);
        assert_eq!(server.get(&policies).await.is(200).json(), json!({"p": policy}));
        server.get(&format!("{policies}/q")).await.is(404);
        let found = server.get(&format!("{policies}/brokers")).await.is(200).json();
        let expected = json!([{
            "brokerName": format!("localhost:{}", server.address.port()), "policyName": "p",
            "primary": true, "namespaceRegex": ["public/.*"],
        }]);
        assert_eq!(found, expected);
        let of = async |name: &str| {
            server.get(&format!("{policies}/brokers/{name}")).await.is(200).json()
        };
        assert_eq!(of("b2:8080").await["primary"], false);
        assert_eq!(of("b2:8080").await["policyName"], "p");
        assert_eq!(
            of("b3:8080").await,
            json!({
                "brokerName": "b3:8080", "primary": false, "namespaceRegex": [],
            })
        );
        server.delete(&one).await.is(204);
        assert_eq!(server.get(&policies).await.is(200).json(), json!({}));
        server
            .post("/admin/v2/clusters/none/namespaceIsolationPolicies/p", &policy.to_string())
            .await
            .is(412);
    });
}

/// A cluster that something depends on stays.
#[test]
fn a_cluster_in_use_is_not_deleted() {
    with_server(async |server| {
        let other = "/admin/v2/clusters/other";
        server.put(other, r#"{"serviceUrl":"http://o:1"}"#).await.is(204);
        let policy = r#"{"namespaces":["a/.*"],"primary":["b"],"auto_failover_policy":
            {"policy_type":"min_available","parameters":{"min_limit":"1","usage_threshold":"1"}}}"#;
        let one = format!("{other}/namespaceIsolationPolicies/p");
        server.post(&one, policy).await.is(204);
        server.delete(other).await.is(412);
        server.delete(&one).await.is(204);
        server.post(&format!("{other}/failureDomains/d"), "{}").await.is(204);
        server.delete(other).await.is(204);
        server.delete(other).await.is(404);
        server.put(other, r#"{"serviceUrl":"http://o:1"}"#).await.is(204);
        let domains = server.get(&format!("{other}/failureDomains")).await.is(200).json();
        assert_eq!(domains, json!({}));
    });
}

#[test]
fn bookies_have_racks() {
    with_server(async |server| {
        let bookies = server.get("/admin/v2/bookies/all").await.is(200).json();
        assert_eq!(bookies, json!({"bookies": [{"bookieId": "memory"}]}));
        let racks = "/admin/v2/bookies/racks-info";
        assert_eq!(server.get(racks).await.is(200).json(), json!({}));
        let one = format!("{racks}/bookie:3181");
        server.get(&one).await.is(404);
        server.delete(&one).await.is(404);
        server.post(&one, r#"{"rack":"/r1"}"#).await.is(412);
        server.post(&format!("{one}?group=g"), "").await.is(400);
        server.post(&format!("{one}?group=g"), r#"{"rack":"/r1","hostname":"h"}"#).await.is(204);
        assert_eq!(server.get(&one).await.is(200).json(), json!({"rack": "/r1", "hostname": "h"}));
        server.post(&format!("{one}?group=other"), r#"{"rack":"/r2"}"#).await.is(204);
        let expected = json!({"other": {"bookie:3181": {"rack": "/r2"}}});
        assert_eq!(server.get(racks).await.is(200).json(), expected);
        server.delete(&one).await.is(204);
        assert_eq!(server.get(racks).await.is(200).json(), json!({}));
    });
}

#[test]
fn quotas_are_the_default_until_they_are_set() {
    with_server(async |server| {
        let quotas = "/admin/v2/resource-quotas";
        let default = server.get(quotas).await.is(200).json();
        assert_eq!(default["msgRateIn"], 40.0);
        let one = format!("{quotas}/public/default/0x00000000_0x40000000");
        assert_eq!(server.get(&one).await.is(200).json(), default);
        let set = json!({
            "msgRateIn": 1.0, "msgRateOut": 2.0, "bandwidthIn": 3.0, "bandwidthOut": 4.0,
            "memory": 5.0, "dynamic": false,
        });
        server.post(&one, "").await.is(400);
        server.post(&one, r#"{"msgRateIn":1}"#).await.is(400);
        server.post(&one, &set.to_string()).await.is(204);
        assert_eq!(server.get(&one).await.is(200).json(), set);
        assert_eq!(server.get(quotas).await.is(200).json(), default);
        server.delete(&one).await.is(204);
        server.post(quotas, &set.to_string()).await.is(204);
        assert_eq!(server.get(&one).await.is(200).json(), set);
        server.get(&format!("{quotas}/public/default/0x00000000_0x40000001")).await.is(412);
        server.get(&format!("{quotas}/public/none/0x00000000_0x40000000")).await.is(404);
    });
}

#[test]
fn services_that_are_not_there_say_so() {
    with_server(async |server| {
        for path in ["v3/functions/a/b", "v2/functions/x", "v3/sinks", "v2/worker/cluster"] {
            let answer = server.get(&format!("/admin/{path}")).await.is(409).json();
            let reason = answer["reason"].as_str().unwrap();
            assert!(reason.contains("functionsWorkerEnabled is set to false"), "{path}: {reason}");
        }
        server.post("/admin/v3/sources/a/b/c", "x").await.is(409);
        server.put("/admin/v3/functions/a/b/c", "x").await.is(409);
        server.delete("/admin/v3/sinks/a/b/c").await.is(409);
        server.get("/admin/v3/packages/function/a/b").await.is(503);
        server.get("/admin/v3/transactions/coordinatorStats").await.is(503);
        server.get("/admin/v3/nonsense").await.is(404);
    });
}
