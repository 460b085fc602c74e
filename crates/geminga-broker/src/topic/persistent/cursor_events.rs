//! What the cursor log says: created, deleted, durable, in need of a snapshot, failed.

use std::sync::Arc;

use geminga_managed_ledger::CursorEvent;
use tracing::warn;

use super::{Topic, deduplication};

impl Topic {
    /// Takes news from the cursor log. False: there was none.
    pub(super) fn settle_cursors(&mut self) -> bool {
        let mut has_news = false;
        let options = Arc::clone(&self.deps.options);
        while let Some(event) = self.ledger.poll_cursor_event() {
            has_news = true;
            if event.cursor() == deduplication::CURSOR {
                self.on_deduplication_cursor(event);
                continue;
            }
            match event {
                CursorEvent::Created { name } => self.on_cursor_created(&name, Ok(())),
                CursorEvent::CreateFailed { name, error } => {
                    self.on_cursor_created(&name, Err(error.to_string()));
                }
                CursorEvent::Deleted { name } => self.on_cursor_deleted(&name, Ok(())),
                CursorEvent::DeleteFailed { name, error } => {
                    self.on_cursor_deleted(&name, Err(error.to_string()));
                }
                CursorEvent::Durable { name, up_to } => {
                    let Some(sub) = self.sub_mut(&name) else { continue };
                    let mut dead_letters = 0;
                    while let Some(first) = sub.in_flight.front()
                        && first.seq <= up_to
                    {
                        let Some(first) = sub.in_flight.pop_front() else { break };
                        sub.durable_mark_delete = first.mark_delete;
                        dead_letters += first.dead_letters;
                        options.trace("cursor-write", false);
                        first.waiters.into_iter().for_each(|waiter| waiter.answer(Ok(())));
                    }
                    if 0 < dead_letters {
                        sub.machine.on_dead_letters_durable(dead_letters);
                        self.ready.insert(Arc::from(&*name));
                    }
                    self.publish_held_dead_letters(&name, up_to);
                    self.finish_seek(&name);
                }
                CursorEvent::NeedsSnapshot { name } => self.begin_snapshot(&name),
                CursorEvent::Failed { name, error } => {
                    warn!(topic = %self.name, subscription = %name, %error, "acks were not stored");
                    if let Some(sub) = self.subscriptions.get_mut(&*name) {
                        sub.fail_waiters(&error.to_string());
                    }
                    self.finish_seek(&name);
                }
            }
        }
        has_news
    }
}
