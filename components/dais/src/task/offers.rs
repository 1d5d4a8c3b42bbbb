//! Whether an offer holds what a task needs, and which part of it to take.

use anyhow::bail;
use mesos_messages::v1::{
    CommandInfo, Offer, Resource, TaskId, TaskInfo,
    offer::Operation,
    offer::operation::{self, Launch},
};

/// What a task needs.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) cpus: f64,
    pub(super) mem: f64,
    pub(super) disk: f64,
    /// Only on agents with the attribute `public_ip:true`.
    pub(super) public: bool,
    pub(super) command: CommandInfo,
}

// === impl Wanted ===

impl Wanted {
    /// What no master would take is refused before it is asked.
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        for (name, amount) in self.amounts() {
            if !amount.is_finite() || amount < 0.0 {
                bail!("--{name} must not be negative");
            }
        }
        if self.cpus + self.mem == 0.0 {
            bail!("a task needs --cpus or --mem");
        }
        Ok(())
    }

    fn amounts(&self) -> [(&'static str, f64); 3] {
        [("cpus", self.cpus), ("mem", self.mem), ("disk", self.disk)]
    }

    /// The operation that launches the task on this offer, if it fits.
    pub(super) fn launch(&self, offer: &Offer) -> Option<Operation> {
        if self.public && !is_public(offer) {
            return None;
        }
        let mut resources = Vec::new();
        for (name, amount) in self.amounts() {
            take(offer, name, amount, &mut resources)?;
        }
        let task = TaskInfo {
            name: self.name.clone(),
            task_id: TaskId { value: self.name.clone() },
            agent_id: offer.agent_id.clone(),
            resources,
            command: Some(Box::new(self.command.clone())),
            ..Default::default()
        };
        Some(Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(Launch { task_infos: vec![task] }),
            ..Default::default()
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "cpus:{}; mem:{}", self.cpus, self.mem)?;
        if self.disk > 0.0 {
            write!(out, "; disk:{}", self.disk)?;
        }
        out.write_str(if self.public { " on a public agent" } else { "" })
    }
}

fn is_public(offer: &Offer) -> bool {
    offer.attributes.iter().any(|attribute| {
        attribute.name == "public_ip"
            && attribute.text.as_ref().is_some_and(|text| text.value == "true")
    })
}

/// Takes `amount` from the offer's plain resources of this name, reserved ones first: nobody
/// else can use those.
fn take(offer: &Offer, name: &str, amount: f64, taken: &mut Vec<Resource>) -> Option<()> {
    let mut plain: Vec<&Resource> = offer.resources.iter().filter(|r| usable(r, name)).collect();
    plain.sort_by_key(|resource| resource.reservations.is_empty());
    let mut left = amount;
    for resource in plain {
        let available = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
        let part = left.min(available);
        if part > 0.0 {
            let mut resource = resource.clone();
            if let Some(scalar) = &mut resource.scalar {
                // Amounts have three decimals; the subtraction below may leave noise.
                scalar.value = (part * 1000.0).round() / 1000.0;
            }
            taken.push(resource);
            left -= part;
        }
    }
    (left < 0.0005).then_some(())
}

fn usable(resource: &Resource, name: &str) -> bool {
    resource.name == name
        && resource.scalar.is_some()
        && resource.revocable.is_none()
        && resource.shared.is_none()
        && resource.disk.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_messages::v1::{
        AgentId, Attribute, FrameworkId, OfferId,
        resource::{ReservationInfo, RevocableInfo},
        value,
    };

    fn resource(name: &str, amount: f64, reserved: bool) -> Resource {
        let reservations = vec![ReservationInfo::default(); usize::from(reserved)];
        Resource {
            name: name.into(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(value::Scalar { value: amount }),
            reservations,
            ..Default::default()
        }
    }

    fn offer(resources: Vec<Resource>) -> Offer {
        Offer {
            id: OfferId { value: "o".into() },
            framework_id: FrameworkId { value: "f".into() },
            agent_id: AgentId { value: "a".into() },
            resources,
            ..Default::default()
        }
    }

    fn wanted(cpus: f64, mem: f64) -> Wanted {
        Wanted {
            name: "t".into(),
            cpus,
            mem,
            disk: 0.0,
            public: false,
            command: CommandInfo::default(),
        }
    }

    fn amounts(operation: Option<Operation>) -> Option<Vec<(String, f64)>> {
        let task = operation?.launch?.task_infos.into_iter().next()?;
        let pair = |resource: Resource| (resource.name, resource.scalar.unwrap().value);
        Some(task.resources.into_iter().map(pair).collect())
    }

    #[test]
    fn reserved_resources_go_first() {
        let offer = offer(vec![
            resource("cpus", 2.0, false),
            resource("cpus", 0.3, true),
            resource("mem", 64.0, false),
        ]);
        let expected = [("cpus", 0.3), ("cpus", 0.2), ("mem", 32.0)];
        let expected = expected.map(|(name, amount)| (name.to_owned(), amount)).to_vec();
        assert_eq!(amounts(wanted(0.5, 32.0).launch(&offer)), Some(expected));
    }

    #[test]
    fn what_does_not_fit_is_left() {
        let mut revocable = resource("cpus", 8.0, false);
        revocable.revocable = Some(RevocableInfo::default());
        let offer = offer(vec![resource("cpus", 0.1, false), revocable]);
        assert_eq!(amounts(wanted(0.2, 0.0).launch(&offer)), None);
        assert!(amounts(wanted(0.1, 0.0).launch(&offer)).is_some());
        assert_eq!(amounts(wanted(0.1, 1.0).launch(&offer)), None);
    }

    #[test]
    fn public_tasks_go_to_public_agents() {
        let mut offer = offer(vec![resource("cpus", 1.0, false)]);
        let wanted = Wanted { public: true, ..wanted(0.1, 0.0) };
        assert!(wanted.launch(&offer).is_none());
        offer.attributes.push(Attribute {
            name: "public_ip".into(),
            r#type: value::Type::Text.into(),
            text: Some(value::Text { value: "true".into() }),
            ..Default::default()
        });
        assert!(wanted.launch(&offer).is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(wanted(-1.0, 32.0).validate().is_err());
        assert!(wanted(f64::NAN, 32.0).validate().is_err());
        assert!(wanted(0.0, 0.0).validate().is_err());
        assert!(wanted(0.1, 0.0).validate().is_ok());
    }
}
