use super::*;

fn counts(body: &str) -> Result<u32, u16> {
    let found = Request::with_body(body).partitions();
    found.map(|given| given.count).map_err(|failure| failure.answer().status.as_u16())
}

#[test]
fn a_partition_count_comes_in_many_shapes() {
    for body in
        ["4", " 4\n", "\"4\"", "\" 4 \"", "{\"partitions\":4}", "{\"partitions\":4,\"x\":1}"]
    {
        assert_eq!(counts(body), Ok(4), "{body}");
    }
    let with_properties = "{\"partitions\":2,\"properties\":{\"a\":\"b\"}}";
    let given = Request::with_body(with_properties).partitions().unwrap();
    assert_eq!(given.properties, Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])));
    for body in ["0", "-1", "\"-1\"", "4294967296", "{\"partitions\":0}"] {
        assert_eq!(counts(body), Err(406), "{body}");
    }
    for body in ["", "x", "null", "{}", "[]", "4.5", "true", "\u{0}"] {
        assert_eq!(counts(body), Err(400), "{body}");
    }
}

#[test]
fn nothing_and_null_are_no_body() {
    for body in ["", " ", "null", " null\n"] {
        assert_eq!(Request::with_body(body).json::<BTreeMap<String, String>>(), Ok(None), "{body}");
    }
    let json = Request::with_body("{}").json::<BTreeMap<String, String>>();
    assert_eq!(json, Ok(Some(BTreeMap::new())));
    assert_eq!(Request::with_body("{}").json_or_empty::<BTreeMap<String, String>>(), Ok(None));
    let broken = Request::with_body("{").json::<BTreeMap<String, String>>().unwrap_err();
    assert_eq!(broken.answer().status, 400);
}

#[test]
fn numbers_and_booleans_may_be_in_quotes() {
    assert_eq!(Request::with_body("true").json::<bool>(), Ok(Some(true)));
    assert_eq!(Request::with_body("\"true\"").json::<bool>(), Ok(Some(true)));
    assert_eq!(Request::with_body("\" false \"").json::<bool>(), Ok(Some(false)));
    assert_eq!(Request::with_body("\"-7\"").json::<i64>(), Ok(Some(-7)));
    assert_eq!(Request::with_body("\"7\"").json::<String>(), Ok(Some("7".to_owned())));
    for body in ["\"yes\"", "\"\"", "\"7\"", "\"null\"", "\"\\\"true\\\"\"", "\"[]\""] {
        let refused = Request::with_body(body).json::<bool>().unwrap_err();
        assert_eq!(refused.answer().status, 400, "{body}");
    }
    assert!(Request::with_body("\"{}\"").json::<BTreeMap<String, String>>().is_err());
}

#[test]
fn parts_are_decoded_once() {
    assert_eq!(
        decode("topic%40%25%2A%29%28%26%21%25%24%23%3E%3C%3F").unwrap(),
        "topic@%*)(&!%$#><?"
    );
    assert_eq!(decode("a%252F").unwrap(), "a%2F");
    assert_eq!(decode("a%2Fb+c%2B").unwrap(), "a/b c+");
    assert_eq!(decode("%ff").unwrap_err().answer().status, 412);
    assert_eq!(decode("%zz").unwrap(), "%zz");
}

#[test]
fn the_name_of_a_subscription_is_decoded_twice() {
    let name = |part: &str| {
        let parts = vec![decode(part).unwrap()];
        Request { parts, ..Request::default() }.subscription(0).into_owned()
    };
    for (sent, meant) in [
        ("s", "s"),
        ("a%2Fb", "a/b"),
        ("a%252Fb%2520c", "a/b c"),
        ("%25C3%25BC", "\u{fc}"),
        ("50%25", "50%"),
        ("%25ff", "%ff"), // No text, so it was not encoded twice.
        ("a+b%2Bc", "a b+c"),
    ] {
        assert_eq!(name(sent), meant, "{sent}");
    }
}

#[test]
fn a_query_is_taken_apart() {
    let query = parse_query("force=TRUE&listenerName=a%26b&flag&&x=1=2").unwrap();
    let request = Request { query, ..Request::default() };
    assert!(request.flag("force"));
    assert!(!request.flag("flag"));
    assert_eq!(request.listener(), Some("a&b"));
    assert_eq!(request.query("x"), Some("1=2"));
}
