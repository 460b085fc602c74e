//! Which seeds a test runs, and a note of what was run for the soak's report.
//!
//! A test of the name `bookie-storage` runs its default number of seeds, or what
//! `GEMINGA_BOOKIE_STORAGE_SEEDS` or else `GEMINGA_SEEDS` says: `COUNT` or `FIRST..END`. It notes what it
//! ran in `bookie-storage.txt` in the directory `GEMINGA_REPORT_DIR`, if that is set.

use std::{fmt::Display, ops::Range, path::Path, time::Instant};

/// The seeds of one test.
#[derive(Debug)]
pub struct Seeds {
    name: &'static str,
    range: Range<u64>,
    began: Instant,
}

impl Seeds {
    /// Those that the environment asks for, or `0..default`.
    ///
    /// # Panics
    ///
    /// If the environment holds something else than seeds.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "only tests ask, and they are timed for a person"
    )]
    pub fn of(name: &'static str, default: u64) -> Self {
        let own = format!("GEMINGA_{}_SEEDS", name.to_uppercase().replace('-', "_"));
        let range = [own.as_str(), "GEMINGA_SEEDS"].into_iter().find_map(|key| {
            let value = std::env::var(key).ok()?;
            let range = parse(&value);
            assert!(range.is_some(), "{key}={value}: expected COUNT or FIRST..END");
            range
        });
        Self { name, range: range.unwrap_or(0..default), began: Instant::now() }
    }

    /// The seeds.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Notes that all passed, and what else is worth knowing.
    ///
    /// # Panics
    ///
    /// If the report's directory cannot be written.
    #[expect(clippy::disallowed_methods, reason = "only tests ask")]
    pub fn passed(self, more: impl Display) {
        if let Ok(directory) = std::env::var("GEMINGA_REPORT_DIR") {
            let (name, Range { start, end }) = (self.name, &self.range);
            let seconds = self.began.elapsed().as_secs_f64();
            let note = format!("{name}: seeds {start}..{end} passed in {seconds:.1} s\n{more}");
            let directory = Path::new(&directory);
            std::fs::create_dir_all(directory).expect("the report's directory can be made");
            std::fs::write(
                directory.join(format!("{name}.txt")),
                note.trim_end().to_owned() + "\n",
            )
            .expect("the report's directory can be written");
        }
    }
}

fn parse(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((first, end)) => Some(first.parse().ok()?..end.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_count_or_a_range() {
        assert_eq!(parse("20"), Some(0..20));
        assert_eq!(parse("7..9"), Some(7..9));
        for wrong in ["", "x", "1..", "..2", "-1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
