//! Generates the value messages from `proto/`, without a system `protoc`.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = ["proto/managed_ledger.proto", "proto/ledger.proto"];
    let descriptors = protox::compile(files, ["proto"]).map_err(io::Error::other)?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)
}
