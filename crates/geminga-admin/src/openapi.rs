//! The description of everything that is served, in OpenAPI's form, made from the table of routes: what
//! is served is in it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    handlers::{
        disabled::SERVICES,
        policies::{self, Level},
    },
    route::{DOMAINS, Route, VERSIONS},
};

/// The document.
#[derive(Serialize)]
pub(crate) struct Document {
    openapi: &'static str,
    info: Info,
    /// By path and method.
    paths: BTreeMap<String, BTreeMap<&'static str, Operation>>,
    components: Components,
}

#[derive(Serialize)]
struct Info {
    title: &'static str,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    operation_id: String,
    summary: String,
    tags: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Parameter>,
    responses: BTreeMap<&'static str, Answered>,
    /// What a role must hold.
    #[serde(rename = "x-permission")]
    permission: String,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    r#in: &'static str,
    required: bool,
    schema: Schema,
}

#[derive(Serialize)]
struct Schema {
    r#type: &'static str,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    values: Option<Vec<&'static str>>,
}

#[derive(Serialize)]
struct Answered {
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<BTreeMap<&'static str, Content>>,
}

#[derive(Serialize)]
struct Content {
    schema: Reference,
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "$ref")]
    to: &'static str,
}

#[derive(Serialize)]
struct Components {
    schemas: BTreeMap<&'static str, Object>,
}

#[derive(Serialize)]
struct Object {
    r#type: &'static str,
    required: [&'static str; 1],
    properties: BTreeMap<&'static str, Schema>,
}

/// One path of a route, with each of its policies written out.
struct Served {
    path: String,
    /// The policy, where the route is for one.
    policy: Option<&'static str>,
}

impl Served {
    /// A name that no other operation has.
    fn id(&self, route: Route) -> String {
        match self.policy {
            None => format!("{route:?}"),
            Some(policy) => format!("{route:?}_{policy}"),
        }
    }
}

/// Describes all routes.
pub(crate) fn document(version: &str) -> Document {
    let mut paths: BTreeMap<String, BTreeMap<&'static str, Operation>> = BTreeMap::new();
    for &route in Route::ALL {
        for served in served(route) {
            let method = method(route);
            let (path, operation) = operation(route, &served);
            paths.entry(path).or_default().insert(method, operation);
        }
    }
    let text = Schema { r#type: "string", values: None };
    let reason = Object {
        r#type: "object",
        required: ["reason"],
        properties: BTreeMap::from([("reason", text)]),
    };
    Document {
        openapi: "3.0.3",
        info: Info { title: "Geminga admin REST API", version: version.to_owned() },
        paths,
        components: Components { schemas: BTreeMap::from([("Reason", reason)]) },
    }
}

/// The paths that a route serves: several, if it is for policies.
fn served(route: Route) -> Vec<Served> {
    for (part, level) in
        [("{policy of a namespace}", Level::Namespace), ("{policy of a topic}", Level::Topic)]
    {
        if route.path().contains(part) {
            let names = policies::names(level, route.method()).into_iter();
            let one = |name| Served { path: route.path().replace(part, name), policy: Some(name) };
            return names.map(one).collect();
        }
    }
    vec![Served { path: route.path().to_owned(), policy: None }]
}

fn operation(route: Route, served: &Served) -> (String, Operation) {
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    let mut known = names(&served.path).iter();
    for part in served.path.split('/') {
        if !part.starts_with('{') {
            parts.push(part.to_owned());
            continue;
        }
        let (name, values) = match part {
            "{domain}" => ("domain", Some(DOMAINS.to_vec())),
            "{version}" => ("version", Some(VERSIONS.to_vec())),
            "{service that is off}" => ("service", Some(SERVICES.to_vec())),
            "{}" => (known.next().copied().unwrap_or_else(|| after(&parts)), None),
            other => (other.trim_matches(['{', '}']), None),
        };
        let schema = Schema { r#type: "string", values };
        let name = name.to_owned();
        parts.push(format!("{{{name}}}"));
        parameters.push(Parameter { name, r#in: "path", required: true, schema });
    }
    let summary = match served.policy {
        None => route.doc().to_owned(),
        Some(policy) => format!("{policy}: {}", route.doc()),
    };
    let operation = Operation {
        operation_id: served.id(route),
        summary,
        tags: [tag(&served.path)],
        parameters,
        responses: answers(),
        permission: format!("{:?}", route.permission()),
    };
    (parts.join("/"), operation)
}

/// What the first variable parts of a path are, by the parts that say what it is about.
const NAMES: &[(&str, &[&str])] = &[
    ("/admin/namespaces/{}/antiAffinity", &["cluster", "group"]),
    ("/admin/v2/namespaces/{}/antiAffinity", &["cluster", "group"]),
    ("/admin/v2/namespaces/", &["tenant", "namespace"]),
    ("/admin/v2/{domain}/", &["tenant", "namespace", "topic"]),
    ("/admin/v2/non-persistent/", &["tenant", "namespace", "bundle"]),
    ("/admin/v2/schemas/", &["tenant", "namespace", "topic"]),
    ("/lookup/v2/", &["tenant", "namespace", "topic"]),
    ("/admin/v2/resource-quotas/", &["tenant", "namespace", "bundle"]),
    ("/admin/v2/broker-stats/broker-resource-availability/", &["tenant", "namespace"]),
    ("/admin/v2/tenants/", &["tenant"]),
    ("/admin/v2/clusters/", &["cluster"]),
    ("/admin/v2/brokers/configuration/", &["key", "value"]),
    ("/admin/v2/brokers/", &["cluster", "broker"]),
];

fn names(path: &str) -> &'static [&'static str] {
    let found = NAMES.iter().find(|(begin, _)| path.starts_with(begin));
    found.map_or(&[], |(_, names)| names)
}

/// A part is called after the one before it.
fn after(parts: &[String]) -> &str {
    match parts.last().map_or("", String::as_str) {
        before if before.starts_with('{') => "value",
        before => before,
    }
}

/// The first part that says what it is about.
fn tag(path: &str) -> String {
    let is_about = |part: &&str| !["", "admin", "v2", "{version}"].contains(part);
    match path.split('/').find(is_about) {
        Some("{domain}" | "non-persistent") => "topics".to_owned(),
        part => part.unwrap_or_default().trim_matches(['{', '}']).to_owned(),
    }
}

fn method(route: Route) -> &'static str {
    match route.method() {
        "POST" => "post",
        "PUT" => "put",
        "DELETE" => "delete",
        _ => "get",
    }
}

fn answers() -> BTreeMap<&'static str, Answered> {
    let reason = Content { schema: Reference { to: "#/components/schemas/Reason" } };
    let refused = Answered {
        description: "Why it was not done.",
        content: Some(BTreeMap::from([("application/json", reason)])),
    };
    let plain = |description| Answered { description, content: None };
    let (found, done) = ("What was asked for.", "Done, or there is nothing.");
    BTreeMap::from([("200", plain(found)), ("204", plain(done)), ("default", refused)])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn fresh() -> Value {
        serde_json::to_value(document("v")).unwrap()
    }

    #[test]
    fn every_route_and_policy_is_in_it_once() {
        let document = fresh();
        let mut ids = BTreeSet::new();
        for operations in document["paths"].as_object().unwrap().values() {
            for operation in operations.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                assert!(ids.insert(id.clone()), "{id} is there twice");
            }
        }
        for &route in Route::ALL {
            for served in served(route) {
                let id = served.id(route);
                assert!(ids.remove(&id), "{id} is missing");
            }
        }
        assert!(ids.is_empty(), "{ids:?}");
    }

    /// Goal: what OpenAPI demands of a document and of each operation holds.
    #[test]
    fn it_has_the_shape_of_openapi_3() {
        let document = fresh();
        assert_eq!(document["openapi"], "3.0.3");
        assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
        let mut shapes = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let shape = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            assert!(shapes.insert(shape.collect::<Vec<_>>()), "{path} is there twice");
            assert!(path.starts_with('/'), "{path}");
            let in_path: BTreeSet<&str> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            for (method, operation) in operations.as_object().unwrap() {
                assert!(["get", "put", "post", "delete"].contains(&method.as_str()), "{method}");
                let empty = Vec::new();
                let given = operation["parameters"].as_array().unwrap_or(&empty);
                let named: BTreeSet<&str> =
                    given.iter().map(|found| found["name"].as_str().unwrap()).collect();
                assert_eq!(named, in_path, "{method} {path}");
                assert_eq!(named.len(), given.len(), "{method} {path}");
                for found in given {
                    assert_eq!((&found["in"], &found["required"]), (&"path".into(), &true.into()));
                    assert_eq!(found["schema"]["type"], "string");
                }
                assert!(!operation["summary"].as_str().unwrap().trim().is_empty(), "{path}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.contains_key("default") && 1 < answers.len(), "{method} {path}");
                assert!(answers.values().all(|answer| answer["description"].is_string()));
            }
        }
        let to = document.pointer("/components/schemas/Reason/type").unwrap();
        assert_eq!(to, "object");
    }

    #[test]
    fn a_policy_is_written_out() {
        let document = fresh();
        let path = "/admin/v2/namespaces/{tenant}/{namespace}/messageTTL";
        let found = &document["paths"][path];
        for method in ["get", "post", "delete"] {
            assert_eq!(found[method]["x-permission"], "TenantAdmin", "{method}");
        }
        assert!(found.get("put").is_none());
    }
}
