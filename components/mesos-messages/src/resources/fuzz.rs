//! Entry points for fuzzing: foreign bytes as resources must neither panic nor break the algebra.
use super::{Resources, Scalar};

/// Reads text or JSON; what was read must survive the wire and keep the algebra.
pub fn resource_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(resources) = Resources::parse(text, "*") else { return };
    check(&resources);
}

/// Reads a list of wire resources, as bytes of a message that holds them.
pub fn resource_proto(data: &[u8]) {
    use prost::Message;
    let Ok(limitation) = crate::v1::TaskResourceLimitation::decode(data) else { return };
    let Ok(resources) = Resources::from_proto(&limitation.resources) else { return };
    check(&resources);
}

fn check(resources: &Resources) {
    assert!(resources.contains(resources));
    assert!(resources.checked_sub(&resources.clone()).is_some_and(|left| left.is_empty()));
    let allocated = resources.allocated("role");
    assert!(allocated.unallocated() == resources.unallocated());
    let wire = Resources::from_proto(&resources.to_proto());
    assert!(wire.is_ok_and(|wire| resources.contains(&wire)));
    let amounts = resources.quantities();
    assert!(amounts.iter().all(|(_, amount)| amount > Scalar::ZERO));
    drop(resources.summary());
    drop(resources.to_string());
}
