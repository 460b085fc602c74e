//! `resource-quotas`, `resourcegroups` and `backup`.

use super::super::verb::{Argument, Kind, Place, Verb, argument, delete, get, option, post, put};

const QUOTA: &str = "/admin/v2/resource-quotas/{namespace}/{bundle}";
const GROUP: &str = "/admin/v2/resourcegroups/{resourcegroup}";

fn namespace() -> Argument {
    option("--namespace -n", Kind::Namespace, Place::Path, "tenant/namespace, with --bundle.")
        .along_with("bundle")
}

fn bundle() -> Argument {
    option("--bundle -b", Kind::Text, Place::Path, "0x00000000_0x40000000, with --namespace.")
        .along_with("namespace")
}

pub(super) fn quotas() -> Vec<Verb> {
    let all = "/admin/v2/resource-quotas";
    let number =
        |names, field, about| option(names, Kind::Number, Place::Field(field), about).required();
    vec![
        get("get", QUOTA, "Show a bundle's quota, or what counts for those without.")
            .or(&[all])
            .with(namespace())
            .with(bundle()),
        post("set", QUOTA, "Set it.")
            .or(&[all])
            .with(namespace())
            .with(bundle())
            .with(number("--msgRateIn -mi", "msgRateIn", "Messages in, a second."))
            .with(number("--msgRateOut -mo", "msgRateOut", "Messages out, a second."))
            .with(number("--bandwidthIn -bi", "bandwidthIn", "Bytes in, a second."))
            .with(number("--bandwidthOut -bo", "bandwidthOut", "Bytes out, a second."))
            .with(number("--memory -mem", "memory", "Megabytes."))
            .with(option("--dynamic -d", Kind::Switch, Place::Field("dynamic"), "It may adapt.")),
        delete("reset-namespace-bundle-quota", QUOTA, "Unset a bundle's quota.")
            .with(namespace().required())
            .with(bundle().required()),
    ]
}

pub(super) fn groups() -> Vec<Verb> {
    let group = || argument("resourcegroup", Kind::Text, "The resource group.");
    vec![
        get("list", "/admin/v2/resourcegroups", "List the resource groups."),
        get("get", GROUP, "Show one.").with(group()),
        with_rates(put("create", GROUP, "Create one.").with(group())),
        with_rates(put("update", GROUP, "Change one.").over(GROUP).with(group())),
        delete("delete", GROUP, "Delete one.").with(group()),
    ]
}

fn with_rates(verb: Verb) -> Verb {
    let rates = [
        ("--msg-publish-rate -mp", "publishRateInMsgs", "Messages in, a second."),
        ("--byte-publish-rate -bp", "publishRateInBytes", "Bytes in, a second."),
        ("--msg-dispatch-rate -md", "dispatchRateInMsgs", "Messages out, a second."),
        ("--byte-dispatch-rate -bd", "dispatchRateInBytes", "Bytes out, a second."),
    ];
    rates.into_iter().fold(verb, |verb, (names, field, about)| {
        verb.with(option(names, Kind::Number, Place::Field(field), about))
    })
}

pub(super) fn backup() -> Vec<Verb> {
    let path = "/admin/v2/geminga/backup";
    vec![get("status", path, "Show how far the last backup is.")]
}
