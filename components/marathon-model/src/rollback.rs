//! The label by which an app asks for its updates to be taken back when they fail.

use crate::{App, Violation};

/// `true`: after [`DEFAULT_FAILURES`]; a number: after so many; `false`, or no label: never.
pub const LABEL: &str = "DAIS_AUTO_ROLLBACK";

/// Failed launches of new instances that are enough where the label says `true`.
pub const DEFAULT_FAILURES: u32 = 3;

const MOST_FAILURES: u32 = 100;

/// After how many failed launches of new instances an update of this app is taken back.
pub fn failures_allowed(app: &App) -> Option<u32> {
    parse(app.labels.get(LABEL)?).ok().flatten()
}

/// What is wrong with the app's label.
pub fn violation(app: &App) -> Option<Violation> {
    parse(app.labels.get(LABEL)?).err().map(|text| Violation::new(format!("/labels/{LABEL}"), text))
}

fn parse(text: &str) -> Result<Option<u32>, String> {
    match text {
        "true" => Ok(Some(DEFAULT_FAILURES)),
        "false" => Ok(None),
        number => match number.parse() {
            Ok(failures) if (1..=MOST_FAILURES).contains(&failures) => Ok(Some(failures)),
            _ => Err(format!("must be true, false or a number from 1 to {MOST_FAILURES}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_label_says() {
        for (text, failures) in
            [("true", Some(3)), ("false", None), ("1", Some(1)), ("100", Some(100))]
        {
            assert_eq!(parse(text), Ok(failures), "{text}");
        }
        for bad in ["", "0", "101", "-1", "True", "yes", "1.5", "99999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
