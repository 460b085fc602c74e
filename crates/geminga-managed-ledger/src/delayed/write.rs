//! Writes a bucket: all records by time, then all places, then the footer.

use std::sync::Arc;

use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_types::Position;

use super::{
    Bucket, BucketError, DelayedBucket, DueOrder, Record, Run,
    format::{self, Footer},
};
use crate::side_ledger::{SideWriter, WriteError};

/// So many that a block is some tens of kilobytes.
const RECORDS_PER_BLOCK: usize = 2_000;
const RUNS_PER_BLOCK: usize = 4_000;
/// Blocks that are written before what was written is waited for.
const BLOCKS_AT_ONCE: usize = 32;

/// Writes one bucket. First every record in the order of their times, then every place in its order.
#[derive(Debug)]
pub struct BucketWriter {
    writer: SideWriter,
    footer: Footer,
    /// Of the block that is next.
    by_time: Vec<Record>,
    by_place: Vec<Run>,
    bodies: Vec<Bytes>,
    records: u64,
    due_min: Option<u64>,
}

impl BucketWriter {
    /// Begins to write into an empty ledger.
    #[must_use]
    pub fn new(writer: SideWriter) -> Self {
        Self {
            writer,
            footer: Footer::default(),
            by_time: Vec::new(),
            by_place: Vec::new(),
            bodies: Vec::new(),
            records: 0,
            due_min: None,
        }
    }

    /// Writes `records`, which are every delayed entry of `ranges`, whatever their order.
    ///
    /// # Errors
    ///
    /// If they were not written; the ledger is to be given up.
    pub async fn write_all(
        mut self,
        deps: &Deps,
        mut records: Vec<Record>,
        ranges: Vec<(Position, Position)>,
    ) -> Result<DelayedBucket, WriteError> {
        records.sort_unstable();
        for &record in &records {
            self.push(deps, record).await?;
        }
        records.sort_unstable_by_key(|record| record.position);
        for record in &records {
            self.place(deps, Run { first: record.position, count: 1 }).await?;
        }
        self.finish(deps, ranges).await
    }

    async fn push(&mut self, deps: &Deps, record: Record) -> Result<(), WriteError> {
        self.due_min.get_or_insert(record.due);
        self.records += 1;
        self.by_time.push(record);
        if RECORDS_PER_BLOCK <= self.by_time.len() {
            self.end_block();
            self.flush(deps, BLOCKS_AT_ONCE).await?;
        }
        Ok(())
    }

    async fn place(&mut self, deps: &Deps, run: Run) -> Result<(), WriteError> {
        if !self.by_time.is_empty() {
            self.end_block();
        }
        if let Some(last) = self.by_place.last_mut()
            && last.first.ledger_id == run.first.ledger_id
            && last.last().entry_id.0 + 1 == run.first.entry_id.0
        {
            last.count += run.count;
            return Ok(());
        }
        if RUNS_PER_BLOCK <= self.by_place.len() {
            self.end_places();
            self.flush(deps, BLOCKS_AT_ONCE).await?;
        }
        self.by_place.push(run);
        Ok(())
    }

    async fn finish(
        mut self,
        deps: &Deps,
        ranges: Vec<(Position, Position)>,
    ) -> Result<DelayedBucket, WriteError> {
        if !self.by_place.is_empty() {
            self.end_places();
        }
        self.bodies.push(self.footer.encode());
        self.flush(deps, 1).await?;
        let ledger_id = self.writer.ledger_id();
        let (entries, _) = self.writer.seal(deps).await?;
        let due_min = self.due_min.unwrap_or(u64::MAX);
        Ok(DelayedBucket { ledger_id, entries, records: self.records, due_min, ranges })
    }

    fn end_block(&mut self) {
        let records = std::mem::take(&mut self.by_time);
        self.footer.by_time.extend(records.first().map(|record| (record.due, record.position)));
        self.bodies.push(format::encode_by_time(&records));
    }

    fn end_places(&mut self) {
        let runs = std::mem::take(&mut self.by_place);
        self.footer.by_place.extend(runs.first().map(|run| run.first));
        self.bodies.push(format::encode_by_place(&runs));
    }

    async fn flush(&mut self, deps: &Deps, blocks_min: usize) -> Result<(), WriteError> {
        if blocks_min <= self.bodies.len() {
            let bodies = std::mem::take(&mut self.bodies);
            self.writer.write(deps, bodies).await?;
        }
        Ok(())
    }
}

/// Writes what is listed in `buckets`, which follow one another, as one that covers `ranges`: without
/// what lies before those.
///
/// # Errors
///
/// The inner one: it was not written; the outer one: a bucket was not read. In both cases the ledger is to
/// be given up.
pub async fn merge(
    deps: &Deps,
    buckets: &[Arc<Bucket>],
    ranges: Vec<(Position, Position)>,
    writer: SideWriter,
) -> Result<Result<DelayedBucket, WriteError>, BucketError> {
    let mut writer = BucketWriter::new(writer);
    let from = ranges.first().map_or(Position::LATEST, |&(first, _)| first);
    let mut order = DueOrder::new(deps, buckets, (0, Position::EARLIEST)).await?;
    while let Some(record) = order.next(deps).await? {
        if from <= record.position
            && let Err(error) = writer.push(deps, record).await
        {
            return Ok(Err(error));
        }
    }
    for bucket in buckets {
        for index in 0..bucket.places(deps).await? {
            for run in bucket.by_place(deps, index).await? {
                if let Some(run) = run.from(from)
                    && let Err(error) = writer.place(deps, run).await
                {
                    return Ok(Err(error));
                }
            }
        }
    }
    Ok(writer.finish(deps, ranges).await)
}
