//! `cargo xtask bench profile`: where the processor's time goes, as flame graphs in `docs/profiles`.
//!
//! Samples are taken by Linux's `perf`, which must be installed and allowed. A box is a function, as
//! wide as its share of the samples, on top of the one that called it; functions that only pass on
//! (of the runtime and the standard library) are left out. `docs/performance.md` gets a table of how
//! much is the topics' own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::{
    Options,
    page::{self, Table},
    server::{Server, rest},
    stats::shown,
    tool::Tools,
};
use crate::{say, toolchains::root};

const BACKLOG: &str = "1000000";
/// Samples per second and thread.
const FREQUENCY: &str = "199";
/// Stacks are unwound from a copy of so many bytes.
const UNWIND: &str = "dwarf,8192";

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 17.0;
/// Narrower boxes are not drawn.
const NARROWEST: f64 = 0.6;
const LETTER: f64 = 6.2;
const NAME_LEN_MAX: usize = 120;

/// Prefixes of functions that only pass on.
const PASSING_ON: [&str; 12] = [
    "std::",
    "core::",
    "<core::",
    "alloc::",
    "<alloc::",
    "tokio::runtime",
    "<tokio::runtime",
    "__rust",
    "_start",
    "__libc_start",
    "start_thread",
    "clone3",
];

/// What a topic's task runs.
const TOPIC: &str = "geminga_broker::topic::persistent";
/// Threads with work of their own.
const THREADS: [&str; 2] = ["bookie-journal", "bookie-store"];

/// A function in its place, with what it calls.
#[derive(Debug, Default)]
struct Node {
    samples: u64,
    calls: BTreeMap<String, Self>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let server = Server::geminga(&tools.server, &dir.path().join("data"))?;
    let seconds = options.seconds.to_string();
    let publish = ["produce", "a", "--disable-batching", "--warm-up", "1", "--duration", &seconds];
    let published = record(&tools, &server, dir.path(), "publish", &publish)?;
    let fill = ["produce", "b", "--disable-batching", "--messages", BACKLOG, "--in-flight", "5000"];
    tools.perf(&server.url, server.pid(), &fill)?;
    let read = ["consume", "b", "--messages", BACKLOG, "--position", "Earliest"];
    let delivered = record(&tools, &server, dir.path(), "deliver", &read)?;
    let keys = ["consume", "c", "--subscription-type", "Key_Shared", "--consumers", "20"];
    let consumers = ["--position", "Earliest", "--connections", "4", "--duration", "3600"];
    let consumers =
        tools.start_perf(&server.url, server.pid(), &[&keys[..], &consumers].concat())?;
    rest(); // They subscribe.
    let keyed = ["produce", "c", "--producers", "500", "--keys", "10000", "--size", "128"];
    let load = ["--disable-batching", "--in-flight", "20", "--connections", "10", "--warm-up", "1"];
    let load = [&keyed[..], &load, &["--duration", &seconds]].concat();
    let keyed = record(&tools, &server, dir.path(), "keyed", &load)?;
    drop(consumers);
    let text = table(&[
        ("[publish](profiles/publish.svg), 1 KiB unbatched", &published),
        ("[deliver](profiles/deliver.svg), a backlog of the same", &delivered),
        (
            "[keyed](profiles/keyed.svg): 500 producers, 128 B unbatched, one topic, 20 Key_Shared \
             consumers",
            &keyed,
        ),
    ]);
    page::write("profile", "Where the time goes", &text, options, &serde_json::Value::Null)
}

/// Shares of the server's processor time.
fn table(profiles: &[(&str, &Node)]) -> String {
    let mut table =
        Table::new(&["load", "samples", "the topics' own, %", "journal, %", "flushes, %"]);
    for (name, tree) in profiles {
        let share = |samples: u64| shown(100.0 * real(samples) / real(tree.samples));
        let thread = |name: &str| share(tree.calls.get(name).map_or(0, |node| node.samples));
        table.row(&[
            (*name).to_owned(),
            tree.samples.to_string(),
            share(within(tree, TOPIC)),
            thread(THREADS[0]),
            thread(THREADS[1]),
        ]);
    }
    table.to_markdown()
}

/// Samples below functions whose names begin so.
fn within(node: &Node, prefix: &str) -> u64 {
    let below = |(name, called): (&String, &Node)| {
        if name.starts_with(prefix) { called.samples } else { within(called, prefix) }
    };
    node.calls.iter().map(below).sum()
}

/// Draws what the server does under a load.
fn record(
    tools: &Tools,
    server: &Server,
    dir: &Path,
    name: &str,
    load: &[&str],
) -> anyhow::Result<Node> {
    let samples = dir.join(name);
    let mut perf = Command::new("perf")
        .args(["record", "--quiet", "--freq", FREQUENCY, "--call-graph", UNWIND, "--output"])
        .arg(&samples)
        .args(["--pid", &server.pid().to_string()])
        .stdout(Stdio::null())
        .spawn()
        .context("perf could not be started; it is in the package linux-perf")?;
    let report = tools.perf(&server.url, server.pid(), load);
    // It writes its file when it is asked to end.
    Command::new("kill").args(["-INT", &perf.id().to_string()]).status()?;
    perf.wait()?;
    report?;
    let script = Command::new("perf")
        .args(["script", "--no-inline", "--fields", "comm,ip,sym", "--input"])
        .arg(&samples)
        .stderr(Stdio::null())
        .output()?;
    fs::remove_file(&samples)?;
    let tree = fold(&String::from_utf8_lossy(&script.stdout));
    if tree.samples == 0 {
        bail!("perf took no samples; may this user profile its own processes?");
    }
    let folder = root().join("docs/profiles");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.svg"));
    fs::write(&path, draw(&tree, name))?;
    say(&format!("wrote {}", path.display()));
    Ok(tree)
}

/// Adds up stacks: a line with the thread, a line for each function from the innermost, an empty line.
fn fold(script: &str) -> Node {
    let mut tree = Node::default();
    for stack in script.split("\n\n") {
        let mut lines = stack.lines().filter(|line| !line.is_empty());
        let Some(thread) = lines.next() else { continue };
        let functions: Vec<String> = lines.filter_map(function).collect();
        tree.samples += 1;
        let mut node = &mut tree;
        let thread = std::iter::once(thread.trim().to_owned());
        for name in thread.chain(functions.into_iter().rev()) {
            node = node.calls.entry(name).or_default();
            node.samples += 1;
        }
    }
    tree
}

/// The name in a line `address name`, without what tells builds apart.
fn function(line: &str) -> Option<String> {
    let (_, name) = line.trim().split_once(' ')?;
    if PASSING_ON.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    Some(name.chars().take(NAME_LEN_MAX).collect())
}

fn draw(tree: &Node, name: &str) -> String {
    let rows = depth(tree);
    let height = real(rows + 2) * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"monospace\" font-size=\"10\">\n<title>{name}: {} samples</title>\n",
        tree.samples
    );
    let mut at = 0.0;
    let scale = WIDTH / real(tree.samples);
    for (name, node) in &tree.calls {
        boxes(&mut svg, (name, node), (at, height - 2.0 * ROW), scale);
        at += real(node.samples) * scale;
    }
    svg += "</svg>\n";
    svg
}

fn boxes(svg: &mut String, (name, node): (&str, &Node), (x, y): (f64, f64), scale: f64) {
    let width = real(node.samples) * scale;
    if width < NARROWEST {
        return;
    }
    let percent = 100.0 * width / WIDTH;
    let hue = name.bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 50);
    let letters = format!("{:.0}", (width / LETTER).floor()).parse().unwrap_or(0);
    let shown: String = name.chars().take(letters).collect();
    let (name, shown) = (escape(name), escape(&shown));
    // Writing to a string can't fail.
    _ = writeln!(
        svg,
        "<g><title>{name}: {percent:.1} %</title><rect x=\"{x:.1}\" y=\"{y:.1}\" \
         width=\"{width:.1}\" height=\"{ROW}\" fill=\"hsl({hue},80%,65%)\" stroke=\"white\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{shown}</text></g>",
        x + 2.0,
        y + 12.0
    );
    let mut at = x;
    for (name, node) in &node.calls {
        boxes(svg, (name, node), (at, y - ROW), scale);
        at += real(node.samples) * scale;
    }
}

fn depth(node: &Node) -> u64 {
    node.calls.values().map(|called| 1 + depth(called)).max().unwrap_or(0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "samples are few")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "server \n\t 1 inner\n\t 2 std::thread::x\n\t 3 outer<A>\n\n\
                          server \n\t 4 outer<A>\n\nother \n\t 5 [unknown]\n";

    #[test]
    fn stacks_are_added_up_without_what_only_passes_on() {
        let tree = fold(SCRIPT);
        assert_eq!(tree.samples, 3);
        let outer = &tree.calls["server"].calls["outer<A>"];
        assert_eq!((outer.samples, outer.calls["inner"].samples), (2, 1));
        assert_eq!(tree.calls["other"].calls["[unknown]"].samples, 1);
        assert_eq!(depth(&tree), 3);
        assert_eq!((within(&tree, "outer"), within(&tree, "inner")), (2, 1));
    }

    #[test]
    fn a_drawing_names_each_box_with_its_share() {
        let svg = draw(&fold(SCRIPT), "test");
        assert!(svg.contains("<title>outer&lt;A&gt;: 66.7 %</title>"), "{svg}");
        assert!(svg.contains("<title>inner: 33.3 %</title>"), "{svg}");
    }
}
