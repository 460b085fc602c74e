//! `--schema-type` and `--schema-file`: what messages are written in.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use geminga_client::{Schema, SchemaType};

use crate::exit::Usage;

#[derive(Clone, Debug, Default, Args)]
pub(super) struct SchemaOptions {
    /// What messages are written in.
    #[arg(long, value_name = "TYPE", value_enum, ignore_case = true)]
    schema_type: Option<Type>,
    /// A file with the definition of an Avro or JSON schema.
    #[arg(long, value_name = "FILE", requires = "schema_type")]
    schema_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Type {
    /// Any bytes: no schema.
    Bytes,
    String,
    Json,
    Avro,
    /// Whatever the topic has; to receive only.
    AutoConsume,
}

impl SchemaOptions {
    /// The schema; none for bytes.
    pub(super) fn schema(&self) -> anyhow::Result<Option<Schema>> {
        let kind = match self.schema_type {
            None | Some(Type::Bytes) => return Ok(None),
            Some(kind) => kind,
        };
        let needs_file = matches!(kind, Type::Json | Type::Avro);
        let definition = match &self.schema_file {
            Some(path) if needs_file => {
                let name = path.display();
                let read = std::fs::read(path)
                    .with_context(|| format!("file {name} could not be read"))?;
                serde_json::from_slice::<serde_json::Value>(&read)
                    .with_context(|| format!("{name} is no definition of a schema"))?;
                read
            }
            None if needs_file => {
                return Err(usage("--schema-type avro and json need --schema-file"));
            }
            Some(_) => return Err(usage("--schema-file is for --schema-type avro and json")),
            None => Vec::new(),
        };
        let wire = match kind {
            Type::Json => SchemaType::Json,
            Type::Avro => SchemaType::Avro,
            Type::AutoConsume => SchemaType::AutoConsume,
            Type::Bytes | Type::String => SchemaType::String,
        };
        let name = kind.to_possible_value().map_or_else(String::new, |it| it.get_name().into());
        let schema_data = definition.into();
        Ok(Some(Schema { name, schema_data, r#type: wire.into(), properties: Vec::new() }))
    }

    /// The same for a producer, whose messages must be what it says.
    pub(super) fn schema_to_write(&self) -> anyhow::Result<Option<Schema>> {
        if self.schema_type == Some(Type::AutoConsume) {
            return Err(usage("--schema-type auto_consume is to receive only"));
        }
        self.schema()
    }

    /// Whether a message can be what the schema says, as far as that is seen without its definition.
    /// `is_text` says that it was typed, not read from a file.
    pub(super) fn check(&self, message: &[u8], is_text: bool) -> anyhow::Result<()> {
        match self.schema_type {
            Some(Type::Json) => {
                serde_json::from_slice::<serde_json::Value>(message).map_err(|error| {
                    let text = String::from_utf8_lossy(message);
                    usage(&format!("the message {text:?} is not JSON: {error}"))
                })?;
            }
            Some(Type::Avro) if is_text => {
                return Err(usage("messages in Avro are binary: give them as files with -f"));
            }
            Some(Type::String) => {
                std::str::from_utf8(message)
                    .map_err(|error| usage(&format!("a message is not text: {error}")))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn usage(text: &str) -> anyhow::Error {
    Usage(text.to_owned()).into()
}
