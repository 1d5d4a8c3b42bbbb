//! Sums of scalars by name, for shares, limits and metrics.
use std::fmt;

use super::{Name, Resources, Scalar, Value};

/// Amounts by name, in the order of names; absent means zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(Vec<(Name, Scalar)>);

impl Quantities {
    pub(super) fn of_scalars(resources: &Resources) -> Quantities {
        let mut sums = Quantities::default();
        for item in resources {
            if let Value::Scalar(amount) = item.value {
                sums.add(&item.name, amount);
            }
        }
        sums
    }

    /// Reads the map of a message; amounts that are no amounts count as zero.
    pub fn from_map<'a>(
        map: impl IntoIterator<Item = (&'a String, &'a crate::v1::value::Scalar)>,
    ) -> Quantities {
        let mut sums = Quantities::default();
        for (name, scalar) in map {
            let amount = Scalar::from_f64(scalar.value).unwrap_or_default();
            sums.add(&name.as_str().into(), amount.max(Scalar::ZERO));
        }
        sums
    }

    pub fn get(&self, name: &Name) -> Scalar {
        self.iter().find(|(mine, _)| *mine == name).map_or(Scalar::ZERO, |(_, amount)| amount)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, Scalar)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, name: &Name, amount: Scalar) {
        if amount.is_zero() {
            return;
        }
        match self.0.binary_search_by(|(mine, _)| mine.cmp(name)) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum += amount;
                }
            }
            Err(at) => self.0.insert(at, (name.clone(), amount)),
        }
    }

    /// Never goes below zero.
    pub fn subtract(&mut self, name: &Name, amount: Scalar) {
        let Ok(at) = self.0.binary_search_by(|(mine, _)| mine.cmp(name)) else { return };
        if let Some((_, left)) = self.0.get_mut(at) {
            *left = (*left - amount).max(Scalar::ZERO);
            if left.is_zero() {
                self.0.remove(at);
            }
        }
    }

    pub fn add_all(&mut self, other: &Quantities) {
        other.iter().for_each(|(name, amount)| self.add(name, amount));
    }

    pub fn subtract_all(&mut self, other: &Quantities) {
        other.iter().for_each(|(name, amount)| self.subtract(name, amount));
    }

    pub fn contains(&self, other: &Quantities) -> bool {
        other.iter().all(|(name, amount)| amount <= self.get(name))
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (at, (name, amount)) in self.iter().enumerate() {
            let semicolon = if at > 0 { "; " } else { "" };
            write!(f, "{semicolon}{name}:{amount}")?;
        }
        Ok(())
    }
}
