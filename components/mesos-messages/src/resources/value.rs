//! What a resource holds: an amount, ranges of whole numbers, or a set of words.
use std::fmt;
use std::sync::Arc;

use super::Scalar;

/// An inclusive range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    pub begin: u64,
    pub end: u64,
}

/// Ranges in ascending order, neither overlapping nor touching.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ranges(Arc<[Range]>);

impl Ranges {
    /// Sorts and coalesces; inverted ranges are dropped.
    pub fn new(mut ranges: Vec<Range>) -> Ranges {
        ranges.retain(|range| range.begin <= range.end);
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        Ranges(merged.into())
    }

    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers the ranges hold.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0u64, |sum, range| {
            sum.saturating_add((range.end - range.begin).saturating_add(1))
        })
    }

    pub fn contains_number(&self, number: u64) -> bool {
        let after = self.0.partition_point(|range| range.begin <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|range| number <= range.end)
    }

    pub fn contains(&self, other: &Ranges) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        let mut mine = self.0.iter();
        let mut current = mine.next();
        other.0.iter().all(|range| {
            while current.is_some_and(|mine| mine.end < range.begin) {
                current = mine.next();
            }
            current.is_some_and(|mine| mine.begin <= range.begin && range.end <= mine.end)
        })
    }

    pub fn union(&self, other: &Ranges) -> Ranges {
        if self.is_empty() {
            return other.clone();
        }
        Ranges::new(self.iter().chain(other.iter()).collect())
    }

    pub fn difference(&self, other: &Ranges) -> Ranges {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        let mut result = Vec::with_capacity(self.0.len());
        let mut taken = other.0.iter().peekable();
        for mut range in self.iter() {
            let mut consumed = false;
            while let Some(&&gap) = taken.peek() {
                if gap.end < range.begin {
                    taken.next();
                    continue;
                }
                if gap.begin > range.end {
                    break;
                }
                if gap.begin > range.begin {
                    result.push(Range { begin: range.begin, end: gap.begin - 1 });
                }
                if gap.end >= range.end {
                    consumed = true;
                    break;
                }
                range.begin = gap.end + 1;
                taken.next();
            }
            if !consumed {
                result.push(range);
            }
        }
        Ranges(result.into())
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, range) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{}-{}", range.begin, range.end)?;
        }
        f.write_str("]")
    }
}

/// Words in ascending order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set(Arc<[Arc<str>]>);

impl Set {
    pub fn new<S: Into<Arc<str>>>(items: impl IntoIterator<Item = S>) -> Set {
        let mut items: Vec<Arc<str>> = items.into_iter().map(Into::into).collect();
        items.sort_unstable();
        items.dedup();
        Set(items.into())
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|item| &**item)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, item: &Arc<str>) -> bool {
        self.0.binary_search(item).is_ok()
    }

    pub fn contains(&self, other: &Set) -> bool {
        other.0.len() <= self.0.len() && other.0.iter().all(|item| self.has(item))
    }

    pub fn union(&self, other: &Set) -> Set {
        Set::new(self.0.iter().chain(other.0.iter()).cloned())
    }

    pub fn difference(&self, other: &Set) -> Set {
        Set(self.0.iter().filter(|item| !other.has(item)).cloned().collect())
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, item) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{item}")?;
        }
        f.write_str("}")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Scalar(Scalar),
    Ranges(Ranges),
    Set(Set),
}

impl Value {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Value::Scalar(scalar) => scalar.is_zero(),
            Value::Ranges(ranges) => ranges.is_empty(),
            Value::Set(set) => set.is_empty(),
        }
    }

    pub(super) fn same_kind(&self, other: &Value) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Kinds that differ change nothing: callers compare them first.
    pub(super) fn add(&mut self, other: &Value) {
        match (self, other) {
            (Value::Scalar(mine), Value::Scalar(theirs)) => *mine += *theirs,
            (Value::Ranges(mine), Value::Ranges(theirs)) => *mine = mine.union(theirs),
            (Value::Set(mine), Value::Set(theirs)) => *mine = mine.union(theirs),
            _ => {}
        }
    }

    /// Leaves a negative amount where more is taken than there is.
    pub(super) fn subtract(&mut self, other: &Value) {
        match (self, other) {
            (Value::Scalar(mine), Value::Scalar(theirs)) => *mine -= *theirs,
            (Value::Ranges(mine), Value::Ranges(theirs)) => *mine = mine.difference(theirs),
            (Value::Set(mine), Value::Set(theirs)) => *mine = mine.difference(theirs),
            _ => {}
        }
    }

    pub(super) fn contains(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Scalar(mine), Value::Scalar(theirs)) => theirs <= mine,
            (Value::Ranges(mine), Value::Ranges(theirs)) => mine.contains(theirs),
            (Value::Set(mine), Value::Set(theirs)) => mine.contains(theirs),
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Scalar(scalar) => scalar.fmt(f),
            Value::Ranges(ranges) => ranges.fmt(f),
            Value::Set(set) => set.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Ranges {
        Ranges::new(pairs.iter().map(|&(begin, end)| Range { begin, end }).collect())
    }

    #[test]
    fn ranges_coalesce() {
        assert_eq!(ranges(&[(5, 6), (1, 4), (8, 9), (9, 12)]), ranges(&[(1, 6), (8, 12)]));
        assert_eq!(ranges(&[(0, u64::MAX), (3, 4)]).to_string(), format!("[0-{}]", u64::MAX));
        assert_eq!(ranges(&[(0, u64::MAX)]).count(), u64::MAX);
    }

    #[test]
    fn ranges_split() {
        let all = ranges(&[(31000, 32000)]);
        let left = all.difference(&ranges(&[(31000, 31000), (31005, 31010), (32000, 32000)]));
        assert_eq!(left, ranges(&[(31001, 31004), (31011, 31999)]));
        assert!(all.contains(&left));
        assert!(!left.contains(&all));
        assert!(left.contains_number(31004) && !left.contains_number(31005));
        assert!(ranges(&[(0, u64::MAX)]).difference(&ranges(&[(0, u64::MAX)])).is_empty());
    }

    #[test]
    fn sets_ignore_order() {
        let set = Set::new(["b", "a", "b"]);
        assert_eq!(set.to_string(), "{a, b}");
        assert!(set.contains(&Set::new(["b"])));
        assert_eq!(set.difference(&Set::new(["a", "c"])), Set::new(["b"]));
    }
}
