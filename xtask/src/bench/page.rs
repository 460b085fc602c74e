//! `docs/performance.md`: a section for each benchmark, replaced when it is run again.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    Options,
    stats::{ratio, shown, spread},
    tool::number,
};
use crate::{say, toolchains::root};

const HEAD: &str = "\
# Performance

Measured, not promised: each section is written by the command that it names, from one run on one
machine. What matters is the ratios of one run; figures of two runs are not to be compared.
";

/// A table with a head.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|text| (*text).to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: &[String]) {
        say(&cells.join("  |  "));
        self.rows.push(cells.to_vec());
    }

    /// A row for each of `rows`: what it is, its unit, and where its number is in the report.
    pub(super) fn of_report(
        what: &str,
        rows: &[(&str, &str, &str)],
        report: &Value,
    ) -> anyhow::Result<Self> {
        let mut table = Self::new(&[what, "", "unit"]);
        for (name, unit, path) in rows {
            table.row(&[(*name).to_owned(), shown(number(report, path)?), (*unit).to_owned()]);
        }
        Ok(table)
    }

    /// For rows by [`Self::compare`].
    pub(super) fn beside(other: &str) -> Self {
        Self::new(&["", "unit", "Geminga", other, "ratio", "better"])
    }

    /// Our figures beside another's; `less_is_better` where it matters who has more.
    pub(super) fn compare(
        &mut self,
        (name, unit): (&str, &str),
        ours: &[f64],
        theirs: &[f64],
        less_is_better: Option<bool>,
    ) {
        let ratio = ratio(ours, theirs);
        let better = less_is_better.map(|less| if less { ratio.recip() } else { ratio });
        self.row(&[
            name.to_owned(),
            unit.to_owned(),
            spread(ours),
            spread(theirs),
            better.map_or_else(String::new, |_| shown(ratio)),
            better.map_or_else(String::new, |better| format!("{} ×", shown(better))),
        ]);
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            _ = writeln!(text, "| {} |", row.join(" | ")); // Writing to a string does not fail.
            if index == 0 {
                _ = writeln!(text, "|{}", "---|".repeat(row.len()));
            }
        }
        text
    }
}

/// Writes a benchmark's section, and its figures as JSON.
pub(super) fn write(
    name: &str,
    title: &str,
    text: &str,
    options: &Options,
    figures: &Value,
) -> anyhow::Result<()> {
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(figures)?)?;
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.to_owned());
    let (date, commit) =
        (output("date", &["-u", "+%Y-%m-%d"])?, output("git", &["rev-parse", "--short", "HEAD"])?);
    let command =
        format!("cargo xtask bench {name} --seconds {} --pairs {}", options.seconds, options.pairs);
    let section = format!(
        "\n## {title}\n\n{date}, commit {commit}, {}: `{command}`\n\n{}\n",
        machine()?,
        text.trim_end()
    );
    fs::write(&path, replaced(&page, name, &section))?;
    say(&format!("wrote docs/performance.md and target/bench/{name}.json"));
    Ok(())
}

/// The page with another section of that name.
fn replaced(page: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let section = format!("{begin}{section}{end}");
    if let Some((before, rest)) = page.split_once(&begin)
        && let Some((_, after)) = rest.split_once(&end)
    {
        return format!("{before}{section}{after}");
    }
    format!("{}\n\n{section}", page.trim_end())
}

fn machine() -> anyhow::Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    let name = name.and_then(|line| line.split_once(": ")).map_or("unknown processor", |it| it.1);
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    Ok(format!("{cores} cores of {name}"))
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_replaced_in_their_place() {
        let page = replaced("head\n", "a", "1\n");
        let page = replaced(&page, "b", "2\n");
        let page = replaced(&page, "a", "3\n");
        assert_eq!(
            page,
            "head\n\n<!-- a -->\n3\n<!-- end of a -->\n\n<!-- b -->\n2\n<!-- end of b -->\n"
        );
    }

    #[test]
    fn both_sides_of_a_comparison_and_who_does_better() {
        let mut table = Table::beside("them");
        table.compare(("start", "ms"), &[2.0], &[4.0], Some(true));
        table.compare(("rate", "1/s"), &[2.0], &[4.0], Some(false));
        table.compare(("flushes", ""), &[2.0], &[0.0], None);
        let text = table.to_markdown();
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows[0],
            "| start | ms | 2.00 (2.00–2.00) | 4.00 (4.00–4.00) | 0.500 | 2.00 × |"
        );
        assert!(rows[1].ends_with("| 0.500 | 0.500 × |"), "{text}");
        assert!(rows[2].ends_with("|  |  |"), "{text}");
    }

    #[test]
    fn tables_have_a_head() {
        let mut table = Table::new(&["a", "b"]);
        table.row(&["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.to_markdown(), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
