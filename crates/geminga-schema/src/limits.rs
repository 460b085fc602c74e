//! What a definition, and a comparison of two, may take.

/// Bytes of one definition.
pub const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// Levels of nesting of a definition's types, through references by name too.
pub const DEPTH_MAX: usize = 256;

/// Pairs of types and fields that one check looks at, over all versions. As many versions as may be stored
/// take fewer, unless they are made for it.
pub const STEPS_MAX: usize = 1 << 20;

/// Bytes of a name, or of a namespace: every type may carry a copy of its namespace.
pub const NAME_BYTES_MAX: usize = 1_000;

/// How deep KEY_VALUE may be inside KEY_VALUE.
pub const KEY_VALUE_DEPTH_MAX: usize = 8;

/// Letters of a name where a reason quotes it.
const QUOTED_LETTERS_MAX: usize = 100;

/// Letters of the reason for a refusal: it may quote what was refused.
const REASON_LETTERS_MAX: usize = 1_000;

/// A reason that can be sent and logged.
pub(crate) fn shortened(reason: String) -> String {
    cut(reason, REASON_LETTERS_MAX)
}

/// A name as a reason quotes it.
pub(crate) fn quoted(name: String) -> String {
    cut(name, QUOTED_LETTERS_MAX)
}

fn cut(mut text: String, letters_max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(letters_max) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Refuses a name, or a namespace, that is too long.
pub(crate) fn check_name_length(name: &str) -> Result<(), String> {
    if NAME_BYTES_MAX < name.len() {
        let len = name.len();
        return Err(format!("a name has {len} bytes, the limit is {NAME_BYTES_MAX}"));
    }
    Ok(())
}
