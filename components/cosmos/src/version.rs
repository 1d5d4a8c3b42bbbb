//! Versions, compared part by part.

use universe::Package;

use crate::error::Failure;

/// Refuses a package for a later release of DC/OS than the one this cluster is compatible with.
pub(crate) fn check(package: &Package, have: &str) -> Result<(), Failure> {
    match package.min_dcos_release() {
        Some(needed) if older(have, needed) => {
            Err(Failure::release_too_old(package.name(), package.version(), needed, have))
        }
        _ => Ok(()),
    }
}

/// Whether `a` comes before `b`. Numbers compare as numbers; what is missing counts as zero;
/// where a part is no number the versions count as equal from there on.
pub(crate) fn older(a: &str, b: &str) -> bool {
    let parts = |text: &str| -> Vec<Option<u64>> {
        text.split(['.', '-']).map(|part| part.trim_start_matches('v').parse().ok()).collect()
    };
    let (a, b) = (parts(a), parts(b));
    for at in 0..a.len().max(b.len()) {
        let part = |of: &[Option<u64>]| of.get(at).copied().unwrap_or(Some(0));
        match (part(&a), part(&b)) {
            (Some(a), Some(b)) if a != b => return a < b,
            (Some(_), Some(_)) => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn parts_compare_as_numbers() {
        for (a, b) in
            [("1.9", "1.10"), ("2.1", "2.1.1"), ("2.1.1", "9999"), ("2.3.0-1.9", "2.3.0-1.10")]
        {
            assert!(older(a, b), "{a} {b}");
            assert!(!older(b, a), "{b} {a}");
        }
        assert!(!older("1.10", "1.10.0"));
        assert!(!older("stub-universe", "1.0"));
    }
}
