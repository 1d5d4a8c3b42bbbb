//! What the master tells, through to what listeners hear; on a real store.

use cluster_events::asking::LeaderFact;
use cluster_events::picture::{
    Agent, Discovery, Framework, Label, Network, Phase, Port, Runtime, State, StatusUpdate, Task,
};
use cluster_state::ClusterState;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::view::Listener;
use crate::wire::NameLine;

const RANGE: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 254));
const PATIENCE: Duration = Duration::from_secs(30);

fn task(number: u16, label: &str) -> Task {
    let label = Label { key: "VIP_0".into(), value: label.into() };
    let port = Port {
        number: 31000 + u32::from(number),
        name: None,
        protocol: None,
        labels: [label].into(),
    };
    Task {
        id: format!("t{number}").into(),
        framework: "f".into(),
        agent: "agent".into(),
        name: "web".into(),
        phase: Phase::Running,
        healthy: None,
        runtime: Runtime::Unknown,
        discovery: Some(Arc::new(Discovery { ports: vec![port], ..Discovery::default() })),
        labels: Vec::new().into(),
        host_ports: Vec::new().into(),
        mappings: Vec::new().into(),
        network: Arc::new(Network::default()),
        network_told: 0,
    }
}

fn state(tasks: Vec<Task>) -> Event<Input> {
    let agent = Agent {
        id: "agent".into(),
        address: Some(([10, 0, 0, 5], 5051).into()),
        hostname: "node5".into(),
    };
    let framework = Framework {
        id: "f".into(),
        name: "marathon".into(),
        active: true,
        connected: true,
        hostname: "".into(),
        scheduler: None,
    };
    let state =
        State { agents: vec![agent], frameworks: vec![framework], tasks, ..State::default() };
    let leader = LeaderFact { address: ([10, 0, 0, 1], 5050).into(), is_tls: false };
    Event::Connected { leader, input: Input::State(Box::new(state)) }
}

fn ended(number: u16) -> Event<Input> {
    Event::Change(Input::TaskUpdated(StatusUpdate {
        id: format!("t{number}").into(),
        framework: "f".into(),
        phase: Phase::Ended,
        healthy: None,
        network: None,
        told: 2,
    }))
}

struct Test {
    tell: mpsc::Sender<Event<Input>>,
    view: Arc<View>,
    listener: Listener,
    task: JoinHandle<()>,
}

impl Test {
    async fn start(store: &Arc<dyn ClusterState>, retention: Duration) -> Test {
        let (addresses, watch) = Addresses::open(Arc::clone(store), RANGE).await.unwrap();
        let view = Arc::new(View::default());
        let controller = Controller::new(addresses, Arc::clone(&view), retention);
        let (tell, events) = mpsc::channel(16);
        let task = tokio::spawn(controller.run(events, watch));
        let listener = view.listen(9).unwrap();
        Test { tell, view, listener, task }
    }

    async fn tell(&self, event: Event<Input>) {
        self.tell.send(event).await.unwrap();
    }

    async fn names(&mut self) -> Vec<NameLine> {
        loop {
            let lines = self.listener.names(&self.view, |ip| ip);
            if !lines.is_empty() {
                return lines;
            }
            timeout(PATIENCE, self.listener.changed()).await.unwrap();
        }
    }

    /// The name's address, from the only line that is heard next.
    async fn put(&mut self) -> (String, Ipv4Addr) {
        let lines = self.names().await;
        let [NameLine { put: Some(one), .. }] = &lines[..] else { panic!("{lines:?}") };
        (one.name.clone(), one.ip)
    }

    async fn stop(self) {
        drop(self.tell);
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn store(folder: &tempfile::TempDir) -> Arc<dyn ClusterState> {
    cluster_state::embedded::open(folder.path().join("state")).unwrap()
}

#[tokio::test]
async fn a_name_keeps_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let mut test = Test::start(&store, PATIENCE).await;
    test.tell(state(Vec::new())).await;
    let first = test.names().await;
    assert_eq!(first, [NameLine { vips: Some(Vec::new()), ..NameLine::default() }]);
    test.tell(Event::Change(Input::TaskAdded(task(1, "/web:80")))).await;
    let web = test.put().await;
    assert_eq!(web.0, "web.marathon");
    test.tell(ended(1)).await;
    assert!(
        matches!(&test.names().await[..], [NameLine { gone: Some(name), .. }] if name == "web.marathon")
    );
    test.tell(Event::Change(Input::TaskAdded(task(2, "/web:8080")))).await;
    assert_eq!(test.put().await, web, "also when nobody had it for a while");
    test.stop().await;

    // Whoever comes next gives it the same.
    let mut test = Test::start(&store, PATIENCE).await;
    test.tell(state(vec![task(1, "/web:80"), task(2, "/db:80")])).await;
    let first = test.names().await;
    let [NameLine { vips: Some(all), .. }] = &first[..] else { panic!("{first:?}") };
    assert!(all.iter().any(|one| (one.name.clone(), one.ip) == web), "{all:?}");
    assert_eq!(all.len(), 2);
    test.stop().await;
}

#[tokio::test]
async fn what_was_known_stays_while_nobody_leads() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = Test::start(&store(&folder), PATIENCE).await;
    test.tell(state(vec![task(1, "/web:80")])).await;
    test.names().await;
    test.tell(Event::Cut).await;
    test.tell(state(vec![task(1, "/web:80"), task(2, "/db:80")])).await;
    assert_eq!(test.put().await.0, "db.marathon", "nothing else was heard");
    assert!(test.view.snapshot().led);
    test.stop().await;
}

#[tokio::test]
async fn an_address_is_free_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let tasks = || state(vec![task(1, "/web:80"), task(2, "/db:80")]);
    let mut test = Test::start(&store, Duration::from_secs(3600)).await;
    test.tell(tasks()).await;
    test.names().await;
    test.tell(ended(1)).await;
    test.names().await;
    test.stop().await;
    assert_eq!(store.list("/vips/addresses/").await.unwrap().len(), 2, "not yet");
    let mut watch = store.watch("/vips/addresses/").await.unwrap();
    let mut test = Test::start(&store, Duration::ZERO).await;
    test.tell(tasks()).await;
    test.names().await;
    test.tell(ended(1)).await;
    let freed = timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    let freed: Vec<_> = freed.iter().map(|one| (one.key.as_str(), one.value.is_none())).collect();
    assert_eq!(freed, [("/vips/addresses/web.marathon", true)]);
    assert_eq!(store.list("/vips/taken/").await.unwrap().len(), 1);
    test.stop().await;
}

#[test]
fn moments_are_written_as_the_original_does() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_795_251_962, "2026-11-21T09:06:02.000Z"),
    ] {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
    }
}
