//! What a definition, and a comparison of two, may take.

/// Bytes of one definition.
pub const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// Levels of nesting of a definition's types, through references by name too.
pub const DEPTH_MAX: usize = 256;

/// Pairs of types and fields that one check looks at, over all versions. As many versions as may be stored
/// take fewer, unless they are made for it.
pub const STEPS_MAX: usize = 1 << 20;

/// How deep KEY_VALUE may be inside KEY_VALUE.
pub const KEY_VALUE_DEPTH_MAX: usize = 8;

/// Letters of the reason for a refusal: it may quote what was refused.
const REASON_LETTERS_MAX: usize = 1_000;

/// A reason that can be sent and logged.
pub(crate) fn shortened(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_LETTERS_MAX) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}
