//! Rendering with default options.
//!
//! On the tree with all 1,235 revisions an independent renderer counted what is in `TREE`. The
//! document here is what a cluster of DC/OS 2.0 gets: the 34 revisions that ask for a later
//! release (2 for 2.1, 14 for 999, 18 for 9999) are not in it. `LATER` is what those come to:
//! percona-mongo/100 and /200 do not fit their schema, dcos-core-cli/21000 and dcos-ui/5 have
//! no template, the other 30 are fine.
//!
//! That leaves one revision: the count has 117 with defaults that do not fit, of which 2 are not
//! here, and this renderer finds 114. A third validator (jsonschema of Python, draft 4) finds
//! the same 114, revision by revision, so that it is the count that is one too high.

use std::collections::BTreeMap;

use serde_json::Value;
use universe::mustache::Template;
use universe::package::Definition;
use universe::{Object, Package, RenderError, label, marathon_app, options};

use crate::collection;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Fine,
    /// The defaults do not fit the schema, though the text would be an object.
    Mismatch,
    /// They fit, but the text is no JSON: defaults that hold quoted lists are escaped.
    NotJson,
    /// Neither: a number without a default prints nothing.
    Neither,
    NoTemplate,
}

use Outcome::{Fine, Mismatch, Neither, NoTemplate, NotJson};

const TREE: [(Outcome, usize); 5] =
    [(Fine, 1039), (Mismatch, 114), (NotJson, 8), (Neither, 3), (NoTemplate, 71)];
const LATER: [usize; 5] = [30, 2, 0, 0, 2];
/// The one that was counted too high.
const MISCOUNTED: [i32; 5] = [1, -1, 0, 0, 0];

/// Whether the text would be an object, had nobody looked at the schema.
fn becomes_an_object(package: &Package) -> bool {
    let definition = package.definition();
    let mut context = options::resolve(definition.config(), None);
    if let Some(resource) = definition.resource() {
        let mut above = Object::new();
        above.insert("resource".to_owned(), Value::Object(resource.clone()));
        options::merge(&mut context, &above);
    }
    let template = Template::parse(&definition.template().unwrap()).unwrap();
    serde_json::from_str::<Object>(&template.render(&context).unwrap()).is_ok()
}

fn outcome(package: &Package) -> Outcome {
    let app = marathon_app(package, "http://universe/repo", None, Some("/some/id"));
    match app {
        Ok(Some(app)) => {
            check(package, &app);
            Fine
        }
        Ok(None) => NoTemplate,
        Err(RenderError::NotJson { .. }) => NotJson,
        Err(RenderError::Schema(violations)) => {
            let placed = |violation: &Value| violation["instance"]["pointer"].is_string();
            assert!(!violations.is_empty() && violations.iter().all(placed), "{package:?}");
            if becomes_an_object(package) { Mismatch } else { Neither }
        }
        Err(error) => panic!("{}: {error}", named(package)),
    }
}

fn check(package: &Package, app: &Object) {
    assert_eq!(app["id"], "/some/id");
    let labels = app["labels"].as_object().unwrap();
    assert!(labels.values().all(Value::is_string));
    assert_eq!(labels[label::NAME], package.name());
    let stored = label::decode_definition(labels[label::DEFINITION].as_str().unwrap()).unwrap();
    assert_eq!(stored.definition(), package.definition());
    let options = label::decode_options(labels[label::OPTIONS].as_str().unwrap()).unwrap();
    assert_eq!(options, Some(Object::new()));
}

fn named(package: &Package) -> String {
    format!("{}/{}", package.name(), package.release())
}

#[test]
fn outcomes_are_those_that_were_counted() {
    let Some(collection) = collection() else { return };
    let mut by: BTreeMap<Outcome, Vec<String>> = BTreeMap::new();
    for package in &collection.sources()[0].repository.packages {
        by.entry(outcome(package)).or_default().push(named(package));
    }
    let sorted = |outcome| {
        let mut names = by[&outcome].clone();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    };
    let mut lists = vec!["namerd/4".to_owned()];
    lists.extend((4..=10).map(|release| format!("linkerd/{release}")));
    lists.sort_by_key(|name| (name.len(), name.clone()));
    assert_eq!(sorted(NotJson), lists);
    assert_eq!(sorted(Neither), ["minio/5", "weavescope-probe/0", "weavescope-probe/1"]);
    for (((outcome, tree), later), miscounted) in TREE.into_iter().zip(LATER).zip(MISCOUNTED) {
        let expected = (tree - later).checked_add_signed(miscounted as isize).unwrap();
        assert_eq!(by[&outcome].len(), expected, "{outcome:?}");
    }
}
