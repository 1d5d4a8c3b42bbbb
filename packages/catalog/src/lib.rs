//! The packages that come with Dais, embedded as the default repository.
//!
//! It is not: code; the packages are the folders beside this crate's manifest, put together by
//! `build.rs` at build time.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

/// What the repository is called, unless somebody calls it otherwise.
pub const NAME: &str = "Dais";
/// How the repository is told from others.
pub const URI: &str = "file:catalog";

/// The repository document: `{"packages": [...]}`, in version 4.
pub fn repository() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/repository.json"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::repository;
    use serde_json::Value;
    use universe::{Limits, Packaging, Repository, marathon_app};

    fn parsed() -> Repository {
        Repository::parse(Arc::from(repository()), &Limits::default()).unwrap()
    }

    #[test]
    fn every_package_is_valid() {
        let repository = parsed();
        let faults: Vec<String> = repository.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, Vec::<String>::new());
        assert!(repository.packages.iter().any(|package| package.name() == "hello-world"));
    }

    #[test]
    fn every_package_renders_with_its_defaults() {
        for package in parsed().packages {
            let app = marathon_app(&package, super::URI, None, None);
            let app = app.unwrap_or_else(|error| panic!("{}: {error}", package.name())).unwrap();
            assert!(app.get("id").is_some_and(Value::is_string), "{}", package.name());
            assert!(app.get("healthChecks").is_some_and(Value::is_array), "{}", package.name());
        }
    }

    #[test]
    fn every_package_works_offline_and_explains_itself() {
        for package in parsed().packages {
            let name = package.name();
            assert!(package.packaging() <= Packaging::V4, "{name}");
            let remote: Vec<&String> =
                package.urls().iter().filter(|url| !url.starts_with("data:")).collect();
            assert!(remote.is_empty(), "{name}: {remote:?}");
            let icons = package.images().unwrap_or(&Value::Null);
            for icon in ["icon-small", "icon-medium", "icon-large"] {
                assert!(icons.get(icon).is_some(), "{name}: {icon}");
            }
            let definition = package.definition();
            for note in ["preInstallNotes", "postInstallNotes", "postUninstallNotes"] {
                assert!(definition.get(note).is_some(), "{name}: {note}");
            }
        }
    }
}
