//! The framework of one task: waits for an offer, launches, follows, ends.

use super::{
    offers::Wanted,
    output::{Output, Phase},
};
use anyhow::Context;
use mesos_executor::command::text::Exit;
use mesos_messages::v1::{
    AgentId, Filters, Offer, OfferId, TaskId, TaskState, TaskStatus,
    scheduler::{Event, event},
};
use mesos_scheduler::{Client, Config, Notice};
use std::time::Duration;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc::Receiver, watch},
    task::JoinHandle,
    time::sleep,
};

/// After this long without a fitting offer the user hears why nothing happens.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an offer that does not fit stays away.
const REFUSE_SECONDS: f64 = 1.0;
/// The exit status of what was interrupted.
const INTERRUPTED: u8 = 130;

/// One task's framework.
pub(super) struct Session {
    client: Client,
    notices: Receiver<Notice>,
    wanted: Wanted,
    master: String,
    quiet: bool,
    launched: Option<Launched>,
    interrupted: bool,
    offers_seen: usize,
}

/// Where the task runs.
struct Launched {
    agent_id: AgentId,
    host: String,
    output: Option<(watch::Sender<Phase>, JoinHandle<anyhow::Result<()>>)>,
}

// === impl Session ===

impl Session {
    pub(super) fn new(config: Config, wanted: Wanted, master: String, quiet: bool) -> Self {
        let (client, notices) = mesos_scheduler::start(config);
        Self {
            client,
            notices,
            wanted,
            master,
            quiet,
            launched: None,
            interrupted: false,
            offers_seen: 0,
        }
    }

    /// Runs the task to its end and gives the exit status.
    pub(super) async fn run(mut self) -> anyhow::Result<u8> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let patience = sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            let waiting = self.launched.is_none() && !patience.is_elapsed();
            let status = tokio::select! {
                notice = self.notices.recv() => {
                    self.notice(notice.context("the client has stopped")?).await?
                }
                () = either(&mut interrupts, &mut terminations) => {
                    if let Some(code) = self.interrupt().await {
                        return Ok(code);
                    }
                    None
                }
                () = &mut patience, if waiting => {
                    self.explain();
                    None
                }
            };
            if let Some(status) = status {
                return self.finish(status).await;
            }
        }
    }

    /// The status that ends the task, if this is it.
    async fn notice(&mut self, notice: Notice) -> anyhow::Result<Option<TaskStatus>> {
        match notice {
            Notice::Event(event) => self.event(*event).await,
            Notice::Disconnected { reason } => {
                eprintln!("dais: lost the master at {}: {reason}", self.master);
                if self.launched.is_some() {
                    // It may have missed the end; asking costs nothing.
                    eprintln!("dais: waiting for it to come back");
                }
                Ok(None)
            }
            Notice::Failed(error) => Err(anyhow::Error::new(error)
                .context(format!("the master at {} does not run the task", self.master))),
        }
    }

    async fn event(&mut self, event: Event) -> anyhow::Result<Option<TaskStatus>> {
        match event.r#type() {
            event::Type::Offers => {
                self.offers(event.offers.map(|offers| offers.offers).unwrap_or_default()).await?;
            }
            event::Type::Update => {
                if let Some(update) = event.update {
                    return self.update(update.status).await;
                }
            }
            event::Type::Subscribed => self.reconcile().await,
            _ => {}
        }
        Ok(None)
    }

    /// After a reconnection: the updates meanwhile are only sent again if they were not yet
    /// acknowledged.
    async fn reconcile(&self) {
        if let Some(launched) = &self.launched {
            let task = (self.task_id(), Some(launched.agent_id.clone()));
            let _ = self.client.reconcile(vec![task]).await;
        }
    }

    async fn offers(&mut self, offers: Vec<Offer>) -> anyhow::Result<()> {
        self.offers_seen += offers.len();
        let mut declined: Vec<OfferId> = Vec::new();
        for offer in offers {
            let operation = self.wanted.launch(&offer).filter(|_| self.launched.is_none());
            let Some(operation) = operation else {
                declined.push(offer.id);
                continue;
            };
            let host = host(&offer).context("the offer does not say where its agent is")?;
            self.say(&format!("launching on agent {host} ({})", offer.agent_id.value));
            let launched = Launched { agent_id: offer.agent_id, host, output: None };
            self.launched = Some(launched);
            self.client.accept(vec![offer.id], vec![operation], None).await?;
        }
        if !declined.is_empty() {
            let filters = Filters { refuse_seconds: Some(REFUSE_SECONDS) };
            self.client.decline(declined, Some(filters)).await?;
        }
        Ok(())
    }

    async fn update(&mut self, status: TaskStatus) -> anyhow::Result<Option<TaskStatus>> {
        let text = status.state().as_str_name();
        match status.message.as_deref().filter(|message| !message.is_empty()) {
            Some(message) => self.say(&format!("{text}: {message}")),
            None => self.say(text),
        }
        let ended = is_terminal(status.state());
        if let Some(launched) = &mut self.launched {
            launched.follow(&status, ended, &self.client, &self.wanted.name);
        }
        if !ended {
            // The end is acknowledged together with everything else that follows on it.
            let _ = self.client.acknowledge(&status).await;
            return Ok(None);
        }
        Ok(Some(status))
    }

    /// Acknowledges the end while the last output comes, then leaves the master.
    async fn finish(mut self, status: TaskStatus) -> anyhow::Result<u8> {
        let output = self.launched.take().and_then(|launched| launched.output);
        let copied = async {
            match output {
                // The sender goes only when all is copied: its end means the session's.
                Some((phase, copying)) => {
                    let result = copying.await;
                    drop(phase);
                    result.unwrap_or_else(|error| Err(error.into()))
                }
                None => Ok(()),
            }
        };
        let farewell = async {
            let _ = self.client.acknowledge(&status).await;
            let _ = self.client.teardown().await;
        };
        let (copied, ()) = tokio::join!(copied, farewell);
        if let Err(error) = copied {
            eprintln!("dais: the task's output is incomplete: {error:#}");
        }
        Ok(exit_code(&status, self.interrupted))
    }

    /// The first interrupt kills the task, the second ends everything at once.
    async fn interrupt(&mut self) -> Option<u8> {
        if std::mem::replace(&mut self.interrupted, true) || self.launched.is_none() {
            let _ = self.client.teardown().await;
            return Some(INTERRUPTED);
        }
        self.say("killing the task; Ctrl-C again leaves at once");
        let agent = self.launched.as_ref().map(|launched| launched.agent_id.clone());
        let _ = self.client.kill(self.task_id(), agent, None).await;
        None
    }

    fn explain(&self) {
        if self.client.framework_id().is_none() {
            eprintln!("dais: no answer from the master at {} yet", self.master);
        } else if self.offers_seen == 0 {
            eprintln!("dais: waiting for an offer with {}; none came so far", self.wanted);
        } else {
            eprintln!(
                "dais: waiting for an offer with {}; {} were too small",
                self.wanted, self.offers_seen
            );
        }
    }

    fn task_id(&self) -> TaskId {
        TaskId { value: self.wanted.name.clone() }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("[{}] {text}", self.wanted.name);
        }
    }
}

// === impl Launched ===

impl Launched {
    /// Starts to copy output once there is a sandbox, and tells the copying how far the task is.
    fn follow(&mut self, status: &TaskStatus, ended: bool, client: &Client, task: &str) {
        if status.state() == TaskState::TaskStarting {
            return;
        }
        let container = status.container_status.as_ref();
        let container = container.and_then(|status| status.container_id.as_ref());
        let phase = match ended {
            true => Phase::Ended { container: container.map(|id| id.value.clone()) },
            false => Phase::Running,
        };
        match (&self.output, client.framework_id()) {
            (Some((sender, _)), _) => drop(sender.send_replace(phase)),
            // A task that never ran has no sandbox either.
            (None, _) if status.executor_id.is_none() => {}
            (None, Some(framework)) => {
                let (sender, receiver) = watch::channel(phase);
                let output = Output::new(self.host.clone(), &framework.value, task);
                self.output = Some((sender, tokio::spawn(output.follow(receiver))));
            }
            (None, None) => {}
        }
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// The agent's `host:port`.
fn host(offer: &Offer) -> Option<String> {
    let address = &offer.url.as_ref()?.address;
    let name = address.ip.as_deref().or(address.hostname.as_deref())?;
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    Some(format!("{name}:{}", address.port))
}

fn is_terminal(state: TaskState) -> bool {
    use TaskState as S;
    matches!(
        state,
        S::TaskFinished
            | S::TaskFailed
            | S::TaskKilled
            | S::TaskError
            | S::TaskLost
            | S::TaskDropped
            | S::TaskGone
            | S::TaskGoneByOperator
    )
}

/// The status a shell would give for how the command ended.
fn exit_code(status: &TaskStatus, interrupted: bool) -> u8 {
    if status.state() == TaskState::TaskFinished {
        return 0;
    }
    let end = status.message().strip_prefix("Command ").and_then(Exit::parse);
    let code = match end {
        _ if interrupted => INTERRUPTED.into(),
        Some(Exit::Status(code)) => code,
        Some(Exit::Signal { number, .. }) => 128 + number,
        None => 1,
    };
    // A task that did not finish did not succeed, whatever its command said.
    u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: TaskState, message: &str) -> TaskStatus {
        TaskStatus { state: state.into(), message: Some(message.into()), ..Default::default() }
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let check = |state, message, expected| {
            assert_eq!(exit_code(&ended(state, message), false), expected, "{message}");
        };
        check(TaskState::TaskFinished, "Command exited with status 0", 0);
        check(TaskState::TaskFailed, "Command exited with status 3", 3);
        check(TaskState::TaskFailed, "Command terminated with signal Killed", 137);
        check(TaskState::TaskKilled, "Command exited with status 0", 1);
        check(TaskState::TaskLost, "Agent disconnected", 1);
        assert_eq!(exit_code(&ended(TaskState::TaskKilled, ""), true), INTERRUPTED);
    }

    #[test]
    fn agents_are_found_by_their_offers() {
        let mut offer = Offer::default();
        assert_eq!(host(&offer), None);
        offer.url = Some(mesos_messages::v1::Url {
            address: mesos_messages::v1::Address {
                ip: Some("10.0.0.1".into()),
                port: 5051,
                ..Default::default()
            },
            ..Default::default()
        });
        assert_eq!(host(&offer).as_deref(), Some("10.0.0.1:5051"));
    }
}
