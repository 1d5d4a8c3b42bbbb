//! Offer constraints: what a framework demands of an agent's attributes, checked here for it.
use std::collections::BTreeMap;

use mesos_messages::v1;
use mesos_messages::v1::scheduler::attribute_constraint::predicate::Predicate as WirePredicate;
use mesos_messages::v1::scheduler::attribute_constraint::selector::{
    PseudoattributeType, Selector as WireSelector,
};
use mesos_messages::v1::value::Type;
use regex::{Regex, RegexBuilder};

use crate::AgentSpec;

/// Bounds on patterns, so that no framework can make the master big or slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstraintLimits {
    /// The longest pattern, in bytes.
    pub max_pattern: usize,
    /// The largest compiled pattern, in bytes. The original counts instructions of another
    /// engine; this allows about the same patterns.
    pub max_compiled: usize,
}

impl Default for ConstraintLimits {
    fn default() -> ConstraintLimits {
        ConstraintLimits { max_pattern: 4096, max_compiled: 32 << 10 }
    }
}

/// Constraints of one framework, by role; compiled.
#[derive(Clone, Debug, Default)]
pub struct OfferConstraints {
    roles: BTreeMap<String, Vec<Group>>,
}

/// All must hold.
type Group = Vec<Constraint>;

#[derive(Clone, Debug)]
struct Constraint {
    selector: Selector,
    predicate: Predicate,
}

#[derive(Clone, Debug)]
enum Selector {
    Attribute(String),
    Hostname,
    Region,
    Zone,
}

#[derive(Clone, Debug)]
enum Predicate {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Regex),
    NotMatches(Regex),
}

/// What a selector finds.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute of another type: a predicate on text holds for it.
    Other,
}

impl OfferConstraints {
    /// Checks and compiles; the errors are the original's words.
    pub fn compile(
        wire: &v1::scheduler::OfferConstraints,
        limits: ConstraintLimits,
    ) -> Result<OfferConstraints, String> {
        let mut roles = BTreeMap::new();
        for (role, constraints) in &wire.role_constraints {
            if constraints.groups.is_empty() {
                return Err(format!(
                    "'OfferConstraints::role_constraints' has an empty \
                     'RoleConstraints::groups' for role {role}"
                ));
            }
            let groups: Result<Vec<Group>, String> =
                constraints.groups.iter().map(|group| compile_group(role, group, limits)).collect();
            roles.insert(role.clone(), groups?);
        }
        Ok(OfferConstraints { roles })
    }

    pub fn concerns(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// Whether the agent must not be offered in this role.
    pub fn excludes(&self, role: &str, agent: &AgentSpec) -> bool {
        self.roles.get(role).is_some_and(|groups| {
            !groups.iter().any(|group| group.iter().all(|constraint| constraint.holds(agent)))
        })
    }
}

fn compile_group(
    role: &str,
    group: &v1::scheduler::offer_constraints::role_constraints::Group,
    limits: ConstraintLimits,
) -> Result<Group, String> {
    if group.attribute_constraints.is_empty() {
        return Err(format!(
            "'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty \
             RoleConstraints::Group"
        ));
    }
    group
        .attribute_constraints
        .iter()
        .map(|constraint| {
            Constraint::compile(constraint, limits).map_err(|error| {
                format!("A role {role} has an invalid 'AttributeConstraint': {error}")
            })
        })
        .collect()
}

impl Constraint {
    fn compile(
        wire: &v1::scheduler::AttributeConstraint,
        limits: ConstraintLimits,
    ) -> Result<Constraint, String> {
        let selector = match wire.selector.selector.as_ref() {
            Some(WireSelector::AttributeName(name)) => Selector::Attribute(name.clone()),
            Some(WireSelector::PseudoattributeType(kind)) => {
                match PseudoattributeType::try_from(*kind) {
                    Ok(PseudoattributeType::Hostname) => Selector::Hostname,
                    Ok(PseudoattributeType::Region) => Selector::Region,
                    Ok(PseudoattributeType::Zone) => Selector::Zone,
                    _ => return Err("Unknown pseudoattribute type".to_owned()),
                }
            }
            None => {
                return Err("Exactly one of 'AttributeConstraint::Selector::name' or \
                            'AttributeConstraint::Selector::pseudoattribute_type' must be set"
                    .to_owned());
            }
        };
        let predicate = match wire.predicate.predicate.as_ref() {
            Some(WirePredicate::Exists(_)) => Predicate::Exists,
            Some(WirePredicate::NotExists(_)) => Predicate::NotExists,
            Some(WirePredicate::TextEquals(it)) => Predicate::Equals(it.value.clone()),
            Some(WirePredicate::TextNotEquals(it)) => Predicate::NotEquals(it.value.clone()),
            Some(WirePredicate::TextMatches(it)) => Predicate::Matches(regex(&it.regex, limits)?),
            Some(WirePredicate::TextNotMatches(it)) => {
                Predicate::NotMatches(regex(&it.regex, limits)?)
            }
            None => return Err("Unknown predicate type".to_owned()),
        };
        Ok(Constraint { selector, predicate })
    }

    fn holds(&self, agent: &AgentSpec) -> bool {
        let found = match &self.selector {
            Selector::Attribute(name) => {
                match agent.attributes.iter().find(|attribute| attribute.name == *name) {
                    None => Found::Nothing,
                    Some(attribute) => match (attribute.r#type(), &attribute.text) {
                        (Type::Text, Some(text)) => Found::Text(&text.value),
                        _ => Found::Other,
                    },
                }
            }
            Selector::Hostname => Found::Text(&agent.hostname),
            Selector::Region => agent.region.as_deref().map_or(Found::Nothing, Found::Text),
            Selector::Zone => agent.zone.as_deref().map_or(Found::Nothing, Found::Text),
        };
        self.predicate.holds(&found)
    }
}

impl Predicate {
    fn holds(&self, found: &Found<'_>) -> bool {
        match (self, found) {
            (Predicate::Exists, found) => !matches!(found, Found::Nothing),
            (Predicate::NotExists, found) => matches!(found, Found::Nothing),
            (_, Found::Other) => true,
            (Predicate::Equals(_) | Predicate::Matches(_), Found::Nothing) => false,
            (Predicate::NotEquals(_) | Predicate::NotMatches(_), Found::Nothing) => true,
            (Predicate::Equals(value), Found::Text(text)) => value == text,
            (Predicate::NotEquals(value), Found::Text(text)) => value != text,
            (Predicate::Matches(regex), Found::Text(text)) => regex.is_match(text),
            (Predicate::NotMatches(regex), Found::Text(text)) => !regex.is_match(text),
        }
    }
}

/// The whole text must match. The engine takes linear time whatever the pattern.
fn regex(pattern: &str, limits: ConstraintLimits) -> Result<Regex, String> {
    let too_complex = |size: String, max: usize| {
        format!(
            "Regex '{pattern}' is too complex: program size of {size} is larger than maximum of \
             {max} allowed"
        )
    };
    if pattern.len() > limits.max_pattern {
        return Err(too_complex(format!("{} bytes", pattern.len()), limits.max_pattern));
    }
    let failed =
        |error: String| format!("Failed to construct regex from pattern '{pattern}': {error}");
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(limits.max_compiled)
            .dfa_size_limit(limits.max_compiled)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(max) => too_complex("the compiled form".into(), max),
                error => failed(error.to_string()),
            })
    };
    // On its own first: wrapped, `a)|(b` would pass.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}
