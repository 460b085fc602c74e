//! What is kept of who may do what, and other things of namespaces and tenants that have no effect on
//! topics.

use geminga_admin::Options;
use serde_json::json;

use crate::server::{Disk, Server, with_server};

const NAMESPACE: &str = "/admin/v2/namespaces/public/default";

#[test]
fn permissions_of_a_namespace_come_back() {
    with_server(async |server| {
        let all = format!("{NAMESPACE}/permissions");
        assert_eq!(server.get(&all).await.is(200).json(), json!({}));
        server.post(&format!("{all}/alice"), r#"["produce","consume"]"#).await.is(204);
        server.post(&format!("{all}/bob"), r#"["packages"]"#).await.is(204);
        server.post(&format!("{all}/bob"), r#"["rule"]"#).await.is(400);
        server.post(&format!("{all}/bob"), "").await.is(400);
        let expected = json!({"alice": ["produce", "consume"], "bob": ["packages"]});
        assert_eq!(server.get(&all).await.is(200).json(), expected);
        let policies = server.get(NAMESPACE).await.is(200).json();
        assert_eq!(policies["auth_policies"]["namespace_auth"], expected);
        server.delete(&format!("{all}/bob")).await.is(204);
        server.delete(&format!("{all}/alice")).await.is(204);
        assert_eq!(server.get(&all).await.is(200).json(), json!({}));
        server.get("/admin/v2/namespaces/public/none/permissions").await.is(404);
        server.post("/admin/v2/namespaces/public/none/permissions/a", "[]").await.is(404);
    });
}

#[test]
fn permissions_of_subscriptions_come_back() {
    with_server(async |server| {
        let all = format!("{NAMESPACE}/permissions/subscription");
        assert_eq!(server.get(&all).await.is(200).json(), json!({}));
        server.post(&format!("{all}/s"), r#"["alice","bob"]"#).await.is(204);
        assert_eq!(server.get(&all).await.is(200).json(), json!({"s": ["alice", "bob"]}));
        server.delete(&format!("{NAMESPACE}/permissions/s/alice")).await.is(204);
        assert_eq!(server.get(&all).await.is(200).json(), json!({"s": ["bob"]}));
        server.delete(&format!("{NAMESPACE}/permissions/s/bob")).await.is(204);
        assert_eq!(server.get(&all).await.is(200).json(), json!({}));
        assert_eq!(server.get(&format!("{NAMESPACE}/permissions")).await.json(), json!({}));
    });
}

/// Goal: a topic has its own permissions with the namespace's; partitions are as their topic.
#[test]
fn permissions_of_topics_come_on_top_of_the_namespaces() {
    with_server(async |server| {
        let all = "/admin/v2/persistent/public/default/t/permissions";
        server.post(&format!("{NAMESPACE}/permissions/alice"), r#"["consume"]"#).await.is(204);
        server.post(&format!("{all}/alice"), r#"["produce"]"#).await.is(204);
        server.post(&format!("{all}/bob"), r#"["consume"]"#).await.is(204);
        let expected = json!({"alice": ["produce", "consume"], "bob": ["consume"]});
        assert_eq!(server.get(all).await.is(200).json(), expected);
        let part = "/admin/v2/persistent/public/default/t-partition-0/permissions";
        assert_eq!(server.get(part).await.is(200).json(), expected);
        let other = "/admin/v2/non-persistent/public/default/t/permissions";
        assert_eq!(server.get(other).await.is(200).json(), json!({"alice": ["consume"]}));
        server.delete(&format!("{all}/bob")).await.is(204);
        server.delete(&format!("{all}/bob")).await.is(412);
        server.delete(&format!("{all}/alice")).await.is(204);
        assert_eq!(server.get(all).await.is(200).json(), json!({"alice": ["consume"]}));

        let several = json!([
            {"topic": "persistent://public/default/t", "role": "carol", "actions": ["produce"]},
            {"topic": "public/default/u", "role": "carol", "actions": ["consume"]},
        ]);
        let path = "/admin/v2/namespaces/grantPermissionsOnTopics";
        server.post(path, &several.to_string()).await.is(204);
        assert_eq!(server.get(all).await.is(200).json()["carol"], json!(["produce"]));
        let path = "/admin/v2/namespaces/revokePermissionsOnTopics";
        server.post(path, &several.to_string()).await.is(204);
        assert_eq!(server.get(all).await.is(200).json(), json!({"alice": ["consume"]}));
    });
}

#[test]
fn properties_of_a_namespace_come_back() {
    with_server(async |server| {
        let (all, one) = (format!("{NAMESPACE}/properties"), format!("{NAMESPACE}/property/k"));
        assert_eq!(server.get(&all).await.is(200).json(), json!({}));
        server.get(&one).await.is(204);
        server.put(&format!("{one}/a%20value"), "").await.is(204);
        assert_eq!(server.get(&one).await.is(200).body, "a value");
        server.put(&all, r#"{"a":"1","b":"2"}"#).await.is(204);
        let expected = json!({"a": "1", "b": "2", "k": "a value"});
        assert_eq!(server.get(&all).await.is(200).json(), expected);
        assert_eq!(server.delete(&one).await.is(200).body, "a value");
        server.delete(&one).await.is(204);
        server.delete(&all).await.is(204);
        assert_eq!(server.get(&all).await.is(200).json(), json!({}));
        server.get("/admin/v2/namespaces/public/none/properties").await.is(404);
    });
}

#[test]
fn groups_of_a_namespace_come_back() {
    with_server(async |server| {
        let affinity = format!("{NAMESPACE}/antiAffinity");
        server.get(&affinity).await.is(204);
        server.post(&affinity, "").await.is(412);
        server.post(&affinity, "apart").await.is(204);
        assert_eq!(server.get(&affinity).await.is(200).body, "apart");
        let found = "/admin/v2/namespaces/standalone/antiAffinity/apart";
        let names = server.get(&format!("{found}?tenant=public")).await.is(200).json();
        assert_eq!(names, json!(["public/default"]));
        server.get(found).await.is(412);
        server.post(&affinity, "\"other\"").await.is(204);
        assert_eq!(server.get(&affinity).await.is(200).body, "other");
        server.delete(&affinity).await.is(204);
        server.get(&affinity).await.is(204);

        let bookies = "/admin/v2/namespaces/pulsar/system/persistence/bookieAffinity";
        server.get(bookies).await.is(404);
        let group = r#"{"bookkeeperAffinityGroupPrimary":"g"}"#;
        server.post(bookies, group).await.is(204);
        assert_eq!(server.get(bookies).await.is(200).body, group);
        server.delete(bookies).await.is(204);
        server.get(bookies).await.is(204);

        let resources = format!("{NAMESPACE}/resourcegroup");
        server.get(&resources).await.is(204);
        server.post(&format!("{resources}/g"), "").await.is(412);
        server.put("/admin/v2/resourcegroups/g", "{}").await.is(204);
        server.post(&format!("{resources}/g"), "").await.is(204);
        assert_eq!(server.get(&resources).await.is(200).body, "g");
        server.delete("/admin/v2/resourcegroups/g").await.is(412);
        server.delete(&resources).await.is(204);
        server.get(&resources).await.is(204);
        server.delete("/admin/v2/resourcegroups/g").await.is(204);

        let mode = format!("{NAMESPACE}/subscriptionAuthMode");
        assert_eq!(server.get(&mode).await.is(200).body, "\"None\"");
        server.post(&mode, "\"Prefix\"").await.is(204);
        assert_eq!(server.get(&mode).await.is(200).body, "\"Prefix\"");
        server.post(&mode, "\"Suffix\"").await.is(400);
    });
}

#[test]
fn a_namespace_is_in_clusters_that_its_tenant_may_use() {
    with_server(async |server| {
        let path = format!("{NAMESPACE}/replication");
        assert_eq!(server.get(&path).await.is(200).json(), json!(["standalone"]));
        server.post(&path, "[]").await.is(412);
        server.post(&path, r#"["global"]"#).await.is(412);
        server.post(&path, r#"["other"]"#).await.is(403);
        server.put("/admin/v2/clusters/other", r#"{"serviceUrl":"http://o:1"}"#).await.is(204);
        server.post(&path, r#"["other"]"#).await.is(403);
        let tenant = "/admin/v2/tenants/public";
        server.post(tenant, r#"{"allowedClusters":["standalone","other"]}"#).await.is(204);
        server.post(&path, r#"["standalone","other"]"#).await.is(204);
        assert_eq!(server.get(&path).await.is(200).json(), json!(["standalone", "other"]));
        server.post(tenant, r#"{"allowedClusters":["standalone"]}"#).await.is(409);
        server.delete("/admin/v2/clusters/other").await.is(412);
        server.post("/admin/v2/clusters/other/peers", r#"["standalone"]"#).await.is(204);
        server.post(&path, r#"["other","standalone"]"#).await.is(409);
        server.post(&path, r#"["standalone"]"#).await.is(204);
        server.post(tenant, r#"{"allowedClusters":["standalone"]}"#).await.is(204);
        let body = r#"{"replication_clusters":["other"]}"#;
        server.put("/admin/v2/namespaces/public/new", body).await.is(403);
        server.post("/admin/v2/namespaces/public/none/replication", "[]").await.is(404);
    });
}

/// Goal: what a namespace may be in is one of the tenant's and holds what it is in; what it is in, or a topic
/// of it, is one of those.
#[test]
fn a_namespace_says_which_clusters_it_may_be_in() {
    with_server(async |server| {
        let (allowed, used) =
            (format!("{NAMESPACE}/allowedClusters"), format!("{NAMESPACE}/replication"));
        assert_eq!(server.get(&allowed).await.is(200).json(), json!([]));
        server.get("/admin/v2/namespaces/public/none/allowedClusters").await.is(404);
        server.post("/admin/v2/namespaces/public/none/allowedClusters", "[]").await.is(404);
        server.post(&allowed, "[]").await.is(400);
        server.post(&allowed, r#"["global","standalone"]"#).await.is(412);
        for cluster in ["other", "third"] {
            let path = format!("/admin/v2/clusters/{cluster}");
            server.post(&allowed, &format!(r#"["{cluster}","standalone"]"#)).await.is(403);
            server.put(&path, r#"{"serviceUrl":"http://o:1"}"#).await.is(204);
            server.post(&allowed, &format!(r#"["{cluster}","standalone"]"#)).await.is(403);
        }
        let tenant = "/admin/v2/tenants/public";
        server.post(tenant, r#"{"allowedClusters":["standalone","other","third"]}"#).await.is(204);
        server.post(&allowed, r#"["other"]"#).await.is(400);
        server.post(&allowed, r#"["standalone","other"]"#).await.is(204);
        assert_eq!(server.get(&allowed).await.is(200).json(), json!(["other", "standalone"]));
        server.post(&used, r#"["standalone","third"]"#).await.is(403);
        server.post(&used, r#"["standalone","other"]"#).await.is(204);
        server.post(&allowed, r#"["standalone"]"#).await.is(400);
        server.put("/admin/v2/persistent/public/default/t", "").await.is(204);
        let of_topic = "/admin/v2/persistent/public/default/t/replication";
        server.post(of_topic, r#"["third"]"#).await.is(403);
        server.post(&used, r#"["standalone"]"#).await.is(204);
        server.post("/admin/v2/clusters/other/peers", r#"["standalone"]"#).await.is(204);
        server.post(&allowed, r#"["other","standalone"]"#).await.is(409);
        let body = r#"{"replication_clusters":["standalone"],"allowed_clusters":["third"]}"#;
        server.put("/admin/v2/namespaces/public/new", body).await.is(400);
        let body =
            r#"{"replication_clusters":["standalone"],"allowed_clusters":["standalone","none"]}"#;
        server.put("/admin/v2/namespaces/public/new", body).await.is(403);
        let body = body.replace("none", "third");
        server.put("/admin/v2/namespaces/public/new", &body).await.is(204);
        let found = server.get("/admin/v2/namespaces/public/new/allowedClusters").await.is(200);
        assert_eq!(found.json(), json!(["standalone", "third"]));
    });
}

/// Goal: a topic's own clusters come before its namespace's, and are checked as those.
#[test]
fn a_topic_is_in_clusters_of_its_own() {
    with_server(async |server| {
        let topic = "/admin/v2/persistent/public/default/t";
        let path = format!("{topic}/replication");
        let applied = format!("{path}?applied=true");
        server.get(&path).await.is(404);
        server.put(topic, "").await.is(204);
        server.get(&path).await.is(204);
        assert_eq!(server.get(&applied).await.is(200).json(), json!(["standalone"]));
        server.post(&path, "[]").await.is(412);
        server.post(&path, r#"["global"]"#).await.is(412);
        server.post(&path, "7").await.is(400);
        server.post(&path, r#"["other"]"#).await.is(403);
        server.put("/admin/v2/clusters/other", r#"{"serviceUrl":"http://o:1"}"#).await.is(204);
        server.post(&path, r#"["other"]"#).await.is(403);
        let tenant = "/admin/v2/tenants/public";
        server.post(tenant, r#"{"allowedClusters":["standalone","other"]}"#).await.is(204);
        let both = json!(["standalone", "other"]);
        server.post(&path, r#"["standalone","other","other"]"#).await.is(204);
        assert_eq!(server.get(&path).await.is(200).json(), both);
        assert_eq!(server.get(&applied).await.is(200).json(), both);
        let all = server.get(&format!("{topic}/effective-policies")).await.is(200).json();
        assert_eq!(all["replication"], json!({"value": both, "level": "topic"}));
        let of_namespace = server.get(&format!("{NAMESPACE}/replication")).await.is(200);
        assert_eq!(of_namespace.json(), json!(["standalone"]));
        server.delete(&path).await.is(204);
        server.get(&path).await.is(204);
        assert_eq!(server.get(&applied).await.is(200).json(), json!(["standalone"]));
    });
}

#[test]
fn a_bundle_is_unloaded() {
    with_server(async |server| {
        server.publish("persistent://public/default/t", 1).await;
        let found = server.get("/lookup/v2/topic/persistent/public/default/t/bundle").await;
        let range = found.is(200).body;
        assert_eq!(server.broker.topics_in_use().len(), 1);
        let all = server.get(&format!("{NAMESPACE}/bundles")).await.is(200).json();
        for ends in all["boundaries"].as_array().unwrap().windows(2) {
            let other = format!("{}_{}", ends[0].as_str().unwrap(), ends[1].as_str().unwrap());
            if other != range {
                server.put(&format!("{NAMESPACE}/{other}/unload"), "").await.is(204);
                assert_eq!(server.broker.topics_in_use().len(), 1);
            }
        }
        server.put(&format!("{NAMESPACE}/0x00000000_0x00000001/unload"), "").await.is(412);
        server.put(&format!("{NAMESPACE}/{range}/unload"), "").await.is(204);
        assert_eq!(server.broker.topics_in_use().len(), 0);
    });
}

#[test]
fn there_are_no_more_tenants_and_namespaces_than_there_may_be() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start_with(Disk::new(), Options::default(), |told| {
            told.tenants.tenants_max = 3;
            told.tenants.namespaces_max = 2;
        })
        .await;
        let body = r#"{"allowedClusters":["standalone"]}"#;
        server.put("/admin/v2/tenants/a", body).await.is(204);
        server.put("/admin/v2/tenants/b", body).await.is(412);
        server.put("/admin/v2/namespaces/a/1", "").await.is(204);
        server.put("/admin/v2/namespaces/a/2", "").await.is(204);
        server.put("/admin/v2/namespaces/a/3", "").await.is(412);
        server.post("/admin/v2/brokers/configuration/maxTenants/4", "").await.is(204);
        server.put("/admin/v2/tenants/b", body).await.is(204);
        server.delete("/admin/v2/tenants/a").await.is(409);
        server.delete("/admin/v2/tenants/a?force=true").await.is(204);
        server.stop().await;
    });
}

#[test]
fn a_tenant_that_makes_no_sense_is_refused() {
    with_server(async |server| {
        let path = "/admin/v2/tenants/acme";
        for (body, word) in [
            ("", "allowedClusters"),
            ("{}", "allowedClusters"),
            (r#"{"allowedClusters":[" "]}"#, "blank"),
            (r#"{"allowedClusters":["none"]}"#, "none"),
            (r#"{"allowedClusters":["standalone"],"adminRoles":[" x"]}"#, "whitespace"),
        ] {
            let answer = server.put(path, body).await.is(412).json();
            assert!(answer["reason"].as_str().unwrap().contains(word), "{body}: {answer}");
        }
        server.get(path).await.is(404);
    });
}
