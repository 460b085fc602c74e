//! Users of a store that behaves as badly as it may.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use tokio::time::timeout;

use super::DEADLINE;
use crate::{
    Change, Decision, Expected, Lifetime, MetadataError, MetadataStore, SharedStore, Watch,
    adversary::Adversary, update,
};

/// Goal: update loops, mirrors kept by a watch and ephemeral registrations come out right under lost
/// answers, lost sessions and late changes.
/// Method: three sessions write to one list and to keys of their own; one mirrors the keys; one keeps
/// an ephemeral key. At the end all is compared with the store itself.
///
/// # Panics
///
/// If anything is lost. The message names the seed.
pub async fn run_adversary(store: SharedStore, seed: u64) {
    let sessions: Vec<_> = (0..3)
        .map(|index| Arc::new(Adversary::new(Arc::clone(&store), seed * 31 + index)))
        .collect();
    let mirror = mirror(&sessions[0], store.as_ref(), seed);
    let registration = register(&sessions[1], store.as_ref(), seed);
    let writers = async {
        join_all(sessions.iter().enumerate().map(|(index, session)| write(session, index))).await;
        sessions.iter().for_each(|session| session.calm_down());
        let done = store.put("/adv/done", Bytes::new(), Expected::Any, Lifetime::Persistent).await;
        done.expect("the store itself failed");
    };
    join(writers, join(mirror, registration)).await;

    let found = store.get("/list").await.expect("a read failed").expect("the list is gone");
    let text = String::from_utf8(found.value.to_vec()).expect("the list is damaged");
    let mut tokens: Vec<_> = text.split_terminator(',').collect();
    tokens.sort_unstable();
    let mut expected: Vec<_> =
        (0..3).flat_map(|writer| (0..8).map(move |item| format!("{writer}-{item}"))).collect();
    expected.sort_unstable();
    assert_eq!(tokens, expected, "seed {seed}: the list lost or doubled an item");
}

async fn write(session: &Adversary, writer: usize) {
    for item in 0..8 {
        let token = format!("{writer}-{item}");
        let added = insist(|| add(session, &token));
        added.await;
        let path = format!("/adv/keys/{writer}/{}", item % 3);
        insist(|| async {
            update(session, &path, |found| match found {
                Some(found) if found.value == token.as_bytes() => Decision::Leave(()),
                _ => Decision::Write(token.clone().into(), ()),
            })
            .await
        })
        .await;
    }
    insist(|| update(session, "/adv/keys/0/1", |_| Decision::Delete(()))).await;
}

async fn add(session: &Adversary, token: &str) -> Result<(), MetadataError> {
    update(session, "/list", |found| {
        let text = found.map_or(b"".as_slice(), |found| &found.value);
        let text = String::from_utf8_lossy(text).into_owned();
        if text.split_terminator(',').any(|known| known == token) {
            return Decision::Leave(());
        }
        Decision::Write(format!("{text}{token},").into(), ())
    })
    .await
}

/// An update may give up after many outages; its caller, here, does not.
async fn insist<T, F: Future<Output = Result<T, MetadataError>>>(attempt: impl Fn() -> F) -> T {
    loop {
        match attempt().await {
            Ok(answer) => return answer,
            Err(MetadataError::Unavailable(_) | MetadataError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn snapshot(store: &dyn MetadataStore) -> Result<BTreeMap<String, Bytes>, MetadataError> {
    let mut keys = BTreeMap::new();
    for writer in store.children("/adv/keys", None, 100).await?.names {
        for name in store.children(&format!("/adv/keys/{writer}"), None, 100).await?.names {
            let path = format!("/adv/keys/{writer}/{name}");
            if let Some(found) = store.get(&path).await? {
                keys.insert(path, found.value);
            }
        }
    }
    Ok(keys)
}

/// Follows the keys by a watch until, everybody being done, they are as in the store.
async fn mirror(session: &Adversary, store: &dyn MetadataStore, seed: u64) {
    let mut watch = session.watch("/adv");
    let mut mirror: BTreeMap<String, Bytes> = insist(|| snapshot(session)).await;
    loop {
        let change = timeout(DEADLINE, watch.recv()).await;
        match change.unwrap_or_else(|_| panic!("seed {seed}: the mirror missed a change")) {
            Some(Change::Path(path)) if path.starts_with("/adv/keys/") => {
                match insist(|| session.get(&path)).await {
                    Some(found) => drop(mirror.insert(path, found.value)),
                    None => drop(mirror.remove(&path)),
                }
            }
            Some(Change::Path(_) | Change::SessionLost) => {}
            Some(Change::Everything | Change::SessionRegained) => {
                mirror = insist(|| snapshot(session)).await;
            }
            None => panic!("seed {seed}: the store ended a watch"),
        }
        let done = store.get("/adv/done").await.expect("a read failed").is_some();
        if done && mirror == snapshot(store).await.expect("a listing failed") {
            return;
        }
    }
}

/// Keeps an ephemeral key alive through lost sessions.
async fn register(session: &Adversary, store: &dyn MetadataStore, seed: u64) {
    let path = "/adv/broker";
    let mut watch = session.watch("/adv");
    let write = || session.put(path, Bytes::new(), Expected::Any, Lifetime::Ephemeral);
    insist(write).await;
    session.lose_session().await;
    loop {
        if heard_of_a_new_session(&mut watch).await {
            insist(write).await;
        }
        let done = store.get("/adv/done").await.expect("a read failed").is_some();
        if done && store.get(path).await.expect("a read failed").is_some() {
            return;
        }
        // A session that is lost from here on is told, at most a second later.
        assert!(!watch.is_closed(), "seed {seed}: the store ended a watch");
    }
}

async fn heard_of_a_new_session(watch: &mut Watch) -> bool {
    let change = timeout(Duration::from_secs(1), watch.recv()).await;
    matches!(change, Ok(Some(Change::SessionRegained)))
}
