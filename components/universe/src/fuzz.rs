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
    let printed = accept.to_string();
    assert!(Accept::parse(&printed).is_ok() || printed.contains(['"', '\\']), "{printed}");
}
