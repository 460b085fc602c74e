//! How much may be sent for now.

/// What limits of the dispatch rate leave for now: so much may be sent, the last entry may be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// When there is more once either is used up, in milliseconds of wall time.
    pub again_at: u64,
}

impl Allowance {
    /// No limit.
    pub const UNLIMITED: Self = Self { messages: u64::MAX, bytes: u64::MAX, again_at: 0 };

    pub(crate) const fn is_used_up(&self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    pub(crate) const fn charge(&mut self, messages: u64, bytes: u64) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
