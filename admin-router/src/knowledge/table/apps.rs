//! Apps and their tasks: which service is where.

mod app;
mod claims;
mod gone;
mod tasks;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use imbl::HashMap as Shared;

use super::super::facts::{AppFact, MarathonTask, Phase, TaskFact};
use super::super::task_id;
use super::Servers;
use super::agents::Agents;
use crate::cluster::Service;

use app::App;
use claims::Claim;
use gone::Gone;
use tasks::{MarathonWord, MasterWord, Task};

/// What apps are judged by, and where the result goes.
pub(super) struct Context<'a> {
    pub(super) master_is_heard: bool,
    pub(super) agents: &'a Agents,
    pub(super) servers: &'a mut Servers,
    pub(super) services: &'a mut Shared<Arc<str>, Arc<Service>>,
    /// Why apps that ask to be services are none.
    pub(super) ignored: &'a mut Shared<Arc<str>, Arc<str>>,
    pub(super) changed: &'a mut bool,
}

#[derive(Default)]
pub(super) struct Apps {
    known: HashMap<Arc<str>, App>,
    tasks: HashMap<Arc<str>, Task>,
    /// The id of the framework that Marathon is.
    framework: Option<Arc<str>>,
    /// Names (dotted) with the apps that claim them and have where to lead them.
    claims: HashMap<Arc<str>, Claim>,
    /// Names whose claims have changed since they were settled.
    unsettled: BTreeSet<Arc<str>>,
    /// What must not come back by reads that are under way.
    gone: Gone,
}

// === impl Apps: what a master tells ===

impl Apps {
    /// All tasks there are.
    pub(super) fn tasks_told(&mut self, told: Vec<TaskFact>, context: &mut Context<'_>) {
        for task in self.tasks.values_mut() {
            task.master = None;
        }
        for fact in told {
            self.put_task(fact);
        }
        // What Marathon alone tells of stays: the master's word about it may be on its way.
        let gone =
            self.tasks.iter().filter(|(_, task)| task.is_over()).map(|(id, _)| Arc::clone(id));
        for id in gone.collect::<Vec<_>>() {
            self.drop_task(&id);
        }
        self.judge_all(context);
    }

    pub(super) fn task_added(&mut self, fact: TaskFact, context: &mut Context<'_>) {
        if let Some(app) = self.put_task(fact) {
            self.judge(&app, context);
        }
    }

    pub(super) fn task_updated(&mut self, fact: TaskFact, context: &mut Context<'_>) {
        let fact = match self.tasks.get(&fact.id).and_then(|task| task.master.as_ref()) {
            Some(known) => known.updated(fact),
            None => fact,
        };
        self.task_added(fact, context);
    }

    /// Its tasks are told of anew when it comes back.
    pub(super) fn agent_removed(&mut self, agent: &str, context: &mut Context<'_>) {
        for id in self.tasks_of_agent(agent) {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            task.master = None;
            let (app, is_over) = (Arc::clone(&task.app), task.is_over());
            if is_over {
                self.drop_task(&id);
            }
            self.judge(&app, context);
        }
    }

    pub(super) fn agent_changed(&mut self, agent: &str, context: &mut Context<'_>) {
        for id in self.tasks_of_agent(agent) {
            let Some(app) = self.tasks.get(&id).map(|task| Arc::clone(&task.app)) else { continue };
            self.judge(&app, context);
        }
    }

    /// Looks at all of them: agents come and go rarely.
    fn tasks_of_agent(&self, agent: &str) -> Vec<Arc<str>> {
        let on_it = |task: &Task| task.master.as_ref().is_some_and(|word| *word.agent == *agent);
        self.tasks.iter().filter(|(_, task)| on_it(task)).map(|(id, _)| Arc::clone(id)).collect()
    }

    /// The app it belongs to, unless it is no task of Marathon's.
    fn put_task(&mut self, fact: TaskFact) -> Option<Arc<str>> {
        if fact.phase == Phase::Ended {
            return self.end_task(&fact.id);
        }
        let id = Arc::clone(&fact.id);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.master = Some(MasterWord::new(fact));
            return Some(Arc::clone(&task.app));
        }
        let app: Arc<str> = task_id::app(&id)?.into();
        let app = self.app(&app).join(&id);
        let task =
            Task { app: Arc::clone(&app), master: Some(MasterWord::new(fact)), marathon: None };
        self.tasks.insert(id, task);
        Some(app)
    }

    /// The task is over, whoever still tells of it.
    fn end_task(&mut self, id: &str) -> Option<Arc<str>> {
        let app = Arc::clone(&self.tasks.get(id)?.app);
        self.drop_task(id);
        Some(app)
    }
}

// === impl Apps: what Marathon tells ===

impl Apps {
    pub(super) fn framework_told(&mut self, id: Option<Arc<str>>, context: &mut Context<'_>) {
        if id.is_some() && id != self.framework {
            self.framework = id;
            self.judge_all(context);
        }
    }

    /// Whatever was read before that input does not count.
    pub(super) fn touched(&mut self, id: Arc<str>, number: u64) {
        let app = self.app(&id);
        app.as_of = app.as_of.max(number);
        self.note_empty(&id);
    }

    pub(super) fn all_read(&mut self, as_of: u64, read: Vec<AppFact>, context: &mut Context<'_>) {
        let told: HashSet<Arc<str>> = read.iter().map(|app| Arc::clone(&app.id)).collect();
        let unnamed = self.known.keys().filter(|id| !told.contains(*id)).cloned();
        for id in unnamed.collect::<Vec<_>>() {
            self.one_read(as_of, &id, None, context);
        }
        for app in read {
            let id = Arc::clone(&app.id);
            self.one_read(as_of, &id, Some(app), context);
        }
    }

    pub(super) fn one_read(
        &mut self,
        as_of: u64,
        id: &Arc<str>,
        read: Option<AppFact>,
        context: &mut Context<'_>,
    ) {
        let app = self.app(id);
        if as_of < app.as_of {
            // Something newer was read, or is going to be.
            self.note_empty(id);
            return;
        }
        app.as_of = as_of;
        let (labelled, tasks) =
            read.map_or((None, Vec::new()), |read| (Some(read.labelled), read.tasks));
        app.set_labelled(labelled);
        self.drop_unlisted(id, as_of, &tasks, context.master_is_heard);
        for task in tasks {
            self.put_marathon_task(as_of, task, context.master_is_heard);
        }
        self.judge(id, context);
        self.note_empty(id);
    }

    /// What Marathon does not list any more it does not know any more. With no master to hear,
    /// that is all there is to know.
    fn drop_unlisted(
        &mut self,
        app: &str,
        as_of: u64,
        listed: &[MarathonTask],
        master_is_heard: bool,
    ) {
        let Some(app) = self.known.get(app) else { return };
        let listed: HashSet<&str> = listed.iter().map(|task| &*task.id).collect();
        let unlisted = app.tasks.iter().filter(|id| !listed.contains(&***id));
        for id in unlisted.cloned().collect::<Vec<_>>() {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.marathon.as_ref().is_some_and(|word| word.told > as_of) {
                continue;
            }
            task.marathon = None;
            if task.master.is_none() || !master_is_heard {
                self.drop_task(&id);
            }
        }
    }

    pub(super) fn marathon_task(
        &mut self,
        number: u64,
        task: MarathonTask,
        context: &mut Context<'_>,
    ) {
        if let Some(app) = self.put_marathon_task(number, task, context.master_is_heard) {
            self.judge(&app, context);
            self.note_empty(&app);
        }
    }

    fn put_marathon_task(
        &mut self,
        number: u64,
        fact: MarathonTask,
        master_is_heard: bool,
    ) -> Option<Arc<str>> {
        if fact.phase == Phase::Ended {
            self.gone.task(&fact.id, number);
        }
        let Some(task) = self.tasks.get_mut(&fact.id) else {
            if self.gone.has_task(&fact.id, number) {
                return None;
            }
            let (id, app) = (Arc::clone(&fact.id), Arc::clone(&fact.app));
            let app = self.app(&app).join(&id);
            let word = MarathonWord::new(fact, number);
            self.tasks
                .insert(id, Task { app: Arc::clone(&app), master: None, marathon: Some(word) });
            return Some(app);
        };
        let app = Arc::clone(&task.app);
        if task.marathon.as_ref().is_some_and(|known| known.told > number) {
            return Some(app);
        }
        if fact.phase == Phase::Ended && task.master.is_none() {
            self.drop_task(&fact.id);
            return Some(app);
        }
        task.hear(fact, number, master_is_heard);
        Some(app)
    }
}

// === impl Apps ===

impl Apps {
    fn app(&mut self, id: &Arc<str>) -> &mut App {
        self.known.entry(Arc::clone(id)).or_insert_with(|| App::new(id))
    }

    fn drop_task(&mut self, id: &str) {
        let Some(task) = self.tasks.remove(id) else { return };
        if let Some(app) = self.known.get_mut(&task.app) {
            app.tasks.remove(id);
        }
        self.note_empty(&task.app);
    }

    fn note_empty(&mut self, id: &Arc<str>) {
        if let Some(app) = self.known.get_mut(id)
            && app.is_empty()
            && !std::mem::replace(&mut app.noted, true)
        {
            self.gone.app(id, app.as_of);
        }
    }

    /// No read under way is older than `oldest`: nothing that is gone as of then can come back.
    pub(super) fn forget(&mut self, oldest: u64) {
        self.gone.forget_tasks(oldest);
        while let Some(id) = self.gone.next_app(oldest) {
            let Some(app) = self.known.get_mut(&id) else { continue };
            app.noted = false;
            if !app.is_empty() {
                continue;
            }
            if app.as_of <= oldest {
                self.known.remove(&id);
            } else {
                self.note_empty(&id);
            }
        }
    }

    pub(super) fn judge_all(&mut self, context: &mut Context<'_>) {
        for id in self.known.keys().cloned().collect::<Vec<_>>() {
            self.judge(&id, context);
        }
    }

    /// Finds out where an app is to be found now.
    fn judge(&mut self, id: &Arc<str>, context: &mut Context<'_>) {
        let Some(app) = self.known.get(id) else { return };
        let found = app.find(&self.tasks, self.framework.as_deref(), context);
        let Some(app) = self.known.get_mut(id) else { return };
        match found {
            Ok(found) => {
                let before = app.leads_to(found, context.servers);
                let now = app.claims();
                self.claim(id, before, now, context);
            }
            Err(why) => {
                let before = app.leads_nowhere(context.servers);
                self.claim(id, before, None, context);
                context.ignore(id, Some(why).filter(|why| !why.is_empty()));
            }
        }
    }

    /// An app claims `now` instead of `before`.
    fn claim(
        &mut self,
        id: &Arc<str>,
        before: Option<Arc<str>>,
        now: Option<Arc<str>>,
        context: &mut Context<'_>,
    ) {
        if before != now
            && let Some(before) = &before
        {
            if let Some(claim) = self.claims.get_mut(before) {
                claim.withdraw(id);
            }
            self.unsettled.insert(Arc::clone(before));
        }
        if let Some(now) = now {
            let since = self.since(id);
            let claim = self.claims.entry(Arc::clone(&now)).or_default();
            claim.put(id, since);
            if claim.holder() != Some(id) {
                context.ignore(id, Some(claim.refusal(&now)));
            }
            self.unsettled.insert(now);
        }
    }

    /// Since when the task runs that an app leads to.
    fn since(&self, app: &str) -> u64 {
        let task = self.known.get(app).and_then(App::task);
        task.and_then(|task| self.tasks.get(task)).map_or(u64::MAX, Task::since)
    }

    /// Gives names to those who claim them, once all that was told together is known.
    pub(super) fn settle(&mut self, context: &mut Context<'_>) {
        while let Some(name) = self.unsettled.pop_first() {
            self.publish(&name, context);
        }
    }

    fn publish(&mut self, name: &Arc<str>, context: &mut Context<'_>) {
        let Some(claim) = self.claims.get_mut(name) else { return };
        if claim.settle() {
            // Somebody else has it now: all others are told by whom they are refused.
            for id in claim.apps() {
                let refusal = (claim.holder() != Some(id)).then(|| claim.refusal(name));
                context.ignore(id, refusal);
            }
        }
        let holder = claim.holder().and_then(|id| self.known.get(id));
        match holder.and_then(App::service) {
            Some(service) => {
                let known = context.services.get(name);
                if known.is_none_or(|known| !Arc::ptr_eq(known, service)) {
                    context.services.insert(Arc::clone(name), Arc::clone(service));
                    *context.changed = true;
                }
            }
            None => {
                *context.changed |= context.services.remove(name).is_some();
                self.claims.remove(name);
            }
        }
    }
}

// === impl Context ===

impl Context<'_> {
    /// Says why an app is no service, or that it is one.
    fn ignore(&mut self, app: &Arc<str>, why: Option<Arc<str>>) {
        if self.ignored.get(app) == why.as_ref() {
            return;
        }
        match why {
            Some(why) => self.ignored.insert(Arc::clone(app), why),
            None => self.ignored.remove(app),
        };
        *self.changed = true;
    }
}

#[cfg(test)]
impl Apps {
    /// How many apps, tasks and claims are kept, and of what is gone.
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.known.len(), self.tasks.len(), self.claims.len(), self.gone.len()]
    }
}
