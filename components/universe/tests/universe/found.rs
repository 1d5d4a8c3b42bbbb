//! Reading, searching and describing.

use serde_json::Value;
use universe::resource::Origin;
use universe::{Packaging, describe};

use crate::{collection, document};

fn origin() -> Origin {
    Origin { scheme: "http".to_owned(), host: "cosmos".to_owned(), prefix: String::new() }
}

#[test]
fn every_revision_is_read_as_it_was_written() {
    let Some(collection) = collection() else { return };
    let packages = &collection.sources()[0].repository.packages;
    assert_eq!(packages.len(), 1201);
    let count = |packaging| packages.iter().filter(|p| p.packaging() == packaging).count();
    let counts = [Packaging::V2, Packaging::V3, Packaging::V4, Packaging::V5].map(count);
    assert_eq!(counts, [137, 551, 483, 30]);
    let document: Value = serde_json::from_slice(&document().unwrap()).unwrap();
    for (package, written) in packages.iter().zip(document["packages"].as_array().unwrap()) {
        // As text, so that the order of keys counts too.
        assert_eq!(Value::Object(package.definition()).to_string(), written.to_string());
    }
}

#[test]
fn every_revision_is_found_and_shown() {
    let Some(collection) = collection() else { return };
    let all = collection.search(None);
    assert_eq!(all.len(), 175);
    // Of a version that a package has twice the higher release stays.
    let revisions: usize = all.iter().map(|found| found.revisions.len()).sum();
    assert_eq!(revisions, 1149);
    for found in all {
        let shown = describe::found(&found, &origin());
        assert_eq!(shown["versions"].as_object().unwrap().len(), found.revisions.len());
        assert_eq!(shown["currentVersion"], found.revisions[0].package.version());
        for entry in found.revisions {
            let package = &entry.package;
            let by_version = collection.package(package.name(), Some(package.version())).unwrap();
            assert_eq!(by_version.package.release(), package.release());
            let newest = found.revisions[0].package.release();
            assert!(package.release() <= newest, "{}", package.name());
            let shown = describe::definition(package, &origin());
            assert_eq!(shown.get("name").unwrap(), package.name());
            let updates =
                !package.upgrades_from().is_empty() || !package.downgrades_to().is_empty();
            let newer = package.packaging() == Packaging::V5 || updates;
            assert_eq!(describe::version_2(package, &origin()).is_err(), newer);
            describe::installed(package, &origin());
        }
    }
}

#[test]
fn searches_find_what_they_should() {
    let Some(collection) = collection() else { return };
    let names = |query| -> Vec<String> {
        collection.search(Some(query)).iter().map(|found| found.current.name().to_owned()).collect()
    };
    assert_eq!(names("CASSandra"), ["cassandra", "beta-cassandra", "portworx-cassandra"]);
    assert!(names("marathon-lb").contains(&"marathon-lb".to_owned()));
    assert_eq!(names("cassandra*"), ["cassandra", "beta-cassandra", "portworx-cassandra"]);
    assert_eq!(names("*-zookeeper").first().map(String::as_str), Some("confluent-zookeeper"));
    assert_eq!(names("CASSandra*"), Vec::<String>::new());
    assert_eq!(names("no such thing"), Vec::<String>::new());
    // Selected packages come first, and each part is in order.
    let all = collection.search(None);
    let flags: Vec<bool> =
        all.iter().map(|found| found.current.selected().unwrap_or(false)).collect();
    assert!(flags.is_sorted_by(|a, b| a >= b));
}

#[test]
fn upgrades_lead_to_versions_that_exist() {
    let Some(collection) = collection() else { return };
    let mut upgradable = 0;
    for entry in collection.search(None).iter().flat_map(|found| found.revisions) {
        let package = &entry.package;
        let to = collection.upgrades_to(package.name(), package.version());
        upgradable += usize::from(!to.is_empty());
        for version in to.into_iter().chain(collection.downgrades_to(package)) {
            assert!(collection.package(package.name(), Some(version)).is_ok());
        }
    }
    assert!(upgradable > 100, "{upgradable}");
}

#[test]
fn urls_of_packages_are_known() {
    let Some(collection) = collection() else { return };
    let urls = collection.search(None).into_iter().flat_map(|found| found.current.urls());
    assert!(urls.clone().count() > 500);
    assert!(urls.clone().all(|url| collection.names_url(url)));
    assert!(!collection.names_url("http://169.254.169.254/latest/meta-data"));
}
