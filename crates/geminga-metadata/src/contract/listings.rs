//! Children: direct ones only, in order, in pages.

use bytes::Bytes;

use crate::{Expected, Lifetime, MetadataError, MetadataStore};

async fn create(store: &dyn MetadataStore, path: &str) {
    let created = store.put(path, Bytes::new(), Expected::Absent, Lifetime::Persistent).await;
    created.expect("a create failed");
}

async fn all(store: &dyn MetadataStore, path: &str) -> Vec<String> {
    let page = store.children(path, None, 1_000).await.expect("a listing failed");
    assert!(!page.more);
    page.names
}

pub(super) async fn children_are_names(store: &dyn MetadataStore) {
    for path in ["/t/b-c", "/t/b/x/y", "/t/b", "/t/a!", "/t/a", "/tt", "/t/b.c/z", "/t/ü"] {
        create(store, path).await;
    }
    assert_eq!(all(store, "/t").await, ["a", "a!", "b", "b-c", "b.c", "ü"]);
    assert_eq!(all(store, "/t/b").await, ["x"]);
    assert_eq!(all(store, "/t/b/x").await, ["y"]);
    assert_eq!(all(store, "/").await, ["t", "tt"]);
    assert_eq!(all(store, "/t/a").await, Vec::<String>::new());
    assert_eq!(all(store, "/none").await, Vec::<String>::new());
    store.delete("/t/b", Expected::Any).await.expect("a delete failed");
    assert!(all(store, "/t").await.contains(&"b".to_owned()), "it still has descendants");
    store.delete("/t/b/x/y", Expected::Any).await.expect("a delete failed");
    assert!(!all(store, "/t").await.contains(&"b".to_owned()));
    let bad = store.children("/t/", None, 1).await;
    assert!(matches!(bad, Err(MetadataError::Invalid { .. })), "{bad:?}");
}

pub(super) async fn pages_are_complete(store: &dyn MetadataStore) {
    let mut expected: Vec<String> = Vec::new();
    for topic in 0..60 {
        create(store, &format!("/p/{topic}")).await;
        for cursor in 0..3 {
            create(store, &format!("/p/{topic}/{cursor}")).await;
        }
        expected.push(topic.to_string());
    }
    expected.sort();
    for limit in [1, 7, 59, 60, 61] {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().cloned();
            let page = store.children("/p", after.as_deref(), limit).await;
            let page = page.expect("a listing failed");
            assert!(page.names.len() <= limit);
            names.extend(page.names);
            if !page.more {
                break;
            }
        }
        assert_eq!(names, expected, "in pages of {limit}");
    }
    let page = store.children("/p", Some("3~"), 2).await.expect("a listing failed");
    assert_eq!(page.names, ["4", "40"], "a page may begin after a name that is not there");
    let none = store.children("/p", None, 0).await.expect("a listing failed");
    assert!(none.names.is_empty() && none.more);
}
