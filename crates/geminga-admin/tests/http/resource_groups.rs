//! Resource groups.

use serde_json::{Value, json};

use crate::server::with_server;

const GROUPS: &str = "/admin/v2/resourcegroups";
const OF_NAMESPACE: &str = "/admin/v2/namespaces/public/default/resourcegroup";

#[test]
fn groups_come_change_and_go() {
    with_server(async |server| {
        let path = format!("{GROUPS}/a-1");
        assert_eq!(server.get(GROUPS).await.is(200).json(), json!([]));
        server.get(&path).await.is(404);
        server.delete(&path).await.is(404);
        server.put(&path, r#"{"publishRateInMsgs":"x"}"#).await.is(400);
        server.put(&format!("{GROUPS}/a%2Fb"), "{}").await.is(412);
        server.put(&path, r#"{"publishRateInMsgs":7,"dispatchRateInBytes":9}"#).await.is(204);
        // −1 leaves what is there.
        server.put(&path, r#"{"publishRateInMsgs":-1,"priority":2,"x":[1]}"#).await.is(204);
        let stored = server.get(&path).await.is(200).json();
        let wanted =
            json!({"publishRateInMsgs": 7, "dispatchRateInBytes": 9, "priority": 2, "x": [1]});
        assert_eq!(stored, wanted);
        assert_eq!(server.get(GROUPS).await.is(200).json(), json!(["a-1"]));
        server.delete(&path).await.is(204);
        server.get(&path).await.is(404);
    });
}

#[test]
fn a_namespace_is_in_one_that_there_is_and_holds_it() {
    with_server(async |server| {
        let path = format!("{GROUPS}/a");
        server.get(OF_NAMESPACE).await.is(204);
        server.post(&format!("{OF_NAMESPACE}/a"), "").await.is(412);
        server.put(&path, "{}").await.is(204);
        server.post(&format!("{OF_NAMESPACE}/a"), "").await.is(204);
        assert_eq!(server.get(OF_NAMESPACE).await.is(200).body, "a");
        let policies: Value = server.get("/admin/v2/namespaces/public/default").await.json();
        assert_eq!(policies["resource_group_name"], "a");
        let refused = server.delete(&path).await.is(412).json();
        let reason = "ResourceGroup is in use by namespace public/default";
        assert_eq!(refused, json!({"reason": reason}));
        server.delete(OF_NAMESPACE).await.is(204);
        server.get(OF_NAMESPACE).await.is(204);
        server.delete(&path).await.is(204);
        server.post("/admin/v2/namespaces/public/none/resourcegroup/a", "").await.is(412);
    });
}
