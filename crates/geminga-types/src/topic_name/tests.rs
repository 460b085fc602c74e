use proptest::prelude::*;

use super::*;

fn topic(text: &str) -> TopicName {
    text.parse().unwrap()
}

#[test]
fn short_and_full_forms_name_the_same_topic() {
    assert_eq!(topic("a"), topic("persistent://public/default/a"));
    assert_eq!(topic("t/n/a").to_string(), "persistent://t/n/a");
    assert_eq!(topic("non-persistent://t/n/a").domain(), Domain::NonPersistent);
}

#[test]
fn odd_characters_pass_and_are_encoded_for_paths() {
    let name = topic("persistent://public/default/topic@%*)(&!%$#@#$><?");
    assert_eq!(name.local(), "topic@%*)(&!%$#@#$><?");
    assert_eq!(name.encoded_local(), "topic%40%25*%29%28%26%21%25%24%23%40%23%24%3E%3C%3F");
}

#[test]
fn a_v1_name_is_refused_with_its_v2_form() {
    let error = "persistent://t/cluster/n/a".parse::<TopicName>().unwrap_err();
    assert!(error.to_string().contains("persistent://t/n/a"), "{error}");
    assert!("t/c/n/a".parse::<TopicName>().is_err());
}

#[test]
fn what_is_not_a_name_is_refused() {
    for text in ["", "a/b", "http://t/n/a", "persistent://a", "persistent://t/n/", "t//a", "t/../a"]
    {
        assert!(text.parse::<TopicName>().is_err(), "{text:?}");
    }
}

#[test]
fn names_that_could_not_be_stored_or_logged_are_refused() {
    let most = "x".repeat(NAME_BYTES_MAX);
    most.parse::<TopicName>().unwrap();
    check_subscription_name(&most).unwrap();
    for (name, what) in
        [(format!("{most}y"), "the limit is 1536"), ("ä".repeat(400), "2400 bytes when encoded")]
    {
        let error = name.parse::<TopicName>().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(check_subscription_name(&name).unwrap_err().to_string().contains(what));
    }
    for name in ["a\nb", "a\0", "\u{1b}[2J", "a\u{85}b"] {
        let error = name.parse::<TopicName>().unwrap_err().to_string();
        assert!(error.contains("control character") && !error.contains(name), "{error}");
        assert!(check_subscription_name(name).is_err());
    }
}

#[test]
fn partitions_are_known_by_their_suffix() {
    assert_eq!(topic("a-partition-12").partition(), Some(12));
    assert_eq!(topic("a-partition-12").without_partition(), topic("a"));
    assert_eq!(topic("a").with_partition(3), topic("a-partition-3"));
    for text in ["a", "a-partition-", "a-partition-x", "a-partition-01", "a-partition-+1"] {
        assert_eq!(topic(text).partition(), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics_and_prints_back(text in ".{0,60}") {
        if let Ok(name) = text.parse::<TopicName>() {
            prop_assert_eq!(name.to_string().parse::<TopicName>(), Ok(name));
        }
    }
}
