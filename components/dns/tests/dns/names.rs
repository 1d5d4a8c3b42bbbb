//! Names come, go and stay.

use std::sync::Arc;

use dns::Config;
use hickory_proto::op::ResponseCode::{NXDomain, NoError, ServFail};
use hickory_proto::rr::RecordType::{A, AAAA, SRV};
use mesos_messages::v1::master::response::{GetAgents, GetState};
use mesos_messages::v1::{AgentInfo, TaskState};

use super::fakes::{Fake, Master, Net, added, agent, agent_added, heartbeat, state, task, updated};
use super::harness::{Server, config};

#[tokio::test(flavor = "multi_thread")]
async fn names_come_and_go_with_tasks() {
    let master = Master::new(state(vec![task("web.1", "c.b.a", "9.0.0.1")]));
    let fake = Fake::start("127.0.0.1:0", master.clone()).await;
    let server = Server::start(config(&fake.url())).await;
    server.until("c-b-a.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("c.b.a.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("C-b-A.Marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("c-b-a.marathon.mesos", AAAA, NoError, &[]).await;
    server.is("c-b-a.marathon.slave.mesos", A, NoError, &["127.0.0.2"]).await;
    server.is("none.marathon.mesos", A, NXDomain, &[]).await;
    let canonical = "c-b-a-hkdiu-s7.marathon.mesos.:80";
    let (_, found) = server.ask("_http._c-b-a._tcp.marathon.mesos", SRV).await;
    let [service] = &*found else { panic!("{found:?}") };
    assert!(
        service.starts_with("c-b-a-") && service.ends_with("-s7.marathon.mesos.:80"),
        "{service}"
    );
    assert_eq!(service.len(), canonical.len());
    server.is(service.strip_suffix(".:80").unwrap(), A, NoError, &["9.0.0.1"]).await;

    // Of others than tasks.
    let ip = "127.0.0.1";
    let port = format!("leader.mesos.:{}", fake.address.port());
    server.is("leader.mesos", A, NoError, &[ip]).await;
    server.is("master0.mesos", A, NoError, &[ip]).await;
    server.is("_leader._tcp.mesos", SRV, NoError, &[&port]).await;
    server.is("slave.mesos", A, NoError, &["127.0.0.2"]).await;
    server.until("marathon.mesos", A, NoError, &["127.0.0.3"]).await;
    server.is("_framework._tcp.marathon.mesos", SRV, NoError, &["marathon.mesos.:4321"]).await;
    server.is("ready.spartan", A, NoError, &[ip]).await;

    // As dcos-net calls them, and by their other names.
    server.is("c-b-a.marathon.agentip.dcos.thisdcos.directory", A, NoError, &["127.0.0.2"]).await;
    server.is("c-b-a.marathon.autoip.dcos.thisdcos.directory", A, NoError, &["9.0.0.1"]).await;
    server.is("c-b-a.marathon.containerip.dcos.thisdcos.global", A, NoError, &["9.0.0.1"]).await;
    server.is("c-b-a.marathon.mesos.thisdcos.directory", A, NoError, &["9.0.0.1"]).await;
    server.is("x.marathon.agentip.dcos.thisdcos.directory", A, NXDomain, &[]).await;

    master.tell(added(task("web.2", "c.b.a", "9.0.0.2"))).await;
    server.until("c-b-a.marathon.mesos", A, NoError, &["9.0.0.1", "9.0.0.2"]).await;
    master.tell(updated("web.1", TaskState::TaskKilling)).await;
    server.until("c-b-a.marathon.mesos", A, NoError, &["9.0.0.2"]).await;
    master.tell(updated("web.2", TaskState::TaskKilled)).await;
    server.until("c-b-a.marathon.mesos", A, NXDomain, &[]).await;
    server.is("c-b-a.marathon.slave.mesos", A, NXDomain, &[]).await;
    server.stop().await;
    fake.stop().await;
}

/// That a name does not exist is only said once somebody told which do.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_denied_before_a_master_has_told() {
    let master = Master::new(state(vec![task("web.1", "web", "9.0.0.1")]));
    let fake = Fake::start("127.0.0.1:0", master.clone()).await;
    let (address, url) = (fake.address.to_string(), fake.url());
    fake.stop().await;
    let server = Server::start(config(&url)).await;
    for name in ["web.marathon.mesos", "none.marathon.mesos"] {
        server.is(name, A, ServFail, &[]).await;
    }
    server.is("web.marathon.autoip.dcos.thisdcos.directory", A, ServFail, &[]).await;
    server.is("ready.spartan", A, NoError, &["127.0.0.1"]).await;
    server.is("none.spartan", A, NXDomain, &[]).await;
    server.is("web.marathon.l4lb.thisdcos.directory", A, NXDomain, &[]).await;
    assert_eq!(server.get("/health").await.0, 503);
    let fake = Fake::start(&address, master.clone()).await;
    server.until("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("none.marathon.mesos", A, NXDomain, &[]).await;
    assert_eq!(server.get("/health").await.0, 200);
    server.stop().await;
    fake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_last_is_said_with_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let master = Master::new(state(vec![task("web.1", "web", "9.0.0.1")]));
    let fake = Fake::start("127.0.0.1:0", master.clone()).await;
    let config = || Config { data_dir: Some(dir.path().join("dns")), ..config(&fake.url()) };
    let server = Server::start(config()).await;
    server.until("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;

    // No master leads: the names stay, and how old they are is said.
    let (config, address) = (config(), fake.address.to_string());
    master.hang_up();
    fake.stop().await;
    let follows = |health: &str| health.contains("\"follows_master\":true");
    while follows(&server.get("/health").await.1) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.is("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("none.marathon.mesos", A, NXDomain, &[]).await;
    let age = server.json("/health").await["data_age_seconds"].as_f64().unwrap();
    assert!(age > 0.0, "{age}");
    server.stop().await;

    // Nor while this server begins again.
    let server = Server::start(config).await;
    server.is("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("leader.mesos", A, NoError, &["127.0.0.1"]).await;
    server.is("none.marathon.mesos", A, ServFail, &[]).await;
    let (status, health) = server.get("/health").await;
    assert_eq!(status, 503);
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert!(health["data_age_seconds"].as_f64().unwrap() >= age, "{health}");
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains("\ndns_follows_master 0\n"), "{metrics}");

    *master.state.lock().unwrap() = state(vec![task("api.1", "api", "9.0.0.2")]);
    let fake = Fake::start(&address, master.clone()).await;
    server.until("api.marathon.mesos", A, NoError, &["9.0.0.2"]).await;
    server.is("web.marathon.mesos", A, NXDomain, &[]).await;
    server.stop().await;
    fake.stop().await;
}

/// A new master learns of tasks when their agents come back to it; they run all the while.
#[tokio::test(flavor = "multi_thread")]
async fn names_outlive_the_change_of_the_master() {
    let tasks = || vec![task("web.1", "web", "9.0.0.1"), task("api.1", "api", "9.0.0.2")];
    let master = Master::new(state(tasks()));
    let fake = Fake::start("127.0.0.1:0", master.clone()).await;
    let server = Server::start(config(&fake.url())).await;
    server.until("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;

    let recovered: AgentInfo = agent().agent_info;
    *master.state.lock().unwrap() = GetState {
        get_agents: Some(GetAgents { recovered_agents: vec![recovered], ..GetAgents::default() }),
        ..GetState::default()
    };
    master.hang_up();
    master.listener().await;
    // Something that is told after the state: when it is there, that is.
    master.tell(added(task("new.1", "new", "9.0.0.3"))).await;
    server.until("new.marathon.mesos", A, NoError, &["9.0.0.3"]).await;
    server.is("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.is("web.marathon.slave.mesos", A, NoError, &["127.0.0.2"]).await;

    // The agent is back, with one of the two.
    master.tell(agent_added()).await;
    master.tell(added(task("web.1", "web", "9.0.0.1"))).await;
    master.tell(heartbeat()).await;
    master.tell(heartbeat()).await;
    server.until("api.marathon.mesos", A, NXDomain, &[]).await;
    server.is("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.stop().await;
    fake.stop().await;
}

/// Server and master are both new: what runs is only known when agents have said it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_denied_before_agents_have_said_what_they_run() {
    let recovered: AgentInfo = agent().agent_info;
    let master = Master::new(GetState {
        get_agents: Some(GetAgents { recovered_agents: vec![recovered], ..GetAgents::default() }),
        ..state(vec![task("new.1", "new", "9.0.0.3")])
    });
    let fake = Fake::start("127.0.0.1:0", master.clone()).await;
    let server = Server::start(config(&fake.url())).await;
    server.until("new.marathon.mesos", A, NoError, &["9.0.0.3"]).await;
    server.is("web.marathon.mesos", A, ServFail, &[]).await;
    server.is("web.marathon.agentip.dcos.thisdcos.directory", A, ServFail, &[]).await;
    master.tell(added(task("web.1", "web", "9.0.0.1"))).await;
    master.tell(agent_added()).await;
    server.until("web.marathon.mesos", A, NoError, &["9.0.0.1"]).await;
    server.until("none.marathon.mesos", A, NXDomain, &[]).await;
    server.stop().await;
    fake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_addresses_have_names() {
    let (master, net) = (Master::new(state(Vec::new())), Arc::new(Net::default()));
    let fake = Fake::start("127.0.0.1:0", master).await;
    let vips = Fake::start("127.0.0.1:0", net.clone()).await;
    let config = Config { net: Some(vips.url()), ..config(&fake.url()) };
    let server = Server::start(config).await;
    let full = |name: &str, zone: &str| format!("{name}.marathon.{zone}.thisdcos.directory");
    server.until(&full("web", "l4lb"), A, NoError, &["11.1.2.3"]).await;
    server.is(&full("web", "dclb"), A, NoError, &["11.1.2.3"]).await;
    server.is("web.marathon.dclb.thisdcos.global", A, NoError, &["11.1.2.3"]).await;
    net.tell("{\"put\":{\"name\":\"api.marathon\",\"ip\":\"11.1.2.4\"}}\n{}\n").await;
    server.until(&full("api", "l4lb"), A, NoError, &["11.1.2.4"]).await;
    net.tell("{\"gone\":\"web.marathon\"}\n").await;
    server.until(&full("web", "l4lb"), A, NXDomain, &[]).await;
    server.stop().await;
    vips.stop().await;
    fake.stop().await;
}
