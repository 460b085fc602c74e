//! Generates the protocol's messages from `proto/pulsar.proto`, without a system `protoc`.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=proto/pulsar.proto");
    let descriptors =
        protox::compile(["proto/pulsar.proto"], ["proto"]).map_err(io::Error::other)?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)
}
