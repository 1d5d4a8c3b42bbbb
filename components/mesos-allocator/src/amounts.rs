//! Amounts of scalars as whole numbers in a row, for books that are kept thousands of times a pass.

use mesos_messages::resources::{Name, Quantities, Resources, Scalar, Value};
use smallvec::SmallVec;

const USUAL: [Name; 4] = [Name::CPUS, Name::MEM, Name::DISK, Name::GPUS];

fn usual(name: &Name) -> Option<usize> {
    USUAL.iter().position(|usual| usual == name)
}

/// Thousandths of each scalar; the usual four in place, others in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    usual: [i64; 4],
    /// Boxed, because nearly nobody has others and agents have many of these.
    other: Option<Box<Others>>,
}

type Others = SmallVec<[(Name, i64); 2]>;

impl Amounts {
    fn others(&self) -> &[(Name, i64)] {
        self.other.as_ref().map_or(&[], |other| other)
    }

    pub(crate) fn of(resources: &Resources) -> Amounts {
        let mut amounts = Amounts::default();
        for entry in resources {
            if let Value::Scalar(amount) = entry.value() {
                amounts.add_one(entry.name(), amount.millis());
            }
        }
        amounts
    }

    pub(crate) fn add_one(&mut self, name: &Name, amount: i64) {
        match usual(name).and_then(|at| self.usual.get_mut(at)) {
            Some(sum) => *sum = sum.saturating_add(amount),
            None => {
                let other = self.other.get_or_insert_default();
                match other.iter_mut().find(|(mine, _)| mine == name) {
                    Some((_, sum)) => *sum = sum.saturating_add(amount),
                    None => other.push((name.clone(), amount)),
                }
            }
        }
    }

    pub(crate) fn add(&mut self, more: &Amounts) {
        for (sum, more) in self.usual.iter_mut().zip(more.usual) {
            *sum = sum.saturating_add(more);
        }
        more.others().iter().for_each(|(name, amount)| self.add_one(name, *amount));
    }

    pub(crate) fn subtract(&mut self, less: &Amounts) {
        for (sum, less) in self.usual.iter_mut().zip(less.usual) {
            *sum = sum.saturating_sub(less);
        }
        less.others().iter().for_each(|(name, amount)| self.add_one(name, -amount));
        if let (Some(other), Some(_)) = (&mut self.other, &less.other) {
            other.retain(|(_, amount)| *amount != 0);
        }
    }

    pub(crate) fn quantities(&self) -> Quantities {
        let mut sums = Quantities::default();
        let usual = USUAL.iter().zip(&self.usual);
        let other = self.others().iter().map(|(name, amount)| (name, amount));
        for (name, amount) in usual.chain(other) {
            sums.add(name, Scalar::from_millis(*amount));
        }
        sums
    }
}

/// One over the cluster's total of each scalar that counts; shares are products with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scale {
    usual: [f64; 4],
    other: Vec<(Name, f64)>,
}

impl Scale {
    pub(crate) fn new(total: &Amounts, excluded: &[Name]) -> Scale {
        let over = |name: &Name, amount: i64| {
            if amount > 0 && !excluded.contains(name) { 1.0 / amount as f64 } else { 0.0 }
        };
        let mut scale = Scale::default();
        for ((over_one, name), amount) in scale.usual.iter_mut().zip(&USUAL).zip(total.usual) {
            *over_one = over(name, amount);
        }
        scale.other = total
            .others()
            .iter()
            .map(|(name, amount)| (name.clone(), over(name, *amount)))
            .collect();
        scale
    }

    /// The largest part of any total.
    pub(crate) fn dominant_share(&self, amounts: &Amounts) -> f64 {
        let mut share = 0f64;
        for (amount, over) in amounts.usual.iter().zip(self.usual) {
            share = share.max(*amount as f64 * over);
        }
        for (name, amount) in amounts.others() {
            let over = self.other.iter().find(|(mine, _)| mine == name).map_or(0.0, |(_, it)| *it);
            share = share.max(*amount as f64 * over);
        }
        share
    }
}

/// What an offer must have: all amounts of at least one alternative; anything if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinAllocatable(Vec<Alternative>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Alternative {
    usual: [i64; 4],
    other: Vec<(Name, i64)>,
}

impl Default for MinAllocatable {
    /// `cpus:0.01|mem:32`.
    fn default() -> MinAllocatable {
        let one = |at: usize, amount: i64| {
            let mut alternative = Alternative::default();
            if let Some(slot) = alternative.usual.get_mut(at) {
                *slot = amount;
            }
            alternative
        };
        MinAllocatable(vec![one(0, 10), one(1, 32_000)])
    }
}

impl MinAllocatable {
    pub fn new(alternatives: impl IntoIterator<Item = Quantities>) -> MinAllocatable {
        let read = |quantities: Quantities| {
            let mut alternative = Alternative::default();
            for (name, amount) in quantities.iter() {
                match usual(name).and_then(|at| alternative.usual.get_mut(at)) {
                    Some(slot) => *slot = amount.millis(),
                    None => alternative.other.push((name.clone(), amount.millis())),
                }
            }
            alternative
        };
        MinAllocatable(alternatives.into_iter().map(read).collect())
    }

    /// Reads `cpus:0.01|mem:32;disk:64`: `|` is or, `;` is and. Empty text asks for nothing.
    pub fn parse(text: &str) -> Result<MinAllocatable, String> {
        let read = |part: &str| {
            let resources = Resources::parse(part, "*").map_err(|error| error.to_string())?;
            Ok(resources.quantities())
        };
        let parts = text.split('|').filter(|part| !part.trim().is_empty());
        let alternatives: Result<Vec<Quantities>, String> = parts.map(read).collect();
        Ok(MinAllocatable::new(alternatives?))
    }

    /// `amounts` must be those of `resources`, which are seldom needed.
    pub(crate) fn is_met(&self, amounts: &Amounts, resources: impl Fn() -> Resources) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|alternative| alternative.is_met(amounts, &resources))
    }
}

impl Alternative {
    fn is_met(&self, amounts: &Amounts, resources: impl Fn() -> Resources) -> bool {
        amounts.usual.iter().zip(self.usual).all(|(have, want)| *have >= want)
            && (self.other.is_empty() || {
                let resources = resources();
                self.other.iter().all(|(name, want)| count(&resources, name) >= *want)
            })
    }
}

/// Scalars by amount, ranges and sets by the number of their elements; in thousandths.
fn count(resources: &Resources, name: &Name) -> i64 {
    resources.iter().filter(|entry| entry.name() == name).fold(0i64, |sum, entry| {
        let elements = match entry.value() {
            Value::Scalar(amount) => return sum.saturating_add(amount.millis()),
            Value::Ranges(ranges) => ranges.count(),
            Value::Set(set) => set.len() as u64,
        };
        let thousandths = i64::try_from(elements).unwrap_or(i64::MAX).saturating_mul(1000);
        sum.saturating_add(thousandths)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(min: &str, resources: &str) -> bool {
        let resources = Resources::parse(resources, "*").unwrap();
        let min = MinAllocatable::parse(min).unwrap();
        min.is_met(&Amounts::of(&resources), || resources.clone())
    }

    #[test]
    fn one_alternative_must_be_met_in_full() {
        let min = "cpus:0.01|mem:32";
        assert_eq!(MinAllocatable::parse(min).unwrap(), MinAllocatable::default());
        assert!(met(min, "cpus:0.01"));
        assert!(met(min, "mem:32"));
        assert!(!met(min, "cpus:0.009;mem:31;disk:1000"));
        assert!(!met("cpus:1;mem:32|disk:5", "cpus:1"));
        assert!(met("cpus:1;mem:32|disk:5", "disk:5"));
        assert!(met("", "disk:0.001"));
        assert!(MinAllocatable::parse("cpus").is_err());
    }

    #[test]
    fn elements_of_ranges_and_sets_count() {
        let min = MinAllocatable::new([Quantities::from_map(&std::collections::BTreeMap::from([
            ("ports".to_owned(), mesos_messages::v1::value::Scalar { value: 2.0 }),
            ("zone".to_owned(), mesos_messages::v1::value::Scalar { value: 1.0 }),
        ]))]);
        let resources = |text: &str| Resources::parse(text, "*").unwrap();
        let met = |text: &str| min.is_met(&Amounts::of(&resources(text)), || resources(text));
        assert!(met("ports:[1-2];zone:{a}"));
        assert!(!met("ports:[1-1];zone:{a}"));
        assert!(!met("ports:[1-2]"));
    }

    #[test]
    fn shares_are_of_what_one_has_most_of() {
        let amounts = |text: &str| Amounts::of(&Resources::parse(text, "*").unwrap());
        let total = amounts("cpus:10;mem:1000;x:4");
        let scale = Scale::new(&total, &[]);
        assert_eq!(scale.dominant_share(&amounts("cpus:1;mem:500")), 0.5);
        assert_eq!(scale.dominant_share(&amounts("cpus:1;x:3")), 0.75);
        assert_eq!(scale.dominant_share(&amounts("y:3")), 0.0);
        let without = Scale::new(&total, &[Name::MEM]);
        assert_eq!(without.dominant_share(&amounts("cpus:1;mem:500")), 0.1);
    }
}
