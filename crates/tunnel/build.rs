//! Generates the control calls from `proto/`, with a parser in Rust: nobody needs `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = protox::compile(["mk8s/agent/v1/agent.proto"], [&root])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(files)?;
    println!("cargo::rerun-if-changed={}", root.display());
    Ok(())
}
