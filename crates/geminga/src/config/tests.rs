use super::*;

fn applied(settings: &[(&str, &str)]) -> (Config, Result<(), ConfigError>, Remarks) {
    let settings: Vec<_> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (mut config, mut remarks) = (Config::default(), Remarks::default());
    let result = config.apply("--set", &settings, &mut remarks);
    (config, result, remarks)
}

#[test]
fn every_default_parses_and_every_key_is_set_by_its_default() {
    for known in KEYS {
        let (config, result, remarks) = applied(&[(known.key, known.default)]);
        assert_eq!((config, result), (Config::default(), Ok(())), "{}", known.key);
        assert_eq!(remarks, Remarks::default(), "{}", known.key);
    }
}

#[test]
fn a_bad_value_names_the_key_the_value_and_what_it_should_be() {
    let (_, result, _) = applied(&[("brokerServicePort", "70000")]);
    let text = result.unwrap_err().to_string();
    assert_eq!(text, "--set: brokerServicePort=70000: expected a port (0 to 65535)");
}

#[test]
fn an_unknown_key_that_is_like_none_names_none() {
    let mut remarks = Remarks::default();
    let settings = [("foo".to_owned(), "1".to_owned())];
    Config::default().apply("--set", &settings, &mut remarks).unwrap();
    assert_eq!(remarks.unknown, [("foo".to_owned(), None)]);
}

#[test]
fn a_promise_of_protection_that_is_not_kept_stops_the_start() {
    for (key, value) in [("authenticationEnabled", "true"), ("brokerServicePortTls", "6651")] {
        let settings = [(key.to_owned(), value.to_owned())];
        let refused = Config::default().apply("--set", &settings, &mut Remarks::default());
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(key) && text.contains("not there yet"), "{text}");
    }
    for (key, value) in [("authenticationEnabled", "false"), ("brokerServicePortTls", "")] {
        let settings = [(key.to_owned(), value.to_owned())];
        Config::default().apply("--set", &settings, &mut Remarks::default()).unwrap();
    }
}

#[test]
fn an_unknown_key_names_the_closest_known_one() {
    let (_, result, remarks) = applied(&[("brokerServicePrt", "1"), ("zookeeperServers", "a")]);
    assert_eq!(result, Ok(()));
    let close = ("brokerServicePrt".to_owned(), Some("brokerServicePort".to_owned()));
    assert_eq!(remarks.unknown, [close]);
    assert_eq!(applied(&[("loadManagerClassName", "x")]).2.unused, ["loadManagerClassName"]);
}

#[test]
fn properties_have_comments_and_continued_lines() {
    let text = "# c\n\nclusterName = a\\\n  b\nbindAddress:0.0.0.0\nempty=\n";
    let settings = parse_properties("f", text).unwrap();
    let expected = [("clusterName", "ab"), ("bindAddress", "0.0.0.0"), ("empty", "")];
    assert!(settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
    let error = parse_properties("f.conf", "a=1\nnonsense").unwrap_err().to_string();
    assert_eq!(error, "f.conf:2: expected key=value, found \"nonsense\"");
}

#[test]
fn the_reference_page_is_up_to_date() {
    let page = include_str!("../../../../docs/configuration.md");
    let fresh = reference_page();
    assert!(page == fresh, "run: geminga config-reference > docs/configuration.md");
}
