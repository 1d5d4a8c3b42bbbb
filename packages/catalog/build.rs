//! Puts the packages in the folders beside this file together as one repository document.
//!
//! A package is `<name>/<release>/` with `package.json`, and `config.json`, `resource.json` and
//! `marathon.json.mustache` where it has them. Whether each is valid is checked by the crate's
//! tests, which can say more than a failed build.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());
    let mut packages = Vec::new();
    for (name, folder) in folders(&root)? {
        for (release, folder) in folders(&folder)? {
            let Ok(release) = release.parse::<u64>() else { continue };
            let package =
                package(&folder, release).map_err(|error| format!("{name}/{release}: {error}"))?;
            if package.get("name").and_then(Value::as_str) != Some(&name) {
                return Err(format!("{name}/{release}: package.json gives another name").into());
            }
            packages.push(Value::Object(package));
        }
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("repository.json");
    fs::write(out, json!({ "packages": packages }).to_string())?;
    Ok(())
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let (true, Ok(name)) = (entry.file_type()?.is_dir(), entry.file_name().into_string()) {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn package(folder: &Path, release: u64) -> Result<Map<String, Value>> {
    let mut package = object(folder, "package.json")?.ok_or("package.json is missing")?;
    package.insert("releaseVersion".to_owned(), release.into());
    for (field, file) in [("config", "config.json"), ("resource", "resource.json")] {
        if let Some(part) = object(folder, file)? {
            package.insert(field.to_owned(), Value::Object(part));
        }
    }
    if let Some(template) = read(&folder.join("marathon.json.mustache"))? {
        let template = json!({ "v2AppMustacheTemplate": STANDARD.encode(template) });
        package.insert("marathon".to_owned(), template);
    }
    Ok(package)
}

fn object(folder: &Path, file: &str) -> Result<Option<Map<String, Value>>> {
    let Some(text) = read(&folder.join(file))? else { return Ok(None) };
    let parsed = serde_json::from_slice(&text).map_err(|error| format!("{file}: {error}"))?;
    Ok(Some(parsed))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}
