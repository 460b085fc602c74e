//! The properties format of Pulsar's `.conf` files.

use super::ConfigError;

/// Parses `key=value` lines in order. `#` and `!` begin comments; a `\` at the end continues a line.
///
/// # Errors
///
/// [`ConfigError::BadLine`] with the file's name and the line.
pub fn parse(file: &str, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut settings = Vec::new();
    let mut logical = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if logical.is_empty() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            logical.push_str(begun);
            continue;
        }
        logical.push_str(line);
        let whole = std::mem::take(&mut logical);
        let Some((key, value)) = whole.split_once(['=', ':']) else {
            let line_number = index + 1;
            let text = format!("{file}:{line_number}: expected key=value, found {whole:?}");
            return Err(ConfigError::BadLine(text));
        };
        settings.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(settings)
}
