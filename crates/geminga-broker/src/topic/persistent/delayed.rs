//! The topic's index of delayed entries: which there are, and when they are due, so that subscriptions
//! need not hold them all, and a load need not read them.
//!
//! What is published with a time is listed in memory until there is enough for a *bucket*, a ledger that
//! lists them in order (`docs/formats/delayed-delivery.md`). Whatever is listed nowhere is held by the
//! subscriptions, as far as they have read it; when one holds too much of that, the entries are read for
//! another bucket. When there are too many buckets, neighbours are merged.
//!
//! # Invariants
//!
//! 1. The list has every entry with a time from `listed_from` to the end of the topic.
//! 2. A subscription is told that a part of the topic is indexed only after its bucket counts, durably.
//! 3. One bucket is made at a time; a ledger that was begun either counts in the end or is given up.

mod make;
mod parking;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use geminga_env::{Instant, Share};
use geminga_managed_ledger::{Bucket, BucketError, Chain, DelayedBucket, DelayedEvent, SideWriter};
use geminga_subscription::{DelayedEntry, ReadFailed, ReadId};
use geminga_types::{LedgerId, Ordinal, Position, key_slot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use self::make::{Content, Plan};
pub(super) use self::{
    make::Made,
    parking::read_parking,
    window::{LoadError, Loaded},
};
use super::{
    SubscriptionName, Topic,
    background::{Answer, Lost, READ_TIME_MAX},
    close::Phase,
    tail::Meta,
};

/// How long a bucket may take: it may be made by reading a good part of the topic.
const PASS_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long after one was not made it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long after a bucket was not made anew it is tried again: others are made meanwhile.
const REBUILD_RETRY: Duration = Duration::from_secs(60);
/// One that was not read so many times, one after the other, is made anew.
const UNREAD_MAX: u32 = 10;
/// How many buckets become one.
const MERGED_AT_ONCE: usize = 4;
/// Larger ones are left as they are: to make one anew, all of it is in memory.
const RECORDS_MAX: u64 = 2_000_000;
/// What a load reads of each bucket.
const BLOCK_BYTES: usize = 64 << 10;

/// What the topic knows of its delayed entries.
#[derive(Debug)]
pub(super) struct Delayed {
    listed: Vec<DelayedEntry>,
    listed_from: Ordinal,
    /// Where the topic ended when it was looked over.
    end_before: Option<Ordinal>,
    /// Memory for `listed`.
    share: Share,
    /// What buckets cover, as subscriptions were told.
    indexed: Arc<[Range<Ordinal>]>,
    stage: Stage,
    /// Dropping it ends what is under way.
    pass: Option<DropGuard>,
    /// Tells answers for an earlier one apart.
    attempt: u64,
    retry_at: Option<Instant>,
    /// Buckets that cannot be read.
    damaged: BTreeSet<LedgerId>,
    /// Buckets that could not be read at the last load, and how many times by now.
    unread: BTreeMap<LedgerId, u32>,
    /// When those that are damaged may be made anew.
    rebuild_at: Option<Instant>,
    /// Buckets in whose place one was made that did not fit.
    kept: BTreeSet<LedgerId>,
    /// What was listed when a bucket of it was not made.
    missed: Vec<Range<Ordinal>>,
    /// A subscription holds many entries from here on.
    wanted: Option<Ordinal>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// The ledger is being made.
    Opening(Box<Plan>),
    Writing {
        ledger_id: LedgerId,
        replaced: BTreeSet<LedgerId>,
        /// What it covers if it was listed.
        listed: Option<Range<Ordinal>>,
    },
    /// The key is being changed.
    Swapping {
        replaced: BTreeSet<LedgerId>,
        listed: Option<Range<Ordinal>>,
    },
}

impl Delayed {
    pub(super) fn new(end: Ordinal, share: Share) -> Self {
        Self {
            listed: Vec::new(),
            listed_from: end,
            end_before: None,
            share,
            indexed: Arc::default(),
            stage: Stage::Idle,
            pass: None,
            attempt: 0,
            retry_at: None,
            damaged: BTreeSet::new(),
            unread: BTreeMap::new(),
            rebuild_at: None,
            kept: BTreeSet::new(),
            missed: Vec::new(),
            wanted: None,
        }
    }

    /// Lists an entry that was confirmed, if it has a time.
    pub(super) fn note(&mut self, ordinal: Ordinal, meta: &Meta) {
        if let Some(due) = meta.deliver_at {
            self.listed.push(DelayedEntry { due, ordinal, slot: key_slot(meta.key_hash) });
        }
    }

    const fn listed_bytes(&self) -> usize {
        self.listed.capacity() * size_of::<DelayedEntry>()
    }

    fn tell_share(&mut self) {
        let bytes = self.listed_bytes();
        self.share.set(bytes);
    }

    /// Lets go of the list: what is in it is not listed.
    fn unlist(&mut self, end: Ordinal) {
        self.listed = Vec::new();
        self.listed_from = end;
        self.share.set(0);
    }

    /// Whether something is written, which must not be after the topic is deleted.
    pub(super) const fn has_pass(&self) -> bool {
        matches!(self.stage, Stage::Writing { .. })
    }

    /// When to look again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.or_else(|| self.rebuild_at.filter(|_| matches!(self.stage, Stage::Idle)))
    }

    pub(super) fn note_damaged(&mut self, damaged: Option<LedgerId>) {
        self.damaged.extend(damaged);
    }

    /// Notes which buckets a load has not read; all others it has.
    fn note_unread(&mut self, errors: &[BucketError]) {
        let before = std::mem::take(&mut self.unread);
        for error in errors {
            let ledger_id = error.ledger_id();
            let count = before.get(&ledger_id).map_or(1, |count| count.saturating_add(1));
            self.unread.insert(ledger_id, count);
            if error.damaged().is_some() || UNREAD_MAX <= count {
                self.damaged.insert(ledger_id);
            }
        }
    }

    /// Whether a bucket may be merged with others.
    fn may_merge(&self, ledger_id: LedgerId) -> bool {
        !self.damaged.contains(&ledger_id)
            && !self.unread.contains_key(&ledger_id)
            && !self.kept.contains(&ledger_id)
    }

    pub(super) fn indexed(&self) -> Arc<[Range<Ordinal>]> {
        Arc::clone(&self.indexed)
    }
}

impl Topic {
    /// Whether entries with a time are listed: somebody may need them later.
    pub(super) fn lists_delayed(&self) -> bool {
        self.policies.honours_delays
            && !self.subscriptions.is_empty()
            && !self.deps.timers.is_over()
    }

    /// Entries were confirmed, and those with a time listed if `is_listed`.
    pub(super) fn note_listed(&mut self, is_listed: bool) {
        let end = self.ledger.end();
        if is_listed {
            self.delayed.tell_share();
        } else {
            self.delayed.unlist(end);
        }
        if self.delayed.listed.is_empty() {
            self.delayed.listed_from = end;
        }
    }

    /// A subscription was polled: it may hold more than it should.
    pub(super) fn note_wanted_index(&mut self, name: &SubscriptionName) {
        let wanted = self.subscriptions.get(name).and_then(|sub| sub.machine.wants_index());
        let before = self.delayed.wanted;
        self.delayed.wanted = wanted.into_iter().chain(before).min();
    }

    /// Takes what became of buckets, and begins the next. False: there was nothing.
    pub(super) fn settle_delayed(&mut self) -> bool {
        let mut has_any = false;
        while let Some(event) = self.ledger.poll_delayed_event() {
            has_any = true;
            match event {
                DelayedEvent::Begun(writer) => self.on_bucket_begun(writer),
                DelayedEvent::NotBegun { reason } => self.on_not_indexed(&reason),
                DelayedEvent::Finished => self.on_bucket_counts(),
                DelayedEvent::Refused { reason } => self.on_bucket_refused(&reason),
            }
        }
        if matches!(self.delayed.stage, Stage::Idle) && matches!(self.phase, Phase::Serving) {
            has_any |= self.start_bucket();
        }
        has_any
    }

    fn start_bucket(&mut self) -> bool {
        if self.delayed.retry_at.is_some_and(|at| self.now() < at) {
            return false;
        }
        self.delayed.retry_at = None;
        let Some(plan) = self.next_plan() else { return false };
        self.deps.options.trace("delayed-index", true);
        self.delayed.stage = Stage::Opening(Box::new(plan));
        let component = Bytes::from_static(b"delayed-index-bucket");
        let about = [
            ("application", Bytes::from_static(b"pulsar")),
            ("component", component),
            ("pulsar/managed-ledger", Bytes::from(self.name.to_string())),
        ];
        let about: BTreeMap<String, Bytes> =
            about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.ledger.begin_bucket(about);
        true
    }

    /// What to make next: anew what cannot be read, of what is listed, of what somebody holds too much
    /// of, of several one.
    fn next_plan(&mut self) -> Option<Plan> {
        let chain = self.ledger.chain();
        let buckets = self.ledger.delayed_buckets();
        self.delayed.damaged.retain(|id| buckets.iter().any(|bucket| bucket.ledger_id() == *id));
        let now = self.now();
        self.delayed.rebuild_at = self.delayed.rebuild_at.filter(|&at| now < at);
        let (damaged, kept) = (&self.delayed.damaged, &self.delayed.kept);
        let is_damaged = |id: &LedgerId| damaged.contains(id) && !kept.contains(id);
        let bucket = buckets.iter().find(|bucket| is_damaged(&bucket.ledger_id()));
        if let Some(bucket) = bucket.filter(|_| self.delayed.rebuild_at.is_none()) {
            let (damaged, ranges) = (bucket.ledger_id(), ordinals_of(bucket, &chain));
            warn!(topic = %self.name, ledger_id = damaged.0, "a delayed-delivery bucket is made anew");
            return Some(Plan::anew(chain, ranges, damaged));
        }
        let options = &self.deps.options.delayed;
        let wanted = self.delayed.wanted.take();
        let is_wanted = wanted.is_some_and(|at| self.delayed.listed_from <= at);
        let listed_min = if is_wanted { 1 } else { options.bucket_entries_min.max(1) };
        if listed_min <= self.delayed.listed.len() {
            let range = self.delayed.listed_from..chain.end();
            let listed = std::mem::take(&mut self.delayed.listed);
            self.delayed.unlist(chain.end());
            return Some(Plan::listed(chain, range, listed));
        }
        let missed = self.delayed.missed.pop();
        let records_max = options.bucket_entries_min.max(50_000);
        let wanted = wanted.map(|at| at..self.unindexed_end(at));
        for range in missed.into_iter().chain(wanted) {
            // One bucket is not on both sides of another.
            let mut gaps = self.unindexed(range).into_iter();
            if let Some(gap) = gaps.next() {
                self.delayed.missed.extend(gaps);
                return Some(Plan::read(chain, vec![gap], records_max));
            }
        }
        if options.buckets_max.max(1) < buckets.len() {
            let merged = choose_merged(buckets, &chain, |id| self.delayed.may_merge(id))?;
            let ranges = merged.iter().flat_map(|bucket| ordinals_of(bucket, &chain)).collect();
            return Some(Plan::merged(chain, coalesced(ranges), merged));
        }
        None
    }

    /// The parts of `range` that are neither indexed, nor between parts of one bucket, nor listed.
    fn unindexed(&self, range: Range<Ordinal>) -> Vec<Range<Ordinal>> {
        let chain = self.ledger.chain_ref();
        let spans = self.ledger.delayed_buckets().iter().filter_map(|bucket| {
            let ranges = ordinals_of(bucket, chain);
            Some(ranges.first()?.start..ranges.last()?.end)
        });
        let end = range.end.min(self.delayed.listed_from);
        let (mut from, mut gaps) = (range.start, Vec::new());
        for indexed in coalesced(spans.collect()).iter().filter(|it| range.start < it.end) {
            gaps.push(from..indexed.start.min(end));
            from = indexed.end;
        }
        gaps.push(from..end);
        gaps.retain(|gap| gap.start < gap.end);
        gaps
    }

    /// Where what is not indexed from `at` on ends, or what is listed begins.
    fn unindexed_end(&self, at: Ordinal) -> Ordinal {
        let indexed =
            self.delayed.indexed.iter().map(|range| range.start).find(|&start| at < start);
        indexed.unwrap_or_else(|| self.delayed.listed_from.max(at))
    }

    fn on_bucket_begun(&mut self, writer: SideWriter) {
        let ledger_id = writer.ledger_id();
        let plan = match std::mem::replace(&mut self.delayed.stage, Stage::Idle) {
            Stage::Opening(plan) if matches!(self.phase, Phase::Serving) => plan,
            _ => {
                self.ledger.abandon_bucket(ledger_id);
                return;
            }
        };
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let deps = self.deps.clone();
        let replaced = plan.replaced.clone();
        let listed = match &plan.content {
            Content::Listed(_) => plan.ranges.first().cloned(),
            Content::Read { .. } | Content::Merged(_) => None,
        };
        let work = async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => Err("the topic was closed".to_owned()),
                made = make::make(*plan, writer, &deps) => made,
            }
        };
        self.delayed.attempt += 1;
        let attempt = self.delayed.attempt;
        self.spawn(PASS_TIME_MAX, work, move |result| {
            let result = result.unwrap_or_else(|lost: Lost| Err(lost.to_string()));
            Answer::Bucket { attempt, result: result.map(Box::new) }
        });
        self.delayed.stage = Stage::Writing { ledger_id, replaced, listed };
        self.delayed.pass = Some(cancel.drop_guard());
    }

    pub(super) fn on_bucket_made(&mut self, attempt: u64, result: Result<Box<Made>, String>) {
        if attempt != self.delayed.attempt || !self.delayed.has_pass() {
            return;
        }
        self.delayed.pass = None;
        let stage = std::mem::replace(&mut self.delayed.stage, Stage::Idle);
        let Stage::Writing { ledger_id, replaced, listed } = stage else { return };
        let reason = match result.map(|made| *made) {
            Ok(Made::Bucket(bucket)) if self.overlaps(&bucket, &replaced) => {
                Some("what it covers was indexed meanwhile".to_owned())
            }
            Ok(Made::Bucket(bucket)) => {
                let records = bucket.records;
                info!(topic = %self.name, ledger_id = ledger_id.0, records, "indexed delayed messages");
                self.delayed.stage = Stage::Swapping { replaced: replaced.clone(), listed };
                self.ledger.finish_bucket(bucket, replaced);
                return;
            }
            Ok(Made::Nothing) => {
                // What covered nothing else is not needed.
                self.delayed.damaged.retain(|id| !replaced.contains(id));
                None
            }
            Ok(Made::Damaged(id)) => {
                self.delayed.damaged.insert(id);
                None
            }
            Err(reason) => Some(reason),
        };
        self.ledger.abandon_bucket(ledger_id);
        self.delayed.missed.extend(listed.filter(|_| reason.is_some()));
        if reason.is_some() && !self.delayed.damaged.is_disjoint(&replaced) {
            self.delayed.rebuild_at = Some(self.now() + REBUILD_RETRY);
        }
        match reason {
            Some(reason) => self.on_not_indexed(&reason),
            None => self.deps.options.trace("delayed-index", false),
        }
    }

    /// Whether it covers what another one does, or what lies between parts of another, or has one
    /// between its own: a topic with both would not be loaded.
    fn overlaps(&self, made: &DelayedBucket, replaced: &BTreeSet<LedgerId>) -> bool {
        let span = |ranges: &[(Position, Position)]| Some((ranges.first()?.0, ranges.last()?.1));
        let Some((first, last)) = span(&made.ranges) else { return true };
        let others = self.ledger.delayed_buckets().iter();
        let others = others.filter(|other| !replaced.contains(&other.ledger_id()));
        let mut spans = others.filter_map(|other| span(other.ranges()));
        spans.any(|(start, end)| first <= end && start <= last)
    }

    fn on_not_indexed(&mut self, reason: &str) {
        if let Stage::Opening(plan) = &self.delayed.stage
            && let Content::Listed(_) = &plan.content
        {
            self.delayed.missed.extend(plan.ranges.first().cloned());
        }
        if matches!(self.phase, Phase::Serving) {
            warn!(topic = %self.name, reason, "delayed messages were not indexed; it is tried again");
        }
        self.delayed.stage = Stage::Idle;
        self.delayed.retry_at = Some(self.now() + RETRY);
        self.deps.options.trace("delayed-index", false);
    }

    /// It does not fit beside the others. What was listed is read again, as far as it still may be; what
    /// others have stays there.
    fn on_bucket_refused(&mut self, reason: &str) {
        if let Stage::Swapping { replaced, listed } =
            std::mem::replace(&mut self.delayed.stage, Stage::Idle)
        {
            self.delayed.missed.extend(listed);
            self.delayed.kept.extend(replaced);
        }
        self.on_not_indexed(reason);
    }

    fn on_bucket_counts(&mut self) {
        self.delayed.stage = Stage::Idle;
        self.deps.options.trace("delayed-index", false);
        self.refresh_indexed();
    }

    /// Tells subscriptions what is indexed, if that has changed.
    pub(super) fn refresh_indexed(&mut self) {
        let chain = self.ledger.chain_ref();
        let ranges = self.ledger.delayed_buckets().iter();
        let ranges = coalesced(ranges.flat_map(|bucket| ordinals_of(bucket, chain)).collect());
        if ranges[..] == self.delayed.indexed[..] {
            return;
        }
        self.delayed.indexed = ranges.into();
        self.delayed.wanted = None; // It may be indexed now; who still holds too much says so.
        for (name, sub) in &mut self.subscriptions {
            sub.machine.set_indexed(Arc::clone(&self.delayed.indexed));
            self.ready.insert(Arc::clone(name));
        }
    }

    /// Ends what is under way, which answers at once: the topic closes.
    pub(super) fn cancel_indexing(&mut self) {
        self.delayed.pass = None;
    }

    /// Lets go of what is only kept since it may be read again soon.
    pub(super) fn shrink_delayed(&mut self) {
        self.ledger.delayed_buckets().iter().for_each(|bucket| bucket.shrink());
        self.delayed.listed.shrink_to_fit();
        self.delayed.tell_share();
        self.forget_listed();
    }

    /// Forgets a list of any size that nobody needs: all of it is acked, or memory for lists is wanted by
    /// topics where more happens than here. What is not listed can be read.
    fn forget_listed(&mut self) {
        let end = self.ledger.end();
        let is_quiet = self.delayed.end_before.replace(end) == Some(end);
        if self.delayed.listed_bytes() < Share::STEP {
            return;
        }
        let acked = self.subscriptions.values().map(|sub| sub.machine.mark_delete());
        let acked = acked.chain(self.slowest()).min().unwrap_or(end);
        let is_acked = self.delayed.listed.last().is_none_or(|last| last.ordinal < acked);
        if is_acked || is_quiet && self.deps.timers.is_over() {
            self.delayed.unlist(end);
        }
    }

    /// Reads the index for a subscription.
    pub(super) fn load_delayed(
        &self,
        name: &SubscriptionName,
        id: ReadId,
        after: (u64, Ordinal),
        entries_max: usize,
    ) {
        let Some(sub) = self.subscriptions.get(name) else { return };
        let (subscription, incarnation) = (Arc::clone(name), sub.incarnation);
        let buckets = self.ledger.delayed_buckets().to_vec();
        let (chain, deps, topic) = (self.ledger.chain(), self.deps.clone(), self.name.clone());
        let work = async move {
            let permit = deps.reads.take(buckets.len() * BLOCK_BYTES).await;
            let loaded = window::load(&chain, &deps, &buckets, after, entries_max).await;
            drop(permit);
            loaded
        };
        self.spawn(READ_TIME_MAX, work, move |result| {
            let result = result.unwrap_or_else(|lost| Err(LoadError::of(&lost)));
            match &result {
                Err(error) => {
                    warn!(%topic, %subscription, %error, "delayed messages were not loaded; it is tried again");
                }
                Ok(loaded) => loaded.unread.iter().for_each(|error| {
                    warn!(%topic, %subscription, %error, "only what is due before was loaded");
                }),
            }
            Answer::Loaded { subscription, incarnation, id, result }
        });
    }

    pub(super) fn on_loaded(
        &mut self,
        subscription: SubscriptionName,
        incarnation: u64,
        id: ReadId,
        result: Result<Loaded, LoadError>,
    ) {
        match &result {
            Ok(loaded) => self.delayed.note_unread(&loaded.unread),
            Err(LoadError { unread: Some(unread), .. }) => self.delayed.note_unread(unread),
            Err(LoadError { unread: None, .. }) => {}
        }
        if let Some(sub) = self.sub_mut(&subscription)
            && sub.incarnation == incarnation
        {
            sub.machine.on_delayed(id, result.map(|loaded| loaded.delayed).map_err(|_| ReadFailed));
            self.ready.insert(subscription);
        }
    }
}

/// What a bucket covers of what is stored.
fn ordinals_of(bucket: &Bucket, chain: &Chain) -> Vec<Range<Ordinal>> {
    let stored = chain.first();
    let ranges = bucket.ranges().iter();
    let ranges =
        ranges.map(|&(first, last)| chain.ordinal_of(first).max(stored)..chain.after(last));
    ranges.filter(|range| range.start < range.end).collect()
}

/// Ascending, and those that touch are one.
fn coalesced(mut ranges: Vec<Range<Ordinal>>) -> Vec<Range<Ordinal>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<Ordinal>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The neighbours that have the fewest entries together, if there are any that may be merged. Nothing
/// that is stored lies between them: no bucket of that would ever fit.
fn choose_merged(
    buckets: &[Arc<Bucket>],
    chain: &Chain,
    may_merge: impl Fn(LedgerId) -> bool,
) -> Option<Vec<Arc<Bucket>>> {
    let records = |window: &[Arc<Bucket>]| {
        window.iter().fold(0_u64, |sum, bucket| sum.saturating_add(bucket.records()))
    };
    let is_whole = |window: &[Arc<Bucket>]| {
        let ranges = window.iter().flat_map(|bucket| ordinals_of(bucket, chain)).collect();
        coalesced(ranges).len() <= 1
    };
    let chosen = (2..=MERGED_AT_ONCE).rev().find_map(|count| {
        let windows = buckets.windows(count).filter(|window| {
            window.iter().all(|bucket| may_merge(bucket.ledger_id()))
                && records(window) <= RECORDS_MAX
                && is_whole(window)
        });
        windows.min_by_key(|window| records(window))
    });
    chosen.map(<[_]>::to_vec)
}
