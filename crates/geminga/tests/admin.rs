//! `geminga admin` and `geminga client` against a server in a process of its own.
//!
//! Goal: scripts of `pulsar-admin` work with the other name: what is printed, what `--json` prints, and
//! the exit codes. Method: the binary, as scripts run it.
#![cfg(test)]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

struct Server {
    process: Child,
    broker: String,
    web: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_geminga"));
        command.args(["standalone", "--ephemeral"]);
        for setting in ["bindAddress=127.0.0.1", "brokerServicePort=0", "webServicePort=0"] {
            command.args(["--set", setting]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.first(), Some(&"ready:"), "{line}");
        Self { process, broker: words[1].to_owned(), web: words[2].to_owned() }
    }

    fn run(&self, line: &str) -> Output {
        let mut words = line.split(' ');
        let tool = words.next().unwrap();
        let (option, url) = match tool {
            "admin" => ("--admin-url", &self.web),
            _ => ("--url", &self.broker),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_geminga"));
        command.args([tool, option, url]).args(words).output().unwrap()
    }

    /// What a command that succeeds prints.
    #[track_caller]
    fn prints(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What one that does not says, with its exit code.
    #[track_caller]
    fn fails(&self, line: &str, code: i32) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{line}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.prints(&format!("{line} --json"))).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill(); // It may be gone already.
        _ = self.process.wait();
    }
}

#[test]
fn tenants_namespaces_topics_and_policies_are_administered() {
    let server = Server::start();
    assert_eq!(server.prints("admin tenants create acme -r ann,bob"), "");
    assert_eq!(server.prints("admin tenants update acme --admin-roles cy"), "");
    let tenant = json!({"adminRoles": ["cy"], "allowedClusters": ["standalone"]});
    assert_eq!(server.json("admin tenants get acme"), tenant);
    server.prints("admin namespaces create acme/orders -b 4");
    assert_eq!(server.prints("admin namespaces list acme"), "acme/orders\n");

    server.prints("admin namespaces set-retention acme/orders -t 3h -s 1G");
    let shown = "retentionSizeInMB       1024\nretentionTimeInMinutes  180\n";
    assert_eq!(server.prints("admin namespaces get-retention acme/orders"), shown);
    server.prints("admin namespaces remove-retention acme/orders");
    assert_eq!(server.prints("admin namespaces get-retention acme/orders"), "");

    let topic = "persistent://acme/orders/paid";
    server.prints(&format!("admin topics create-partitioned-topic {topic} -p 2"));
    let parts = format!("{topic}-partition-0\n{topic}-partition-1\n");
    assert_eq!(server.prints("admin topics list acme/orders -td persistent"), parts);
    assert_eq!(
        server.prints("admin topics list-partitioned-topics acme/orders"),
        format!("{topic}\n")
    );
    let looked_up = format!("{topic}-partition-0  {0}\n{topic}-partition-1  {0}\n", server.broker);
    assert_eq!(server.prints(&format!("admin topics partitioned-lookup {topic}")), looked_up);

    server.prints(&format!("admin topics create-subscription {topic} -s billing -m earliest"));
    assert_eq!(server.prints(&format!("admin topics subscriptions {topic}")), "billing\n");
    let explained =
        server.prints(&format!("admin topics explain-subscription {topic}-partition-0 -s billing"));
    assert!(explained.starts_with("billing of "), "{explained}");
    server.prints("admin topicPolicies set-max-producers acme/orders/paid -p 3");
    assert_eq!(server.prints("admin topics get-maxProducers acme/orders/paid"), "3\n");

    server.prints("admin topicPolicies set-message-ttl acme/orders/paid -t 1m");
    assert_eq!(server.json("admin topicPolicies get-message-ttl acme/orders/paid"), json!(60));
    server.prints("admin topicPolicies set-dispatch-rate acme/orders/paid -md 5 -rp");
    let rate = server.json("admin topicPolicies get-dispatch-rate acme/orders/paid");
    assert_eq!(rate["relativeToPublishRate"], json!(true), "{rate}");
    server.prints("admin resourcegroups create shared -mp 7");
    server.prints("admin resourcegroups update shared -md 8");
    let group = server.json("admin resourcegroups get shared");
    assert_eq!((&group["publishRateInMsgs"], &group["dispatchRateInMsgs"]), (&json!(7), &json!(8)));

    server.prints("admin namespaces delete acme/orders -f");
    server.prints("admin tenants delete acme");
    let left = server.prints("admin tenants list");
    assert!(!left.contains("acme"), "{left}");
}

#[test]
fn exit_codes_say_who_is_to_blame() {
    let mut server = Server::start();
    let refused = server.fails("admin tenants get nobody", 1);
    assert!(refused.starts_with("geminga: ") && refused.contains("(HTTP 404)"), "{refused}");
    let usage = server.fails("admin namespaces set-retention public/default -t 3h", 2);
    assert!(usage.contains("--size"), "{usage}");
    let alone = server.fails("admin namespaces clear-backlog public/default", 2);
    assert!(alone.contains("--force"), "{alone}");
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let gone = server.fails("admin tenants list", 3);
    assert!(gone.contains("no server answers at http://localhost:"), "{gone}");
    let gone = server.fails("client produce t -m x", 3);
    assert!(gone.contains("no server answers at pulsar://localhost:"), "{gone}");
}

#[test]
fn what_the_server_says_comes_through_as_it_is() {
    let server = Server::start();
    server.prints("client produce shown -k key -m hello");
    server.prints("admin topics create-subscription shown -s s -m earliest");
    let peeked = server.prints("admin topics peek-messages shown -s s -n 3");
    assert_eq!(peeked.matches("message id: ").count(), 1, "{peeked}");
    assert!(peeked.contains("hello"), "{peeked}");
    server.prints("client produce batched -k k -m one,two --compression lz4");
    let batch = server.json("admin topics examine-messages batched");
    let messages = json!([{"key": "k", "payload": "one"}, {"key": "k", "payload": "two"}]);
    assert_eq!(batch["messages"], messages, "{batch}");
    let stats = server.json("admin topics stats shown -etb");
    assert_eq!(stats["msgInCounter"], json!(1));
    assert_eq!(stats["subscriptions"]["s"]["msgBacklog"], json!(1));
    let text = server.prints("admin topics stats shown");
    assert!(text.lines().any(|line| line.starts_with("subscriptions.s.msgBacklog ")), "{text}");
    server.prints("admin topics clear-backlog shown -s s");
    assert_eq!(
        server.json("admin topics stats shown")["subscriptions"]["s"]["msgBacklog"],
        json!(0)
    );
    assert_eq!(server.prints("admin brokers healthcheck"), "ok\n");
    let status = server.prints("admin topics compaction-status shown -w");
    assert!(status.contains("NOT_RUN"), "{status}");
}

#[test]
fn schemas_are_registered_and_checked() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let first = file("first", &record(r#"{"name":"a","type":"int"}"#));
    // The default strategy wants what was written before to be readable: a new field needs a default.
    let other = file("other", &record(r#"{"name":"b","type":"string"}"#));
    let produce =
        format!("client produce typed --schema-type json --schema-file {first} -s ; --json");
    let sent = server.prints(&format!("{produce} -m {{\"a\":1}};{{\"a\":2}}"));
    assert_eq!(sent.matches("messageId").count(), 2, "{sent}");
    server.prints(&format!("{produce} -db -m {{\"a\":3}}"));
    let stored = server.json("admin schemas get typed");
    assert_eq!((&stored["version"], &stored["type"]), (&json!(0), &json!("JSON")), "{stored}");

    let read = server.prints("client read typed -m earliest -n 3 --json");
    let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), 3, "{read:?}");
    for (message, a) in read.iter().zip(1..) {
        assert_eq!(message["payload"], json!(format!("{{\"a\":{a}}}")), "{message}");
        assert_eq!(message["schemaVersion"], json!(0), "{message}");
    }
    let refused = server.fails(
        &format!(
            "client produce typed --schema-type json --schema-file {other} -s ; -m {{\"b\":\"x\"}}"
        ),
        1,
    );
    assert!(refused.contains("IncompatibleSchema"), "{refused}");
    let refused =
        server.fails(&format!("client read typed -st avro --schema-file {other} -m earliest"), 1);
    assert!(refused.contains("IncompatibleSchema"), "{refused}");

    for (line, part) in [
        (
            format!("client produce typed --schema-type json --schema-file {first} -m nojson"),
            "JSON",
        ),
        (format!("client produce typed --schema-type avro --schema-file {first} -m x"), "-f"),
        ("client produce typed --schema-type json -m 1".to_owned(), "--schema-file"),
        ("client produce typed --schema-type auto_consume -m 1".to_owned(), "receive"),
    ] {
        let said = server.fails(&line, 2);
        assert!(said.contains(part), "{line}: {said}");
    }
}

#[test]
fn messages_are_lines_of_json_with_their_keys() {
    let server = Server::start();
    server.prints("client produce keyed -k k1 -p a=b,c=d -m one,two");
    let read = server.prints("client read keyed -m earliest -n 2 --json");
    let messages: Vec<Value> =
        read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(messages[0]["key"], json!("k1"));
    assert_eq!(messages[1]["properties"], json!({"a": "b", "c": "d"}));
    assert_eq!(messages[1]["payload"], json!("two"));
    assert_eq!(messages[1].get("schemaVersion"), None);
    assert_eq!(server.json("admin topics subscriptions keyed"), json!([]), "a reader stayed");

    let id = messages[0]["messageId"].as_str().unwrap();
    let entry: Vec<&str> = id.split(':').take(2).collect();
    server.prints("client produce keyed -m three");
    let behind = server.prints(&format!("client read keyed -m {} -n 1 --json", entry.join(":")));
    assert!(behind.contains(r#""payload":"three""#), "{behind}");
    let at = server.prints(&format!("client read keyed -m {} -i -n 1 --json", entry.join(":")));
    assert!(at.contains(r#""payload":"one""#), "{at}");

    let consumed = server.prints("client consume keyed -s s -p Earliest -t Key_Shared -n 3 --json");
    assert_eq!(consumed.lines().count(), 3, "{consumed}");
    let text = server.prints("client read keyed -m earliest -n 1");
    assert!(text.contains("key:[k1], properties:[a=b, c=d], content:one"), "{text}");
    assert!(text.ends_with("1 messages successfully read\n"), "{text}");
}
