//! Several repositories seen as one: the first that has a name and version wins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::search::Query;
use crate::{Package, Repository};

/// One repository of a collection.
#[derive(Clone, Debug)]
pub struct Source {
    pub uri: String,
    pub repository: Arc<Repository>,
}

/// A package and where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    pub package: Arc<Package>,
    /// The place of its repository, 0 being the highest priority.
    pub source: usize,
}

/// What a search finds: all revisions of one name.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The current revision first.
    pub revisions: &'a [Entry],
    /// The current revision: what is shown, and what an install without version takes.
    pub current: &'a Arc<Package>,
}

/// Why there is no such package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("Package [{name}] not found")]
    PackageNotFound { name: String },
    #[error("Version [{version}] of package [{name}] not found")]
    VersionNotFound { name: String, version: String },
}

/// All packages of several repositories.
#[derive(Debug, Default)]
pub struct Collection {
    sources: Vec<Source>,
    /// By name, then priority, then falling release.
    entries: Vec<Entry>,
    names: BTreeMap<String, Range<usize>>,
    urls: OnceLock<HashSet<String>>,
}

// === impl Collection ===

impl Collection {
    /// Merges repositories, the one of highest priority first.
    pub fn new(sources: Vec<Source>) -> Collection {
        let mut entries: Vec<Entry> = Vec::new();
        for (source, from) in sources.iter().enumerate() {
            let packages = from.repository.packages.iter().cloned();
            entries.extend(packages.map(|package| Entry { package, source }));
        }
        entries.sort_by(|a, b| {
            let key = |e: &Entry| (e.source, Reverse(e.package.release()));
            a.package.name().cmp(b.package.name()).then_with(|| key(a).cmp(&key(b)))
        });
        let mut seen = HashSet::new();
        entries.retain(|entry| {
            let package = &entry.package;
            seen.insert((package.name().to_owned(), package.version().to_owned()))
        });
        let mut names: BTreeMap<String, Range<usize>> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            match names.get_mut(entry.package.name()) {
                Some(range) => range.end = at + 1,
                None => drop(names.insert(entry.package.name().to_owned(), at..at + 1)),
            }
        }
        Collection { sources, entries, names, urls: OnceLock::new() }
    }

    /// The repositories, by priority.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Where a package came from.
    pub fn uri(&self, entry: &Entry) -> &str {
        self.sources.get(entry.source).map_or("", |source| &source.uri)
    }

    /// Every revision of `name`: by priority of its repository, then by falling release.
    pub fn revisions(&self, name: &str) -> Result<&[Entry], LookupError> {
        self.names
            .get(name)
            .and_then(|range| self.entries.get(range.clone()))
            .ok_or_else(|| LookupError::PackageNotFound { name: name.to_owned() })
    }

    /// The revision of `name` with that version; without version the current one.
    pub fn package(&self, name: &str, version: Option<&str>) -> Result<&Entry, LookupError> {
        let revisions = self.revisions(name)?;
        let Some(version) = version else {
            let none = || LookupError::PackageNotFound { name: name.to_owned() };
            return revisions.first().ok_or_else(none);
        };
        revisions.iter().find(|entry| entry.package.version() == version).ok_or_else(|| {
            LookupError::VersionNotFound { name: name.to_owned(), version: version.to_owned() }
        })
    }

    /// The packages that fit `query`, selected ones first, then by name. With a `*` in it a
    /// query fits a whole name, description or tag; otherwise any part of one, in any case.
    pub fn search(&self, query: Option<&str>) -> Vec<Found<'_>> {
        let query = query.map(Query::new);
        let all = self.names.values().filter_map(|range| {
            let revisions = self.entries.get(range.clone())?;
            Some(Found { revisions, current: &revisions.first()?.package })
        });
        let mut found: Vec<Found<'_>> = all
            .filter(|found| query.as_ref().is_none_or(|query| query.fits(found.current)))
            .collect();
        found.sort_by_key(|found| !found.current.selected().unwrap_or(false));
        found
    }

    /// The versions that `version` of `name` can be replaced by.
    pub fn upgrades_to(&self, name: &str, version: &str) -> Vec<&str> {
        let fits = |entry: &&Entry| admits(entry.package.upgrades_from(), version);
        let revisions = self.revisions(name).unwrap_or_default();
        revisions.iter().filter(fits).map(|entry| entry.package.version()).collect()
    }

    /// The versions that `package` can go back to.
    pub fn downgrades_to(&self, package: &Package) -> Vec<&str> {
        let versions = package.downgrades_to();
        let revisions = self.revisions(package.name()).unwrap_or_default();
        let all = revisions.iter().map(|entry| entry.package.version());
        all.filter(|version| admits(versions, version)).collect()
    }

    /// Whether some package of some repository names this URL.
    pub fn names_url(&self, url: &str) -> bool {
        let urls = self.urls.get_or_init(|| {
            let packages = self.sources.iter().flat_map(|source| &source.repository.packages);
            packages.flat_map(|package| package.urls().iter().cloned()).collect()
        });
        urls.contains(url)
    }
}

fn admits(versions: &[String], version: &str) -> bool {
    versions.iter().any(|admitted| admitted == "*" || admitted == version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn package(name: &str, version: &str, release: u64, more: &Value) -> Arc<Package> {
        let mut value = json!({
            "packagingVersion": "4.0", "name": name, "version": version, "releaseVersion": release,
            "maintainer": "m", "description": format!("The {name} thing"), "tags": ["Web"],
        });
        let object = value.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        Arc::new(Package::from_slice(value.to_string().as_bytes()).unwrap())
    }

    fn collection(repositories: Vec<Vec<Arc<Package>>>) -> Collection {
        let source = |(at, packages)| Source {
            uri: format!("r{at}"),
            repository: Arc::new(Repository { packages, faults: Vec::new() }),
        };
        Collection::new(repositories.into_iter().enumerate().map(source).collect())
    }

    fn versions(collection: &Collection, name: &str) -> Vec<String> {
        let show = |entry: &Entry| format!("{}@{}", entry.package.version(), collection.uri(entry));
        collection.revisions(name).unwrap().iter().map(show).collect()
    }

    #[test]
    fn the_first_repository_wins_and_releases_fall() {
        let none = json!({});
        let all = collection(vec![
            vec![package("a", "1", 0, &none), package("a", "2", 4, &none)],
            vec![
                package("a", "2", 9, &none),
                package("a", "3", 10, &none),
                package("b", "1", 0, &none),
            ],
        ]);
        assert_eq!(versions(&all, "a"), ["2@r0", "1@r0", "3@r1"]);
        assert_eq!(all.package("a", None).unwrap().package.version(), "2");
        assert_eq!(all.package("a", Some("3")).unwrap().source, 1);
        assert_eq!(
            all.package("a", Some("4")).unwrap_err().to_string(),
            "Version [4] of package [a] not found"
        );
        assert_eq!(all.package("c", Some("4")).unwrap_err().to_string(), "Package [c] not found");
    }

    #[test]
    fn of_one_version_twice_the_higher_release_stays() {
        let none = json!({});
        let all = collection(vec![vec![package("a", "1", 0, &none), package("a", "1", 3, &none)]]);
        assert_eq!(all.revisions("a").unwrap().len(), 1);
        assert_eq!(all.package("a", None).unwrap().package.release(), 3);
    }

    #[test]
    fn search_orders_and_filters() {
        let (none, selected) = (json!({}), json!({"selected": true, "tags": ["Database"]}));
        let all = collection(vec![vec![
            package("zeta", "1", 0, &selected),
            package("alpha", "1", 0, &none),
            package("beta", "1", 0, &none),
        ]]);
        let names = |query: Option<&str>| -> Vec<String> {
            all.search(query).iter().map(|found| found.current.name().to_owned()).collect()
        };
        assert_eq!(names(None), ["zeta", "alpha", "beta"]);
        assert_eq!(names(Some("ETA")), ["zeta", "beta"]);
        assert_eq!(names(Some("dataBASE")), ["zeta"]);
        assert_eq!(names(Some("*eta")), ["zeta", "beta"]);
        assert_eq!(names(Some("*ETA")), Vec::<String>::new());
        assert_eq!(names(Some("b*a")), ["beta"]);
        assert_eq!(names(Some("The*thing")), ["zeta", "alpha", "beta"]);
        assert_eq!(names(Some("The*thin")), Vec::<String>::new());
        assert_eq!(names(Some("Data*")), ["zeta"]);
    }

    #[test]
    fn upgrades_and_downgrades() {
        let all = collection(vec![vec![
            package("a", "3", 3, &json!({"upgradesFrom": ["2"], "downgradesTo": ["*"]})),
            package("a", "2", 2, &json!({"upgradesFrom": ["*"], "downgradesTo": ["1"]})),
            package("a", "1", 1, &json!({})),
        ]]);
        assert_eq!(all.upgrades_to("a", "2"), ["3", "2"]);
        assert_eq!(all.upgrades_to("a", "1"), ["2"]);
        let package = |version| &all.package("a", Some(version)).unwrap().package;
        assert_eq!(all.downgrades_to(package("3")), ["3", "2", "1"]);
        assert_eq!(all.downgrades_to(package("2")), ["1"]);
        assert!(all.downgrades_to(package("1")).is_empty());
    }

    #[test]
    fn only_urls_of_packages_are_known() {
        let resource = json!({"resource": {"images": {"icon-small": "http://i/s"}}});
        let all = collection(vec![vec![package("a", "1", 0, &resource)]]);
        assert!(all.names_url("http://i/s"));
        assert!(!all.names_url("http://i/other"));
    }
}
