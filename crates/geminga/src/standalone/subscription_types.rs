//! `subscriptionTypesEnabled`: names of types, with commas.

use anyhow::bail;
use geminga_broker::{SubscriptionKind, SubscriptionKinds};

/// The types of a list; of an empty one, all.
pub(super) fn parse(list: &str) -> anyhow::Result<SubscriptionKinds> {
    let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
    if let Some(other) = names().find(|name| SubscriptionKind::named(name).is_none()) {
        let known = SubscriptionKind::ALL.map(SubscriptionKind::as_str).join(", ");
        bail!("subscriptionTypesEnabled={list}: {other} is not known, only {known}");
    }
    Ok(SubscriptionKinds::named(names()).unwrap_or(SubscriptionKinds::ALL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_types() {
        let names = |list: &str| parse(list).unwrap().names().collect::<Vec<_>>();
        assert_eq!(names("Exclusive,Shared,Failover,Key_Shared").len(), 4);
        assert_eq!(names(" Key_Shared , Shared,"), ["Shared", "Key_Shared"]);
        assert_eq!(names("").len(), 4);
    }

    #[test]
    fn another_name_is_an_error_that_says_what_is_possible() {
        let error = parse("Shared,KeyShared").unwrap_err().to_string();
        let expected = "subscriptionTypesEnabled=Shared,KeyShared: KeyShared is not known, only Exclusive, \
                        Failover, Shared, Key_Shared";
        assert_eq!(error, expected);
    }
}
