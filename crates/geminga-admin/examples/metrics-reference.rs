//! Prints `docs/metrics.md`.

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() {
    print!("{}", geminga_admin::metrics::page());
}
