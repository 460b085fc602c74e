//! A standalone, Geminga's or Pulsar's, from its start to its end.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::process;
use crate::toolchains::root;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    pub(super) url: String,
    /// From the start of the process to its word that it is ready.
    pub(super) start_took: Duration,
}

impl Server {
    pub(super) fn geminga(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        Self::geminga_with(binary, dir, &[])
    }

    /// With settings: `KEY=VALUE`.
    pub(super) fn geminga_with(
        binary: &Path,
        dir: &Path,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.arg("standalone").arg("--data-dir").arg(dir);
        for setting in ["brokerServicePort=0", "webServicePort=0"].iter().chain(settings) {
            command.args(["--set", setting]);
        }
        command.env("GEMINGA_LOG", "error");
        Self::start(command, |line| {
            let mut words = line.strip_prefix("ready: ")?.split_whitespace();
            words.next().map(str::to_owned)
        })
    }

    /// Apache Pulsar, with the heap that its own scripts give it.
    pub(super) fn pulsar(class_path: &str, dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let folder = root().join("bench/pulsar");
        let [binary_port, web_port] = free_ports()?;
        let configuration = fs::read_to_string(folder.join("standalone.conf"))?
            .replace("@BINARY_PORT@", &binary_port.to_string())
            .replace("@WEB_PORT@", &web_port.to_string());
        fs::write(dir.join("standalone.conf"), configuration)?;
        let logging = folder.join("log4j2.xml");
        let mut command = Command::new("java");
        command.current_dir(dir);
        command.arg(format!("-Dlog4j.configurationFile={}", logging.display()));
        command.args(JAVA).args(["-cp", class_path, "org.apache.pulsar.PulsarStandaloneStarter"]);
        command.args(["--config", "standalone.conf", "-nfw", "-nss"]);
        command.args(["--metadata-dir", "metadata", "--bookkeeper-dir", "bookkeeper"]);
        let url = format!("pulsar://127.0.0.1:{binary_port}");
        Self::start(command, |line| {
            line.contains("messaging service is ready").then(|| url.clone())
        })
    }

    /// NATS with JetStream, as it comes.
    pub(super) fn nats(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let [port, _] = free_ports()?;
        let mut command = Command::new("sh"); // It talks to its standard error.
        command.args(["-c", "exec nats-server \"$@\" 2>&1", "sh", "--jetstream"]);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--store_dir").arg(dir);
        let url = format!("nats://127.0.0.1:{port}");
        Self::start(command, |line| line.contains("Server is ready").then(|| url.clone()))
    }

    /// Starts it and waits for the line in which `ready` finds the URL.
    fn start(mut command: Command, ready: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let began = now();
        let mut process = command.stdout(Stdio::piped()).spawn().context("starting a server")?;
        let mut output = BufReader::new(process.stdout.take().context("a pipe")?);
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                bail!("the server ended before it was ready:\n{said}");
            }
            if let Some(url) = ready(&line) {
                let start_took = began.elapsed();
                // What it says later must not fill the pipe.
                thread::spawn(move || io::copy(&mut output, &mut io::sink()));
                return Ok(Self { process, url, start_took });
            }
            said += &line;
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory now, in MiB.
    pub(super) fn rss_mib(&self) -> anyhow::Result<f64> {
        process::rss_mib(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it ended by itself, which its user has noticed.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The heap and direct memory of Pulsar's own start script, and what its libraries need on Java 17.
const JAVA: [&str; 15] = [
    "-Xms2g",
    "-Xmx2g",
    "-XX:MaxDirectMemorySize=4g",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.leakDetectionLevel=disabled",
    "--add-opens",
    "java.base/sun.net=ALL-UNNAMED",
    "--add-opens=java.management/sun.management=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.platform=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
];

/// Ports that nobody listens on now.
fn free_ports() -> anyhow::Result<[u16; 2]> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

#[expect(clippy::disallowed_methods, reason = "a tool that measures")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Lets a server come to rest.
pub(super) fn rest() {
    wait(Duration::from_secs(2));
}

#[expect(clippy::disallowed_methods, reason = "this program has no runtime to block")]
pub(super) fn wait(time: Duration) {
    thread::sleep(time);
}
