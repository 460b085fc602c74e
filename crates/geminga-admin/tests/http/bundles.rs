//! Lists of the topics of one bundle.

use geminga_types::{TopicName, bundle_of};
use serde_json::{Value, json};

use crate::server::with_server;

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn topics_of_a_bundle_are_listed() {
    with_server(async |server| {
        let mut consumers = Vec::new();
        for topic in ["a", "b", "c", "d", "e"] {
            for domain in ["persistent", "non-persistent"] {
                let name = format!("{domain}://public/default/{topic}");
                consumers.push(server.consumer(&name, "s").await);
            }
        }
        let bundles =
            server.get("/admin/v2/namespaces/public/default/bundles").await.is(200).json();
        let boundaries = names(&bundles["boundaries"]);
        let ranges: Vec<String> =
            boundaries.windows(2).map(|pair| format!("{}_{}", pair[0], pair[1])).collect();
        assert_eq!(ranges.len(), 4);
        for domain in ["persistent", "non-persistent"] {
            let mut all = Vec::new();
            for range in &ranges {
                let path = format!("/admin/v2/{domain}/public/default?bundle={range}");
                let found = names(&server.get(&path).await.is(200).json());
                for name in &found {
                    let topic: TopicName = name.parse().unwrap();
                    assert_eq!(bundle_of(&topic, 4).to_string(), *range, "{name}");
                }
                if domain == "non-persistent" {
                    let path = format!("/admin/v2/non-persistent/public/default/{range}");
                    assert_eq!(names(&server.get(&path).await.is(200).json()), found);
                }
                all.extend(found);
            }
            all.sort();
            let listed = server.get(&format!("/admin/v2/{domain}/public/default")).await.is(200);
            assert_eq!(json!(all), listed.json());
            assert_eq!(all.len(), 5);
        }
        let wrong = "0x00000000_0x00000007";
        server.get(&format!("/admin/v2/non-persistent/public/default/{wrong}")).await.is(412);
        server.get(&format!("/admin/v2/persistent/public/default?bundle={wrong}")).await.is(412);
        server.get("/admin/v2/non-persistent/public/none/0x00000000_0xffffffff").await.is(404);
    });
}
