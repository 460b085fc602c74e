//! PROTOBUF_NATIVE: a JSON text with the descriptors of a message's file and of all it imports, and the
//! message's name.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type,
};
use serde::Deserialize;

use crate::limits;

/// Bytes of the full names of all types of a definition, as they are met.
const NAMED_BYTES_MAX: usize = limits::DEFINITION_BYTES_MAX * 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Native {
    file_descriptor_set: String,
    root_message_type_name: String,
    root_file_descriptor_name: String,
}

/// The full name of the message that a definition is about.
///
/// # Errors
///
/// If it has no such message, or lacks something that it needs.
pub(crate) fn root_message(definition: &[u8]) -> Result<String, String> {
    let native: Native = serde_json::from_slice(definition).map_err(|error| error.to_string())?;
    let set = STANDARD
        .decode(&native.file_descriptor_set)
        .map_err(|error| format!("its descriptors are no base64: {error}"))?;
    let set = FileDescriptorSet::decode(set.as_slice())
        .map_err(|error| format!("its descriptors can't be read: {error}"))?;
    check_imports(&set)?;
    check_references(&set)?;
    let root = &native.root_file_descriptor_name;
    let file = set.file.iter().find(|file| file.name() == root);
    let file = file.ok_or_else(|| format!("it has no file {root:?}"))?;
    let wanted = &native.root_message_type_name;
    let known = messages(file, &mut 0)?;
    if known.contains(wanted.as_str()) {
        Ok(wanted.clone())
    } else {
        Err(format!("file {root:?} has no message {wanted:?}"))
    }
}

fn check_imports(set: &FileDescriptorSet) -> Result<(), String> {
    let known: BTreeSet<&str> = set.file.iter().map(FileDescriptorProto::name).collect();
    for file in &set.file {
        if let Some(missing) = file.dependency.iter().find(|name| !known.contains(name.as_str())) {
            return Err(format!("file {:?} imports {missing:?}, which it lacks", file.name()));
        }
    }
    Ok(())
}

/// Whether every message and enum that a field names with all its packages is there.
fn check_references(set: &FileDescriptorSet) -> Result<(), String> {
    let (mut known, mut named_bytes) = (BTreeSet::new(), 0);
    for file in &set.file {
        known.extend(messages(file, &mut named_bytes)?);
        known.extend(enums(file, &mut named_bytes)?);
    }
    for file in &set.file {
        let mut waiting: Vec<&DescriptorProto> = file.message_type.iter().collect();
        while let Some(message) = waiting.pop() {
            for field in &message.field {
                let refers = matches!(field.r#type(), Type::Message | Type::Group | Type::Enum);
                let name = field.type_name().strip_prefix('.').filter(|_| refers);
                if let Some(name) = name.filter(|name| !known.contains(*name)) {
                    return Err(format!(
                        "field {:?} of message {:?} is a {name:?}, which it lacks",
                        field.name(),
                        message.name()
                    ));
                }
            }
            waiting.extend(&message.nested_type);
        }
    }
    Ok(())
}

/// Full names of all messages of a file, nested ones too.
fn messages(
    file: &FileDescriptorProto,
    named_bytes: &mut usize,
) -> Result<BTreeSet<String>, String> {
    Ok(nested(file, named_bytes)?.into_iter().map(|(name, _)| name).collect())
}

/// Full names of all enums of a file, nested ones too.
fn enums(file: &FileDescriptorProto, named_bytes: &mut usize) -> Result<BTreeSet<String>, String> {
    let nested = nested(file, named_bytes)?;
    let of_file = file.enum_type.iter().map(|found| (file.package(), found));
    let of_messages = nested.iter().flat_map(|(name, message)| {
        message.enum_type.iter().map(move |found| (name.as_str(), found))
    });
    let mut names = BTreeSet::new();
    for (outer, found) in of_file.chain(of_messages) {
        count_name(outer, found.name(), named_bytes)?;
        names.insert(within(outer, found.name()));
    }
    Ok(names)
}

fn nested<'file>(
    file: &'file FileDescriptorProto,
    named_bytes: &mut usize,
) -> Result<Vec<(String, &'file DescriptorProto)>, String> {
    let mut waiting: Vec<(String, &DescriptorProto)> = Vec::new();
    name_all(file.package(), &file.message_type, &mut waiting, named_bytes)?;
    let mut found = Vec::new();
    while let Some((name, message)) = waiting.pop() {
        name_all(&name, &message.nested_type, &mut waiting, named_bytes)?;
        found.push((name, message));
    }
    Ok(found)
}

/// Names messages that are in another one, or in a package. Names grow with the nesting, and their sum
/// with its square: that has a limit.
fn name_all<'file>(
    outer: &str,
    messages: &'file [DescriptorProto],
    named: &mut Vec<(String, &'file DescriptorProto)>,
    named_bytes: &mut usize,
) -> Result<(), String> {
    for message in messages {
        count_name(outer, message.name(), named_bytes)?;
        named.push((within(outer, message.name()), message));
    }
    Ok(())
}

fn count_name(outer: &str, name: &str, named_bytes: &mut usize) -> Result<(), String> {
    *named_bytes += outer.len() + name.len() + 1;
    if NAMED_BYTES_MAX < *named_bytes {
        return Err(format!("the full names of its types take more than {NAMED_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn within(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") }
}
