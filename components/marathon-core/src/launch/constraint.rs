//! Constraints: whether an instance may go to an agent, given where the others are.

use super::{Placed, Placement, attribute::scalar_text};
use marathon_model::app::{App, Constraint, Operator};
use regex::Regex;
use std::collections::BTreeMap;

/// The pattern of a constraint, made once per app; `None` is no pattern that can be read.
pub(super) fn pattern(constraint: &Constraint) -> Option<Regex> {
    let text = constraint.value.as_deref().filter(|text| !text.is_empty())?;
    Regex::new(&format!(r"\A(?:{text})\z")).ok()
}

/// Why an agent in another region is not used by an app that says nothing about regions.
pub(super) fn region(app: &App, at: &Placement, local: Option<&str>) -> Result<(), String> {
    let asks = |constraint: &Constraint| matches!(&*constraint.field, "@region" | "@zone");
    let Some(region) = at.region.as_deref().filter(|_| !app.constraints.iter().any(asks)) else {
        return Ok(());
    };
    match local {
        Some(local) if local == region => Ok(()),
        Some(local) => Err(format!("is in region {region}, not in the local region {local}")),
        None => Err(format!("is in region {region}, the local region is not known")),
    }
}

/// The first constraint of the app that speaks against the place, in words.
pub(super) fn check(app: &App, at: &Placement, placed: &Placed) -> Result<(), String> {
    app.constraints.iter().enumerate().try_for_each(|(index, constraint)| {
        let place = Place { app, at, placed, index };
        place.check(constraint).map_err(|why| format!("constraint {}: {why}", text(constraint)))
    })
}

/// Whether the agent could ever do, whoever else is there.
pub(super) fn possible(app: &App, at: &Placement, placed: &Placed) -> Result<(), String> {
    let fixed = |constraint: &Constraint| match constraint.operator {
        Operator::Like | Operator::Unlike | Operator::Is => true,
        Operator::Cluster => constraint.value.as_ref().is_some_and(|value| !value.is_empty()),
        Operator::Unique | Operator::GroupBy | Operator::MaxPer => false,
    };
    app.constraints.iter().enumerate().try_for_each(|(index, constraint)| {
        let place = Place { app, at, placed, index };
        let verdict = match at.field(&constraint.field) {
            Some(_) if !fixed(constraint) => Ok(()),
            _ => place.check(constraint),
        };
        verdict.map_err(|why| format!("constraint {}: {why}", text(constraint)))
    })
}

/// As people write it: `hostname UNIQUE`, `rack LIKE r[12]`.
pub(super) fn text(constraint: &Constraint) -> String {
    let operator = match constraint.operator {
        Operator::Unique => "UNIQUE",
        Operator::Cluster => "CLUSTER",
        Operator::GroupBy => "GROUP_BY",
        Operator::Like => "LIKE",
        Operator::Unlike => "UNLIKE",
        Operator::MaxPer => "MAX_PER",
        Operator::Is => "IS",
    };
    match constraint.value.as_deref() {
        Some(value) => format!("{} {operator} {value}", constraint.field),
        None => format!("{} {operator}", constraint.field),
    }
}

struct Place<'a> {
    app: &'a App,
    at: &'a Placement,
    placed: &'a Placed,
    index: usize,
}

type Counts = BTreeMap<Option<String>, u32>;

impl Place<'_> {
    fn check(&self, constraint: &Constraint) -> Result<(), String> {
        let Some(offered) = self.at.field(&constraint.field) else {
            // Only what must not be there may be missing.
            let missing = format!("the agent has no {}", constraint.field);
            return if constraint.operator == Operator::Unlike { Ok(()) } else { Err(missing) };
        };
        let none = Counts::new();
        let counts = self.placed.values(&constraint.field).unwrap_or(&none);
        let here = counts.get(&Some(offered.to_owned())).copied();
        let value = constraint.value.as_deref().unwrap_or_default();
        match constraint.operator {
            Operator::Like => self.like(offered, true),
            Operator::Unlike => self.like(offered, false),
            Operator::Is => {
                let wanted = normalised(value);
                refuse(offered == wanted, || format!("{offered} is not {wanted}"))
            }
            Operator::Unique => {
                refuse(here.is_none(), || format!("an instance is already on {offered}"))
            }
            Operator::MaxPer => max_per(offered, value, here.unwrap_or(0)),
            Operator::Cluster if value.is_empty() => {
                let first = counts.keys().flatten().next();
                refuse(counts.is_empty() || here.is_some(), || {
                    let first = first.map_or("elsewhere", String::as_str);
                    format!("{offered} is not {first}, where the others are")
                })
            }
            Operator::Cluster => refuse(offered == value, || format!("{offered} is not {value}")),
            Operator::GroupBy => match number(value) {
                0 => even(offered, here, counts),
                groups => group_by(offered, here, counts, self.app.instances, groups),
            },
        }
    }

    fn like(&self, offered: &str, wanted: bool) -> Result<(), String> {
        let Some(pattern) = self.placed.pattern(self.index) else {
            return Err("the value is no regular expression that can be read".to_owned());
        };
        refuse(pattern.is_match(offered) == wanted, || {
            format!("{offered} {}", if wanted { "does not match" } else { "matches" })
        })
    }
}

fn refuse(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn max_per(offered: &str, value: &str, here: u32) -> Result<(), String> {
    let limit: u32 = value.parse().map_err(|_| "the value is no number".to_owned())?;
    refuse(here < limit, || format!("{offered} has {here} instances"))
}

/// Without a number of groups: a new value always, a known one if none has fewer.
fn even(offered: &str, here: Option<u32>, counts: &Counts) -> Result<(), String> {
    let least = counts.values().copied().min().unwrap_or(0);
    refuse(here.is_none_or(|here| here == least), || {
        format!("{offered} has {} instances, others {least}", here.unwrap_or(0))
    })
}

/// `instances` over `groups`: each gets the whole share, the remainder goes to any, one each at
/// most; more groups than that are not begun.
fn group_by(
    offered: &str,
    here: Option<u32>,
    counts: &Counts,
    instances: u32,
    groups: u32,
) -> Result<(), String> {
    let known = u32::try_from(counts.len()).unwrap_or(u32::MAX);
    let Some(here) = here else {
        return refuse(known < groups, || {
            format!("{offered} would be group {} of {groups}", known.saturating_add(1))
        });
    };
    let share = instances.checked_div(groups).unwrap_or(0);
    let remainder = instances.checked_rem(groups).unwrap_or(0);
    let used: u32 =
        counts.values().fold(0, |sum, count| sum.saturating_add(count.saturating_sub(share)));
    let room = here < share || (here == share && used < remainder);
    refuse(room, || format!("{offered} has {here} instances of a share of {share}"))
}

fn number(value: &str) -> u32 {
    if value == "inf" {
        return i32::MAX.unsigned_abs();
    }
    value.parse::<i32>().map_or(0, |number| u32::try_from(number).unwrap_or(0))
}

/// Plain decimal numbers are compared as scalars are written, all else as it is.
fn normalised(value: &str) -> String {
    let parts = value.split_once('.').unwrap_or((value, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<f64>() {
        Ok(number) if digits(parts.0) && digits(parts.1) => scalar_text(number),
        _ => value.to_owned(),
    }
}
