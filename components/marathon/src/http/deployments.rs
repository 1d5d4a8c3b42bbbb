//! Deployments and the launch queue.

use http_kit::{Response, respond};
use marathon_core::{Command, Done};
use marathon_model::change::Change;
use serde_json::json;

use super::{Answer, Api, Changed, Context, Deployed, Problem, document, known_id, now, pieces};
use crate::render::{deployment, queue::Queue};

impl Api {
    pub(super) fn deployments(&self, context: &Context) -> Response {
        let reason = context.query.embeds().any(|embed| embed == "reason");
        let mut out = Vec::new();
        deployment::list(&mut out, &self.view(), reason, &context.visible());
        respond::json(out)
    }

    /// Rolls back, or with `force` leaves everything as it is.
    pub(super) async fn cancel(&self, id: &str, context: &Context) -> Answer {
        let view = self.view();
        let deployment = view
            .deployment(id)
            .ok_or_else(|| Problem::not_found(format!("DeploymentPlan {id} does not exist")))?;
        let judge = context.judge();
        deployment.plan.affected().iter().try_for_each(|app| judge.may(app))?;
        let force = context.query.flag("force", false);
        if context.query.flag("dryRun", false) {
            if force {
                return Ok(document(&json!({"steps": []})));
            }
            let change = Change::RevertDeployment { plan: deployment.plan.clone() };
            return Ok(self.change(&context.query, change, true).await?.response(None));
        }
        let command = Command::CancelDeployment { id: id.to_owned(), force };
        match self.handle.command(command).await? {
            Done::Deployment { id, version, app, created } if !force => {
                Ok(Changed::Deployed(Deployed { id, version, app, created }).response(None))
            }
            _ => Ok(respond::accepted()),
        }
    }

    pub(super) fn queue(&self, context: &Context) -> Response {
        let offers = context.query.embeds().any(|embed| embed == "lastUnusedOffers");
        pieces(Queue::new(self.view(), offers, now(), &context.visible()), context)
    }

    pub(super) async fn reset_delay(&self, id: &str, context: &Context) -> Answer {
        let view = self.view();
        let waits = |id: &marathon_model::PathId| {
            let state = view.apps.get(id);
            state.is_some_and(|state| state.queue.is_some()) && view.root.app(id).is_some()
        };
        let app = known_id(id).filter(waits).ok_or_else(|| {
            Problem::not_found(format!("Application {id} not found in tasks queue."))
        })?;
        if !context.query.flag("dryRun", false) {
            self.handle.command(Command::ResetDelay { app }).await?;
        }
        Ok(respond::status(http::StatusCode::NO_CONTENT))
    }
}
