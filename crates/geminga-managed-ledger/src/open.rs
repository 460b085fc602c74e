//! Opens a topic's managed ledger: reads its key, decides the end of what was not closed, and adds
//! up its cursors' logs. Writes nothing when the last owner closed it well.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use geminga_env::Timestamp;
use geminga_ledger::{Deps, RecoverError, Sealed};
use geminga_metadata::{MetadataError, Versioned, values::InvalidValue};
use geminga_types::{LedgerId, TopicName};

use crate::{
    chain::Spans,
    cursor::{self, CursorLoadError, CursorState},
    info::{self, Closed},
    managed_ledger::{ManagedLedger, Opened},
    options::Options,
    owned_key::OwnedKey,
};

const PAGE_LEN: usize = 1_000;
const CURSORS_AT_ONCE: usize = 16;

/// Why a managed ledger was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none, and none was to be made.
    #[error("managed ledger of {0} does not exist")]
    NotFound(TopicName),
    /// The metadata store failed. Try again.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The end of a ledger could not be decided. Try again; see the cause.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A cursor's log could not be read.
    #[error("cursor {name:?} of {topic}: {cause}")]
    Cursor {
        /// The topic.
        topic: TopicName,
        /// The cursor.
        name: Arc<str>,
        /// Why.
        cause: CursorLoadError,
    },
    /// A metadata key is damaged or from a newer format. A person must look.
    #[error("metadata key {path:?} is corrupt: {reason}")]
    Corrupt {
        /// The key.
        path: Arc<str>,
        /// What is wrong.
        reason: String,
    },
}

/// Opens the managed ledger of `topic`, or makes it if `create` says so: then it exists, durably.
///
/// # Errors
///
/// See [`OpenError`].
pub async fn open(
    deps: &Deps,
    topic: &TopicName,
    options: impl Into<Arc<Options>>,
    create: bool,
) -> Result<ManagedLedger, OpenError> {
    let path = info::managed_ledger_path(topic);
    let key = find(deps, topic, &path, create).await?;
    let listing = info::decode(key.value()).map_err(|error| corrupt(&path, &error))?;
    let mut unrecorded = Vec::new();
    let mut empty = BTreeSet::new();
    let mut ledgers = Vec::new();
    for ledger in listing.ledgers {
        let closed = match ledger {
            Ok(closed) => closed,
            Err(ledger_id) => {
                let closed = recover(deps, ledger_id).await?;
                unrecorded.push(closed);
                closed
            }
        };
        if closed.entries == 0 {
            empty.insert(closed.ledger_id);
            continue;
        }
        ledgers.push((closed.ledger_id, closed.entries, closed.bytes, closed.at));
    }
    let first = ledgers.first().map_or(LedgerId(i64::MAX), |(ledger_id, ..)| *ledger_id);
    let compacted_spans = listing.compacted.iter().flat_map(|compacted| &compacted.spans);
    let gone: Vec<_> = compacted_spans.filter(|(id, _)| *id < first).copied().collect();
    let (cursor_keys, cursors) = open_cursors(deps, topic, &path).await?;
    Ok(ManagedLedger::new(
        options.into(),
        Opened {
            key,
            spans: Spans::new(gone, ledgers),
            unrecorded,
            empty,
            terminated: listing.terminated,
            cursor_keys,
            cursors,
            compacted: listing.compacted,
            compacting: listing.compacting,
            epoch: listing.epoch,
            message_index: listing.message_index,
            buckets: listing.buckets,
            indexing: listing.indexing,
            created: listing.created,
            properties: listing.properties,
        },
    ))
}

async fn find(
    deps: &Deps,
    topic: &TopicName,
    path: &Arc<str>,
    create: bool,
) -> Result<OwnedKey, OpenError> {
    if let Some(found) = deps.metadata.get(path).await? {
        return Ok(OwnedKey::held(Arc::clone(path), found));
    }
    if !create {
        return Err(OpenError::NotFound(topic.clone()));
    }
    let record = info::new_record(deps.env.clock.wall(), &BTreeMap::new());
    if let Some(key) = OwnedKey::create(deps, Arc::clone(path), record).await? {
        return Ok(key);
    }
    // Someone else made it in between.
    let found = deps.metadata.get(path).await?;
    let found = found.ok_or_else(|| OpenError::NotFound(topic.clone()))?;
    Ok(OwnedKey::held(Arc::clone(path), found))
}

async fn recover(deps: &Deps, ledger_id: LedgerId) -> Result<Closed, RecoverError> {
    let Sealed { last_entry, length } = geminga_ledger::recover(deps, ledger_id).await?;
    let entries = u64::try_from(last_entry.0.saturating_add(1)).unwrap_or(0);
    let at: Timestamp = deps.env.clock.wall();
    Ok(Closed { ledger_id, entries, bytes: length, at })
}

type OpenCursors = (Vec<(Arc<str>, OwnedKey)>, BTreeMap<String, CursorState>);

async fn open_cursors(
    deps: &Deps,
    topic: &TopicName,
    path: &Arc<str>,
) -> Result<OpenCursors, OpenError> {
    let listed = stream::iter(list_cursors(deps, path).await?);
    let opened: Vec<_> = listed
        .map(|(name, path, found)| open_cursor(deps, topic, name, path, found))
        .buffered(CURSORS_AT_ONCE)
        .try_collect()
        .await?;
    let mut keys = Vec::with_capacity(opened.len());
    let mut states = BTreeMap::new();
    for (name, key, state) in opened {
        states.insert(name.as_ref().to_owned(), state);
        keys.push((name, key));
    }
    Ok((keys, states))
}

async fn open_cursor(
    deps: &Deps,
    topic: &TopicName,
    name: Arc<str>,
    path: Arc<str>,
    found: Versioned,
) -> Result<(Arc<str>, OwnedKey, CursorState), OpenError> {
    let invalid = |error: InvalidValue| corrupt(&path, &error);
    let ledgers = info::cursor_ledgers(&found.value).map_err(invalid)?;
    let state = if ledgers.is_empty() {
        info::cursor_state(&found.value).map_err(invalid)?
    } else {
        cursor::load(deps, &ledgers).await.map_err(|cause| OpenError::Cursor {
            topic: topic.clone(),
            name: Arc::clone(&name),
            cause,
        })?
    };
    Ok((name, OwnedKey::held(path, found), state))
}

/// The name, key and value of each cursor of a managed ledger.
pub(crate) async fn list_cursors(
    deps: &Deps,
    path: &Arc<str>,
) -> Result<Vec<(Arc<str>, Arc<str>, Versioned)>, MetadataError> {
    let mut cursors = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = deps.metadata.children(path, after.as_deref(), PAGE_LEN).await?;
        for child in &page.names {
            let key: Arc<str> = Arc::from(format!("{path}/{child}"));
            if let Some(name) = info::cursor_name(child)
                && let Some(found) = deps.metadata.get(&key).await?
            {
                cursors.push((name, key, found));
            }
        }
        match page.names.last() {
            Some(last) if page.more => after = Some(last.clone()),
            _ => return Ok(cursors),
        }
    }
}

fn corrupt(path: &Arc<str>, error: &InvalidValue) -> OpenError {
    OpenError::Corrupt { path: Arc::clone(path), reason: error.to_string() }
}
