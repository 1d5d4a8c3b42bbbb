//! Which certificate answers which name.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use smallvec::SmallVec;

use super::material::Material;

/// Usually one; two where a name has an ECDSA and an RSA certificate.
type Keys = SmallVec<[Arc<CertifiedKey>; 1]>;

/// Names, lower case, to keys. Wildcards stand under what follows their `*.`.
#[derive(Default)]
pub(super) struct Table {
    exact: FxHashMap<String, Keys>,
    wildcard: FxHashMap<String, Keys>,
    default: Keys,
}

// === impl Table ===

impl Table {
    pub(super) fn add(&mut self, material: Material) {
        let key = material.key;
        for name in material.names {
            let name = name.to_ascii_lowercase();
            let keys = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.to_string()).or_default(),
                None => self.exact.entry(name).or_default(),
            };
            keys.push(Arc::clone(&key));
        }
        self.default.push(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.default.is_empty()
    }

    pub(super) fn names(&self) -> Vec<String> {
        let wildcards = self.wildcard.keys().map(|parent| format!("*.{parent}"));
        let mut names: Vec<String> = self.exact.keys().cloned().chain(wildcards).collect();
        names.sort();
        names
    }

    /// The exact name, else the wildcard one label above, else the default; of several keys the
    /// first that the client can check.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let fits = |keys: &Keys| {
            let usable = keys.iter().find(|key| key.key.choose_scheme(schemes).is_some());
            usable.map(Arc::clone)
        };
        let named = name.and_then(|name| self.named(name)).and_then(fits);
        named.or_else(|| fits(&self.default))
    }

    fn named(&self, name: &str) -> Option<&Keys> {
        let lower;
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => {
                lower = name.to_ascii_lowercase();
                lower.as_str()
            }
            false => name,
        };
        self.exact.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        })
    }
}
