//! Entry points for fuzzing: one function for each kind of foreign bytes this crate reads.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::mustache::Template;
use crate::{Accept, Collection, Limits, Repository, Source, marathon_app};

/// Templates, rendered with values of every kind.
pub fn mustache(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(template) = Template::parse(text) else { return };
    let values = json!({
        "a": {"b": "text", "c": [1, 2.5, null]}, "l": [{"b": true}, "x", []], "t": "{{a.b}}", "n": null,
    });
    let Value::Object(values) = values else { return };
    let once = template.render(&values);
    assert_eq!(once, template.render(&values));
    if !text.contains("{{") && !text.contains('\r') {
        assert_eq!(once.as_deref(), Ok(text));
    }
}

/// Repository documents: what is read can be found, shown and rendered.
pub fn repository(data: &[u8]) {
    let limits = Limits { document: 1 << 20, package: 1 << 18, packages: 1000 };
    let Ok(repository) = Repository::parse(Arc::from(data), &limits) else { return };
    let repository = Arc::new(repository);
    let collection =
        Collection::new(vec![Source { uri: "r".to_owned(), repository: Arc::clone(&repository) }]);
    for package in &repository.packages {
        let found = collection.package(package.name(), Some(package.version()));
        assert!(found.is_ok(), "{package:?}");
        let _ = marathon_app(package, "r", None, None);
    }
    assert!(collection.search(None).len() <= repository.packages.len());
}

/// `Accept` headers.
pub fn accept(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(accept) = Accept::parse(text) else { return };
    // A value in quotes may hold what means something without them.
    if !text.contains('"') {
        assert_eq!(Accept::parse(&accept.to_string()).as_ref(), Ok(&accept), "{accept}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const TEMPLATE: &[u8] = include_bytes!("../../../fuzz/seeds/mustache/sections");
    const DOCUMENT: &[u8] = include_bytes!("../../../fuzz/seeds/universe_repository/one");
    const TYPES: &[u8] = include_bytes!("../../../fuzz/seeds/universe_accept/two");

    #[test]
    fn the_seeds_are_good() {
        let template = std::str::from_utf8(TEMPLATE).unwrap();
        crate::mustache::Template::parse(template).unwrap();
        let document = std::sync::Arc::from(DOCUMENT);
        let repository = crate::Repository::parse(document, &crate::Limits::default()).unwrap();
        assert!(crate::marathon_app(&repository.packages[0], "r", None, None).unwrap().is_some());
        crate::Accept::parse(std::str::from_utf8(TYPES).unwrap()).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// A few bytes of a good input are others, or gone.
        #[test]
        fn spoiled_inputs(
            seed in proptest::sample::select(&[TEMPLATE, DOCUMENT, TYPES][..]),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), 0x1fu8..0x7f), 0..5),
        ) {
            let mut data = seed.to_vec();
            for (at, byte) in changes {
                let at = at.index(data.len());
                match byte {
                    0x1f => data.truncate(at.max(1)),
                    byte => data[at] = byte,
                }
            }
            super::mustache(&data);
            super::repository(&data);
            super::accept(&data);
        }
    }
}
