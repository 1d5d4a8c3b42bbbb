//! What offer operations do to resources: reserve, unreserve, create and destroy volumes.
use super::{ResourceError, Resources};

/// A part that is replaced by another of the same amount.
#[derive(Clone, Debug)]
pub struct Conversion {
    pub consumed: Resources,
    pub converted: Resources,
}

impl Resources {
    /// Replaces what the conversion consumes.
    pub fn convert(&self, conversion: &Conversion) -> Result<Resources, ResourceError> {
        let Conversion { consumed, converted } = conversion;
        match self.checked_sub(consumed) {
            Some(left) => Ok(&left + converted),
            None => Err(ResourceError::Operation(format!("{self} does not contain {consumed}"))),
        }
    }
}
