//! A repository document: `{"packages": [...]}`.

use std::ops::Range;
use std::sync::Arc;

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::package::{Package, PackageFault};

/// What a document may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a document, unpacked.
    pub document: usize,
    /// Bytes of one package's definition.
    pub package: usize,
    /// Packages of a document.
    pub packages: usize,
}

impl Default for Limits {
    /// 40 MB a document, as in the original.
    fn default() -> Limits {
        Limits { document: 40 * 1024 * 1024, package: 4 * 1024 * 1024, packages: 100_000 }
    }
}

/// Why a document is not a repository at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    #[error("the document has {size} bytes; the limit is {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("the document has more than {limit} packages")]
    TooMany { limit: usize },
    #[error("the document is not JSON: {reason} (byte {at})")]
    Syntax { at: usize, reason: String },
    #[error("the document is not a repository: {reason}")]
    Shape { reason: &'static str },
}

/// What a document holds: its packages, and what is wrong with those that are left out.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    pub packages: Vec<Arc<Package>>,
    pub faults: Vec<PackageFault>,
}

impl Repository {
    /// Reads a document. A package that is not valid takes only itself down; what it lacks
    /// stands in `faults`.
    pub fn parse(document: Arc<[u8]>, limits: &Limits) -> Result<Repository, RepositoryError> {
        if document.len() > limits.document {
            return Err(RepositoryError::TooLarge { size: document.len(), limit: limits.document });
        }
        let ranges = Outline { bytes: &document, at: 0, limits }.packages()?;
        let mut repository = Repository::default();
        for (index, range) in ranges.into_iter().enumerate() {
            if range.len() > limits.package {
                repository.faults.push(too_large(index, range.len(), limits.package));
                continue;
            }
            match Package::read(&document, range, index) {
                Ok(package) => repository.packages.push(Arc::new(package)),
                Err(fault) => repository.faults.push(fault),
            }
        }
        Ok(repository)
    }
}

fn too_large(index: usize, size: usize, limit: usize) -> PackageFault {
    PackageFault {
        index,
        package: None,
        release: None,
        field: String::new(),
        reason: format!("the definition has {size} bytes; the limit is {limit}"),
    }
}

/// Finds where each package begins and ends, without reading any: a definition as large or as
/// deep as the document must not be taken into memory before its size is known.
struct Outline<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
}

impl Outline<'_> {
    fn packages(mut self) -> Result<Vec<Range<usize>>, RepositoryError> {
        let mut packages = None;
        if !self.take(b'{') {
            return Err(RepositoryError::Shape { reason: "expected an object" });
        }
        if !self.take(b'}') {
            loop {
                let key = self.value::<String>()?;
                self.expect(b':')?;
                if key == "packages" {
                    packages = Some(self.list()?);
                } else {
                    self.value::<IgnoredAny>()?;
                }
                if self.take(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        if self.peek().is_some() {
            return Err(self.syntax("something follows the end of the document"));
        }
        packages.ok_or(RepositoryError::Shape { reason: "packages is missing" })
    }

    fn list(&mut self) -> Result<Vec<Range<usize>>, RepositoryError> {
        let mut ranges = Vec::new();
        if !self.take(b'[') {
            return Err(RepositoryError::Shape { reason: "packages is not a list" });
        }
        if self.take(b']') {
            return Ok(ranges);
        }
        loop {
            if ranges.len() == self.limits.packages {
                return Err(RepositoryError::TooMany { limit: self.limits.packages });
            }
            self.peek();
            let start = self.at;
            self.value::<IgnoredAny>()?;
            ranges.push(start..self.at);
            if self.take(b']') {
                return Ok(ranges);
            }
            self.expect(b',')?;
        }
    }

    fn value<T: DeserializeOwned>(&mut self) -> Result<T, RepositoryError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut items = serde_json::Deserializer::from_slice(rest).into_iter::<T>();
        match items.next() {
            Some(Ok(value)) => {
                self.at += items.byte_offset();
                Ok(value)
            }
            Some(Err(error)) if error.is_eof() => Err(self.syntax("the document ends early")),
            Some(Err(error)) => {
                let at = self.at + items.byte_offset();
                Err(RepositoryError::Syntax { at, reason: error.to_string() })
            }
            None => Err(self.syntax("the document ends early")),
        }
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), RepositoryError> {
        if self.take(wanted) {
            return Ok(());
        }
        let reason = match self.peek() {
            Some(_) => format!("expected '{}'", char::from(wanted)),
            None => "the document ends early".to_owned(),
        };
        Err(RepositoryError::Syntax { at: self.at, reason })
    }

    fn syntax(&self, reason: &str) -> RepositoryError {
        RepositoryError::Syntax { at: self.at, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn package(name: &str) -> Value {
        json!({
            "packagingVersion": "3.0", "name": name, "version": "1", "releaseVersion": 0,
            "maintainer": "m", "description": "d", "tags": [],
        })
    }

    fn parse(text: &str) -> Result<Repository, RepositoryError> {
        Repository::parse(Arc::from(text.as_bytes()), &Limits::default())
    }

    #[test]
    fn a_bad_package_takes_only_itself_down() {
        let bad = json!({"name": "bad", "releaseVersion": 7, "packagingVersion": "3.0"});
        let document =
            json!({"x": [1, {}], "packages": [package("a"), bad, 5, package("b")], "y": 1});
        let repository = parse(&format!(" {document:#}\n")).unwrap();
        let names: Vec<_> = repository.packages.iter().map(|p| p.name()).collect();
        assert_eq!(names, ["a", "b"]);
        let faults: Vec<_> = repository.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 2);
        assert!(
            faults[0].starts_with("package [bad] release 7: name")
                || faults[0].contains("is missing")
        );
        assert_eq!(faults[1], "package number 2: expected an object");
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for (text, expected) in [
            ("", "expected an object"),
            ("[]", "expected an object"),
            ("{}", "packages is missing"),
            (r#"{"packages": {}}"#, "not a list"),
            (r#"{"packages": []"#, "ends early"),
            (r#"{"packages": [{"name": "#, "ends early"),
            (r#"{"packages": [] x"#, "expected ','"),
            (r#"{"packages": []} x"#, "something follows"),
            (r#"{"packages": [{,}]}"#, "not JSON"),
            ("<html>", "expected an object"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { document: 1000, package: 300, packages: 2 };
        let text = |n| json!({"packages": vec![package("a"); n]}).to_string();
        let parse = |text: &str| Repository::parse(Arc::from(text.as_bytes()), &limits);
        assert_eq!(parse(&text(2)).unwrap().packages.len(), 2);
        assert_eq!(parse(&text(3)).unwrap_err(), RepositoryError::TooMany { limit: 2 });
        assert!(matches!(parse(&text(40)), Err(RepositoryError::TooLarge { .. })));
        let mut large = package("large");
        large["scm"] = json!("x".repeat(300));
        let found = parse(&json!({"packages": [large, package("b")]}).to_string()).unwrap();
        assert_eq!(found.packages.len(), 1);
        assert!(found.faults[0].reason.contains("the limit is 300"));
    }

    #[test]
    fn nesting_without_end_is_one_packages_fault() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#"{{"packages": [{deep}, {}]}}"#, package("a"));
        let found = parse(&text).unwrap();
        assert_eq!(found.packages.len(), 1);
        assert!(found.faults[0].reason.contains("recursion limit"), "{}", found.faults[0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Repository::parse(Arc::from(bytes), &Limits::default());
        }

        #[test]
        fn a_truncated_document_is_refused(cut in 0.0f64..1.0) {
            let text = json!({"packages": [package("a"), package("b")]}).to_string();
            let end = (text.len() as f64 * cut) as usize;
            prop_assert!(parse(&text[..end]).is_err());
        }
    }
}
