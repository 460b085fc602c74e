//! Does what a verb says: asks the server, once or several times, and shows the answers.

use std::{
    io::{IsTerminal as _, Write},
    time::Duration,
};

use anyhow::{Context as _, bail};
use geminga_env::Env;
use serde_json::{Map, Value};

use super::{
    call::{self, Call, Values},
    explain, message, print,
    progress::Progress,
    verb::{Shows, Steps, Verb},
};
use crate::{
    admin_client::{AdminClient, Answer, Refused},
    exit::Usage,
};

/// How long to wait before asking again whether something has ended.
const WAIT: Duration = Duration::from_secs(1);

struct Session<'s> {
    env: &'s Env,
    client: &'s AdminClient,
    verb: &'s Verb,
    values: &'s Values,
    as_json: bool,
    progress: Progress,
}

/// Runs a verb.
///
/// # Errors
///
/// What the server refuses with, or that it does not answer.
pub(super) async fn run(
    env: &Env,
    client: &AdminClient,
    (verb, values): (&Verb, &Values),
    as_json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    confirm(verb, values)?;
    let progress = Progress::new();
    let mut session = Session { env, client, verb, values, as_json, progress };
    session.progress.now(format!("{}, waiting for the server", verb.name));
    let calls = session.calls().await?;
    match verb.steps {
        Steps::Path => session.path(&calls, out).await,
        Steps::Wait => session.wait(&calls, out).await,
        Steps::LookUpPartitions => session.look_up_partitions(out).await,
        Steps::Peek => session.peek(out).await,
    }
}

/// Asks the person at the terminal, if the verb says so.
fn confirm(verb: &Verb, values: &Values) -> anyhow::Result<()> {
    let Some(question) = verb.question.filter(|_| !values.contains_key("force")) else {
        return Ok(());
    };
    if !std::io::stdin().is_terminal() {
        bail!(Usage(format!("{}: nobody is there to confirm it; give --force", verb.name)));
    }
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { bail!("left as it was") }
}

impl Session<'_> {
    async fn calls(&self) -> anyhow::Result<Vec<Call>> {
        let mut values = self.values.clone();
        for argument in &self.verb.arguments {
            if let Some(path) = argument.default_at
                && !values.contains_key(argument.name)
            {
                let call = Call { method: "GET", path: path.to_owned(), body: None };
                values.insert(argument.name, parsed(&self.ask(&call).await?)?);
            }
        }
        let base = match call::base_call(self.verb, self.values) {
            None => None,
            Some(base) => Some(parsed(&self.ask(&base.map_err(Usage)?).await?)?),
        };
        let now = self.env.clock.wall().0;
        Ok(call::calls(self.verb, &values, base, now).map_err(Usage)?)
    }

    async fn ask(&self, call: &Call) -> anyhow::Result<Answer> {
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        let asked = self.client.ask(call.method, &call.path, &body);
        self.progress.during(self.env, asked).await
    }

    /// One request, or several whose answers are lists that belong together.
    async fn path(&self, calls: &[Call], out: &mut impl Write) -> anyhow::Result<()> {
        if let [call] = calls {
            let answer = self.ask(call).await?;
            return self.show(&answer, out);
        }
        let mut all = Vec::new();
        for call in calls {
            let answer = self.ask(call).await?;
            let part: Vec<Value> =
                serde_json::from_slice(&answer.body).context("the server's answer is no list")?;
            all.extend(part);
        }
        self.show_value(&all.into(), out)
    }

    /// Asks until it is no longer running.
    async fn wait(&self, calls: &[Call], out: &mut impl Write) -> anyhow::Result<()> {
        let call = calls.first().context("a verb without a path")?;
        let is_waited_for = self.values.contains_key("wait-complete");
        let wait = async {
            loop {
                let answer = self.client.ask(call.method, &call.path, "").await?;
                if !is_waited_for || status(&answer) != "RUNNING" {
                    return anyhow::Ok(answer);
                }
                tokio::time::sleep(WAIT).await;
            }
        };
        let answer = self.progress.during(self.env, wait).await?;
        self.show(&answer, out)?;
        if is_waited_for && status(&answer) == "ERROR" {
            bail!("it ended with an error");
        }
        Ok(())
    }

    /// Who serves each partition.
    async fn look_up_partitions(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let topic = self.values.get("topic").and_then(Value::as_str).unwrap_or_default();
        let count =
            Call { method: "GET", path: format!("{}/partitions", topic_path(topic)), body: None };
        let answer = self.ask(&count).await?;
        let found = parsed(&answer)?;
        let count = found.get("partitions").and_then(Value::as_u64).unwrap_or(0);
        let mut all = Vec::new();
        for index in 0..count {
            self.progress.now(format!("partition {index} of {count}"));
            let name = format!("{topic}-partition-{index}");
            let path = topic_path(&name).replacen("/admin/v2/", "/lookup/v2/topic/", 1);
            let answer = self.ask(&Call { method: "GET", path, body: None }).await?;
            let found = parsed(&answer)?;
            all.push((name, found.get("brokerUrl").cloned().unwrap_or_default()));
        }
        if all.is_empty() {
            bail!("{topic} has no partitions");
        }
        if !self.values.contains_key("sort-by-broker") {
            let all: Map<String, Value> = all.into_iter().collect();
            return self.show_value(&all.into(), out);
        }
        let mut by_broker: Map<String, Value> = Map::new();
        for (name, broker) in all {
            let broker = broker.as_str().unwrap_or_default().to_owned();
            let of_broker = by_broker.entry(broker).or_insert_with(|| Value::Array(Vec::new()));
            of_broker.as_array_mut().into_iter().for_each(|names| names.push(name.clone().into()));
        }
        self.show_value(&by_broker.into(), out)
    }

    /// The first messages that wait, one by one.
    async fn peek(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let count = self.values.get("count").and_then(Value::as_u64).unwrap_or(1);
        for index in 1..=count {
            self.progress.now(format!("message {index} of {count}"));
            let mut values = self.values.clone();
            values.insert("count", index.into());
            let calls = call::calls(self.verb, &values, None, 0).map_err(Usage)?;
            let call = calls.first().context("a verb without a path")?;
            match self.ask(call).await {
                Ok(answer) => self.show(&answer, out)?,
                // There are no more.
                Err(error) if 1 < index && is_not_found(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn show(&self, answer: &Answer, out: &mut impl Write) -> anyhow::Result<()> {
        if self.verb.shows == Shows::Message {
            return match self.as_json {
                true => Ok(writeln!(out, "{}", message::json(answer))?),
                false => Ok(message::print(answer, out)?),
            };
        }
        if answer.body.is_empty() {
            return Ok(());
        }
        let value: Value = match serde_json::from_slice(&answer.body) {
            Ok(value) => value,
            // A version, or a range of hashes.
            Err(_) => String::from_utf8_lossy(&answer.body).trim().into(),
        };
        if self.as_json && value.is_string() {
            return Ok(writeln!(out, "{value}")?);
        }
        if self.as_json {
            out.write_all(&answer.body)?;
            return Ok(writeln!(out)?);
        }
        self.show_value(&value, out)
    }

    fn show_value(&self, value: &Value, out: &mut impl Write) -> anyhow::Result<()> {
        if self.as_json {
            return Ok(writeln!(out, "{value}")?);
        }
        match self.verb.shows {
            Shows::Explanation => explain::print(value, self.env.clock.wall().0, out),
            Shows::Field(name) => Ok(print::print(value.get(name).unwrap_or(value), out)?),
            Shows::Form | Shows::Message => Ok(print::print(value, out)?),
        }
    }
}

fn parsed(answer: &Answer) -> anyhow::Result<Value> {
    serde_json::from_slice(&answer.body).context("the server's answer is not JSON")
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404)
}

/// What a process that runs long says of itself.
fn status(answer: &Answer) -> String {
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    value.get("status").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn topic_path(topic: &str) -> String {
    let (domain, rest) = topic.split_once("://").unwrap_or(("persistent", topic));
    let rest: Vec<String> = rest.splitn(3, '/').map(call::encoded).collect();
    format!("/admin/v2/{domain}/{}", rest.join("/"))
}
