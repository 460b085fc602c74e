use geminga_env::sim;

use super::*;

fn group(publish: i32, dispatch: i64) -> ResourceGroup {
    ResourceGroup {
        publish_rate_in_msgs: Some(publish),
        dispatch_rate_in_bytes: Some(dispatch),
        ..ResourceGroup::default()
    }
}

fn groups(lends: bool) -> Arc<ResourceGroups> {
    Arc::new(ResourceGroups::new(sim::World::new(1).env().clock, lends))
}

fn set(groups: &ResourceGroups, wanted: &[(&str, ResourceGroup)]) {
    groups.set_all(wanted.iter().map(|(name, group)| (Arc::from(*name), group.clone())).collect());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_there_is_not_limits_nothing_until_it_comes() {
    let groups = groups(false);
    let member = groups.member(&Arc::from("a"));
    let now = groups.clock.now();
    assert_eq!(member.publish_left(now), Left::ALL);
    assert_eq!(member.dispatch_text(now), None);
    set(&groups, &[("a", group(10, 1_000))]);
    assert_eq!(member.publish_left(now).messages, 1);
    member.note_published(now, 5, 1);
    assert_eq!(member.publish_left(now).again_at, Some(now + Duration::from_millis(100)));
    member.note_dispatched(now, 1, 5_000);
    let text = "resource group a: 1000 bytes in 1 s".to_owned();
    assert_eq!(member.dispatch_text(now), Some((text, true)));
    set(&groups, &[]);
    assert_eq!(member.publish_left(now), Left::ALL);
    assert_eq!(member.ask_dispatch(now), Left::ALL);
}

/// Goal: who waits is let through by a change, not by what it waits for.
#[tokio::test(start_paused = true)]
async fn a_change_reaches_who_waits() {
    let groups = groups(true);
    set(&groups, &[("a", group(1, 1))]);
    let member = groups.member(&Arc::from("a"));
    let begin = groups.clock.now();
    member.note_published(begin, 1_000, 0);
    let waiting = member.until_some_is_left();
    tokio::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    set(&groups, &[("a", group(0, 1))]);
    waiting.await;
    assert_eq!(groups.clock.now(), begin);
}

#[tokio::test(start_paused = true)]
async fn rates_that_are_zero_or_negative_are_no_limits() {
    let quota = publish(&ResourceGroup {
        publish_rate_in_msgs: Some(0),
        publish_rate_in_bytes: Some(-7),
        priority: Some(-3),
        ..ResourceGroup::default()
    });
    assert_eq!(quota, Quota { messages: None, bytes: None, priority: -3 });
}
