//! An offer as the matching sees it, and what is left of it.

use super::Attribute;
use mesos_messages::{
    resources::{ResourceError, Resources},
    v1,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// What an agent offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: v1::OfferId,
    /// Where an instance launched on it will be.
    pub placement: Arc<Placement>,
    /// All of it, as it came.
    pub resources: Resources,
    /// When the agent is to be taken out of service.
    pub unavailability: Option<Unavailability>,
}

/// Where an instance runs, as it is stored with the instance; shared by all on the same offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub agent_id: String,
    pub host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// The role the offer was made to.
    pub role: String,
}

/// A planned maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailability {
    /// Since the Unix epoch.
    pub start: Duration,
    /// For ever, if it is not said.
    pub duration: Option<Duration>,
}

/// An offer that shrinks as instances are put on it.
#[derive(Clone, Debug)]
pub struct RemainingOffer {
    offer: Arc<Offer>,
    pub(super) left: Resources,
    launched: u32,
}

// === impl Offer ===

impl Offer {
    /// Reads an offer; those of a master are always well-formed.
    pub fn from_proto(offer: &v1::Offer) -> Result<Self, ResourceError> {
        let resources = Resources::from_proto(&offer.resources)?;
        let domain = offer.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        let role = offer.allocation_info.as_ref().and_then(|info| info.role.clone());
        let role = role.or_else(|| resources.allocation_role().map(|role| role.to_string()));
        let placement = Placement {
            agent_id: offer.agent_id.value.clone(),
            host: offer.hostname.clone(),
            region: domain.map(|domain| domain.region.name.clone()),
            zone: domain.map(|domain| domain.zone.name.clone()),
            attributes: offer.attributes.iter().map(Attribute::from_proto).collect(),
            role: role.unwrap_or_else(|| "*".to_owned()),
        };
        let unavailability = offer.unavailability.as_ref().map(|planned| Unavailability {
            start: planned.start.to_duration(),
            duration: planned.duration.as_ref().map(v1::DurationInfo::to_duration),
        });
        Ok(Self { id: offer.id.clone(), placement: placement.into(), resources, unavailability })
    }
}

// === impl Placement ===

impl Placement {
    /// What a constraint on `field` compares: `hostname`, `@region`, `@zone` or an attribute.
    pub fn field(&self, field: &str) -> Option<&str> {
        match field {
            "hostname" | "@hostname" => Some(&self.host),
            "@region" => self.region.as_deref(),
            "@zone" => self.zone.as_deref(),
            name => {
                let found = self.attributes.iter().find(|attribute| &*attribute.name == name);
                found.map(|attribute| &*attribute.text)
            }
        }
    }
}

// === impl Unavailability ===

impl Unavailability {
    /// Whether the maintenance, announced `ahead` of its start, is on at `wall`.
    pub fn is_on(&self, wall: Duration, ahead: Duration) -> bool {
        let begun = wall.saturating_add(ahead) > self.start;
        let over = self.duration.is_some_and(|length| self.start.saturating_add(length) < wall);
        begun && !over
    }
}

// === impl RemainingOffer ===

impl RemainingOffer {
    pub fn new(offer: Arc<Offer>) -> Self {
        let left = offer.resources.clone();
        Self { offer, left, launched: 0 }
    }

    /// The offer as it came.
    pub fn offer(&self) -> &Arc<Offer> {
        &self.offer
    }

    /// What nobody took yet.
    pub fn left(&self) -> &Resources {
        &self.left
    }

    /// How many instances were put on it.
    pub fn launched(&self) -> u32 {
        self.launched
    }

    pub(super) fn take(&mut self, left: Resources) {
        self.left = left;
        self.launched = self.launched.saturating_add(1);
    }
}
