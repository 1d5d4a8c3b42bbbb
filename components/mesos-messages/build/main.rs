//! Compiles `proto/` with a protobuf compiler written in Rust, so that a build needs no tool but cargo,
//! and writes the JSON and completeness code beside the types.
mod json;
mod names;
mod required;

use names::Schema;
use prost_types::DescriptorProto;
use std::{env, fs, io, path::Path, path::PathBuf};

/// Large and seldom set: boxed, so that the messages around them stay small.
const BOXED: &[&str] = &[
    ".mesos.v1.ContainerInfo.docker",
    ".mesos.v1.ContainerInfo.linux_info",
    ".mesos.v1.ContainerStatus.cgroup_info",
    ".mesos.v1.ExecutorInfo.command",
    ".mesos.v1.ExecutorInfo.container",
    ".mesos.v1.ExecutorInfo.discovery",
    ".mesos.v1.Resource.disk",
    ".mesos.v1.Task.container",
    ".mesos.v1.Task.discovery",
    ".mesos.v1.Task.health_check",
    ".mesos.v1.TaskInfo.check",
    ".mesos.v1.TaskInfo.command",
    ".mesos.v1.TaskInfo.container",
    ".mesos.v1.TaskInfo.discovery",
    ".mesos.v1.TaskInfo.executor",
    ".mesos.v1.TaskInfo.health_check",
    ".mesos.v1.TaskStatus.check_status",
    ".mesos.v1.TaskStatus.container_status",
    ".mesos.v1.TaskStatus.limitation",
    ".mesos.v1.Volume.source",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let mut descriptors = protox::compile(&files, [root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let schema = Schema::new(&descriptors);
    fs::write(out.join("json.rs"), json::generate(&schema)?)?;
    fs::write(out.join("required.rs"), required::generate(&schema)?)?;

    // Deprecated fields still go over the wire, and handling them deserves no warning.
    descriptors.file.iter_mut().flat_map(|file| &mut file.message_type).for_each(undeprecate);
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.compile_well_known_types();
    config.btree_map(["."]);
    for field in BOXED {
        config.boxed(field);
    }
    config.include_file("messages.rs");
    config.out_dir(&out);
    config.compile_fds(descriptors)?;
    mend_scalar(&out.join("mesos.v1.rs"))?;
    Ok(())
}

/// Gives the scalar another default and leaves its equality to `src/wire.rs`, which says why.
fn mend_scalar(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const GENERATED: &str = "#[derive(Clone, Copy, PartialEq, ::prost::Message)]
    pub struct Scalar {
        #[prost(double, required, tag = \"1\")]";
    const MENDED: &str = "#[derive(Clone, Copy, ::prost::Message)]
    pub struct Scalar {
        #[prost(double, required, tag = \"1\", default = \"-0.0\")]";
    let code = fs::read_to_string(path)?;
    if code.matches(GENERATED).count() != 1 {
        return Err("Value.Scalar was generated otherwise than expected".into());
    }
    fs::write(path, code.replace(GENERATED, MENDED))?;
    Ok(())
}

fn undeprecate(message: &mut DescriptorProto) {
    for options in message.field.iter_mut().filter_map(|field| field.options.as_mut()) {
        options.deprecated = None;
    }
    message.nested_type.iter_mut().for_each(undeprecate);
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
