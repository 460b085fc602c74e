//! The records of several buckets in the order of their times.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use geminga_ledger::Deps;
use geminga_types::Position;

use super::{Bucket, BucketError, Record};

/// Goes over the records of several buckets, from some time on; holds one block of each.
#[derive(Debug)]
pub struct DueOrder {
    /// The next record of each bucket that has one, with the bucket's number.
    next: BinaryHeap<Reverse<(Record, usize)>>,
    cursors: Vec<Cursor>,
}

/// A place in one bucket.
#[derive(Debug)]
struct Cursor {
    bucket: Arc<Bucket>,
    block: usize,
    records: Arc<[Record]>,
    at: usize,
}

impl DueOrder {
    /// Begins with the first records that are due at `after.0` and do not lie before `after.1`, or are
    /// due later.
    ///
    /// # Errors
    ///
    /// See [`BucketError`].
    pub async fn new(
        deps: &Deps,
        buckets: &[Arc<Bucket>],
        after: (u64, Position),
    ) -> Result<Self, BucketError> {
        let mut order = Self { next: BinaryHeap::new(), cursors: Vec::new() };
        for bucket in buckets {
            order.add(deps, bucket, after).await?;
        }
        Ok(order)
    }

    /// The same without the buckets that cannot be read; those with the reasons.
    pub async fn readable(
        deps: &Deps,
        buckets: &[Arc<Bucket>],
        after: (u64, Position),
    ) -> (Self, Vec<(Arc<Bucket>, BucketError)>) {
        let mut order = Self { next: BinaryHeap::new(), cursors: Vec::new() };
        let mut unread = Vec::new();
        for bucket in buckets {
            if let Err(error) = order.add(deps, bucket, after).await {
                unread.push((Arc::clone(bucket), error));
            }
        }
        (order, unread)
    }

    async fn add(
        &mut self,
        deps: &Deps,
        bucket: &Arc<Bucket>,
        after: (u64, Position),
    ) -> Result<(), BucketError> {
        let block = bucket.block_of(deps, after).await?;
        let records = bucket.by_time(deps, block).await?;
        let at = records.partition_point(|record| (record.due, record.position) < after);
        let mut cursor = Cursor { bucket: Arc::clone(bucket), block, records, at };
        let index = self.cursors.len();
        self.next.extend(cursor.next(deps).await?.map(|record| Reverse((record, index))));
        self.cursors.push(cursor);
        Ok(())
    }

    /// The next record.
    #[must_use]
    pub fn peek(&self) -> Option<Record> {
        self.next.peek().map(|Reverse((record, _))| *record)
    }

    /// Takes the next record.
    ///
    /// # Errors
    ///
    /// See [`BucketError`].
    pub async fn next(&mut self, deps: &Deps) -> Result<Option<Record>, BucketError> {
        let Some(Reverse((record, index))) = self.next.pop() else { return Ok(None) };
        let following = self.cursors[index].next(deps).await?;
        self.next.extend(following.map(|record| Reverse((record, index))));
        Ok(Some(record))
    }
}

impl Cursor {
    async fn next(&mut self, deps: &Deps) -> Result<Option<Record>, BucketError> {
        if self.records.len() <= self.at {
            self.block += 1;
            self.at = 0;
            self.records = self.bucket.by_time(deps, self.block).await?;
        }
        let record = self.records.get(self.at).copied();
        self.at += 1;
        Ok(record)
    }
}
