//! Dry runs: what a change would do, and what stands in its way on the agents as they were seen
//! last.

use super::{Core, index::PRESENT};
use crate::{
    Done, Reply,
    launch::{
        KnownAgent, LaunchRequest, Offer, Placed, Refusals, RemainingOffer, could_ever_fit, fit,
    },
};
use marathon_model::{
    App,
    app::is_config_change,
    change::{Change, Changed},
    impact::{self, AppFacts, Facts, Obstacle},
    plan::plan,
};
use std::{collections::BTreeMap, sync::Arc};

/// So many instances are tried at most: more tell nothing new.
const MOST_TRIED: u32 = 1000;

/// What was offered last, by role and agent; offers themselves are never kept.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<(String, String), SeenAgent>);

#[derive(Debug)]
struct SeenAgent {
    /// The offer with the most of its cpus: the nearest to what the agent has.
    largest: Arc<Offer>,
    left: RemainingOffer,
}

// === impl Seen ===

impl Seen {
    pub(super) fn note(&mut self, left: RemainingOffer) {
        let offer = left.offer().clone();
        let key = (offer.placement.role.clone(), offer.placement.agent_id.clone());
        match self.0.get_mut(&key) {
            Some(seen) => {
                if seen.largest.resources.scalar("cpus") <= offer.resources.scalar("cpus") {
                    seen.largest = offer;
                }
                seen.left = left;
            }
            None => drop(self.0.insert(key, SeenAgent { largest: offer, left })),
        }
    }

    pub(super) fn lost(&mut self, agent: &str) {
        self.0.retain(|(_, known), _| known != agent);
    }

    fn of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a SeenAgent> {
        let from = (role.to_owned(), String::new());
        let agents = self.0.range(from..).take_while(move |((known, _), _)| known == role);
        agents.map(|(_, seen)| seen)
    }
}

// === impl Core ===

impl Core {
    pub(super) fn dry_run(&mut self, change: &Change) -> Reply {
        let applied = self.apply(change, true)?;
        super::commands::refuse_resident(&applied)?;
        let plan = plan(&applied, self.ids.random());
        let conflicts = self.conflicts(&plan).iter().map(ToString::to_string).collect();
        let mut facts = Facts { apps: BTreeMap::new(), conflicts };
        for (id, changed) in &applied.changed {
            facts.apps.insert(id.clone(), self.facts(changed));
        }
        Ok(Done::Impact(impact::report(&applied, &plan, &facts)))
    }

    fn facts(&mut self, changed: &Changed) -> AppFacts {
        let mut facts = AppFacts::default();
        if let Some(before) = &changed.before {
            let data = self.apps.get(&before.id);
            facts.instances = data.map_or(0, |data| data.index.total(&PRESENT));
            let state = self.view.apps.get(&before.id);
            (facts.running, facts.healthy) =
                state.map_or((0, 0), |state| (state.counts.running, state.counts.healthy));
        }
        if let Some(after) = &changed.after {
            let scaled = changed.before.as_deref().is_some_and(|before| {
                before.instances != after.instances && !is_config_change(before, after)
            });
            // What is replaced makes room as it goes; but the first new one needs some.
            let more = after.instances.saturating_sub(facts.instances);
            let needed = if scaled { more } else { more.max(after.instances.min(1)) };
            self.foresee(after, needed, &mut facts);
        }
        facts
    }

    /// What agents would say to the instances that are to come.
    fn foresee(&mut self, app: &App, needed: u32, facts: &mut AppFacts) {
        let known: Vec<KnownAgent> = self
            .seen
            .of_role(&app.role)
            .map(|seen| KnownAgent {
                placement: seen.largest.placement.clone(),
                total: seen.largest.resources.clone(),
            })
            .collect();
        if known.is_empty() || needed == 0 {
            return;
        }
        facts.warnings = could_ever_fit(app, &self.config.launch, &known);
        let needed = needed.min(MOST_TRIED);
        let (room, refusals) = self.try_out(app, needed);
        if room >= needed {
            return;
        }
        facts.room = Some(room);
        let obstacle = |top: crate::launch::TopReason| Obstacle {
            reason: top.reason.as_str().to_owned(),
            agents: top.agents,
            detail: top.text,
        };
        facts.obstacles = refusals.top().into_iter().map(obstacle).collect();
    }

    /// Puts instances on what was left of the agents, as far as they go.
    fn try_out(&mut self, app: &App, wanted: u32) -> (u32, Refusals) {
        let mut left: Vec<RemainingOffer> =
            self.seen.of_role(&app.role).map(|seen| seen.left.clone()).collect();
        let mut placed = match self.apps.get(&app.id) {
            Some(data) if data.placed_for == Some(app.version_info.last_config_change_at) => {
                data.placed.clone()
            }
            _ => Placed::new(app),
        };
        let top = app.id.top_level();
        let enforce_role = top.and_then(|top| self.view.root.group(&top)?.enforce_role);
        let (at, mut refusals, mut room) = (self.at(), Refusals::default(), 0);
        while room < wanted && !left.is_empty() {
            left.retain_mut(|offer| {
                if room >= wanted {
                    return true;
                }
                let id = self.ids.instance(&app.id, self.now);
                let request = LaunchRequest {
                    app,
                    instance: &id,
                    incarnation: 1,
                    settings: &self.config.launch,
                    local_region: self.link.region.as_deref(),
                    enforce_role: enforce_role.unwrap_or_default(),
                    seed: 0,
                    wall: self.now.wall,
                };
                match fit(&request, offer, &placed) {
                    Ok(launch) => {
                        placed.add(&id, app.version, &launch.placement);
                        room += 1;
                        true
                    }
                    Err(refusal) => {
                        refusals.refused(at, offer.offer(), refusal);
                        false
                    }
                }
            });
        }
        (room, refusals)
    }
}
