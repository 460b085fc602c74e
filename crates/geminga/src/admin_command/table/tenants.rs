//! `tenants`.

use super::{
    super::verb::{Argument, Kind, Place, Verb, delete, get, option, post, put},
    tenant,
};

pub(super) fn verbs() -> Vec<Verb> {
    let path = "/admin/v2/tenants/{tenant}";
    vec![
        get("list", "/admin/v2/tenants", "List the tenants."),
        get("get", path, "Show a tenant.").with(tenant()),
        put("create", path, "Create a tenant.")
            .with(tenant())
            .with(roles().or(""))
            .with(clusters().or_what_is_at("/admin/v2/clusters")),
        post("update", path, "Change a tenant.")
            .over(path)
            .with(tenant())
            .with(roles())
            .with(clusters()),
        delete("delete", path, "Delete a tenant.").with(tenant()).with(option(
            "--force -f",
            Kind::Switch,
            Place::Query("force"),
            "Delete its namespaces, with all that is in them.",
        )),
    ]
}

fn roles() -> Argument {
    let about = "Roles that administer it, with commas between.";
    option("--admin-roles -r", Kind::List, Place::Field("adminRoles"), about)
}

fn clusters() -> Argument {
    let about = "Clusters that it may use; all, if none is named.";
    option("--allowed-clusters -c", Kind::List, Place::Field("allowedClusters"), about)
}
