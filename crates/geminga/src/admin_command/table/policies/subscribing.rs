//! Who may subscribe, and how.

use super::{Policy, option, policy};
use crate::admin_command::verb::{Kind, Place};

const TYPES: &str = "Exclusive, Shared, Failover, Key_Shared, with commas between.";

pub(super) fn types() -> Policy {
    policy("subscription-types-enabled", "subscriptionTypesEnabled", "which types there may be")
        .with(option("--types -t", Kind::List, Place::Body, TYPES).required())
}

pub(super) fn rate() -> Policy {
    let field = |names, field, about| option(names, Kind::Number, Place::Field(field), about);
    let (times, period) = ("subscribeThrottlingRatePerConsumer", "ratePeriodInSecond");
    policy("subscribe-rate", "subscribeRate", "how often a consumer may come")
        .with(field("--subscribe-rate -sr", times, "Times; -1 for no limit.").or("-1"))
        .with(field("--subscribe-rate-period -st", period, "In so many seconds.").or("30"))
}

pub(super) fn creation() -> Policy {
    let field = Place::Field("allowAutoSubscriptionCreation");
    policy(
        "auto-subscription-creation",
        "autoSubscriptionCreation",
        "whether consumers create subscriptions",
    )
    .with(option("--enable -e", Kind::Switch, field, "They do.").or("false"))
}
