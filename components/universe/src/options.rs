//! Options of a package: what its schema gives by default, and what a user sets.

use serde_json::Value;

use crate::Object;

/// The defaults in a schema: of each property its `default`, else those of the properties
/// below it. References and items are not followed, as in the original.
pub fn defaults(schema: &Object) -> Object {
    let mut found = Object::new();
    for (name, property) in
        schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let Some(property) = property.as_object() else { continue };
        if let Some(default) = property.get("default") {
            found.insert(name.clone(), default.clone());
        } else {
            let below = defaults(property);
            if !below.is_empty() {
                found.insert(name.clone(), Value::Object(below));
            }
        }
    }
    found
}

/// Lays `above` over `below`: objects merge, everything else replaces.
pub fn merge(below: &mut Object, above: &Object) {
    for (name, value) in above {
        match (below.get_mut(name), value) {
            (Some(Value::Object(known)), Value::Object(new)) => merge(known, new),
            (Some(known), new) => *known = new.clone(),
            (None, new) => drop(below.insert(name.clone(), new.clone())),
        }
    }
}

/// What holds for a package: the defaults of its schema, and over them what the user sets.
pub fn resolve(schema: Option<&Object>, user: Option<&Object>) -> Object {
    let mut resolved = schema.map(defaults).unwrap_or_default();
    if let Some(user) = user {
        merge(&mut resolved, user);
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn defaults_come_from_properties_alone() {
        let schema = object(json!({"properties": {
            "a": {"type": "object", "properties": {
                "x": {"default": 1}, "y": {"type": "string"}, "z": {"default": null}}},
            "whole": {"default": {"k": []}, "properties": {"k": {"default": 2}}},
            "none": {"properties": {"x": {}}},
            "ref": {"$ref": "#/definitions/d"},
            "list": {"items": {"default": 1}},
            "odd": 5,
        }}));
        let expected = json!({"a": {"x": 1, "z": null}, "whole": {"k": []}});
        assert_eq!(Value::Object(defaults(&schema)), expected);
        assert!(defaults(&object(json!({"properties": []}))).is_empty());
    }

    #[test]
    fn objects_merge_and_the_rest_replaces() {
        let mut below = object(json!({"a": {"x": 1, "y": [1, 2]}, "b": {"c": 1}, "d": 1}));
        merge(&mut below, &object(json!({"a": {"y": [3]}, "b": null, "e": {"f": 2}})));
        assert_eq!(
            Value::Object(below).to_string(),
            r#"{"a":{"x":1,"y":[3]},"b":null,"d":1,"e":{"f":2}}"#
        );
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<u8>().prop_map(|n| json!(n)), Just(Value::Null)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map))
        })
    }

    proptest! {
        #[test]
        fn merging_again_changes_nothing(a in tree(), b in tree()) {
            let (Value::Object(a), Value::Object(b)) = (a, b) else { return Ok(()) };
            let mut once = a.clone();
            merge(&mut once, &b);
            let mut twice = once.clone();
            merge(&mut twice, &b);
            prop_assert_eq!(&once, &twice);
            for (key, value) in &b {
                if !value.is_object() {
                    prop_assert_eq!(&once[key], value);
                }
            }
        }
    }
}
