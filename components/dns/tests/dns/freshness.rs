//! Many changes one after the other: what was told last is what is said.

use hickory_proto::op::ResponseCode::{NXDomain, NoError};
use hickory_proto::rr::RecordType::A;
use mesos_messages::v1::TaskState;

use super::fakes::{Fake, Master, added, state, task, updated};
use super::harness::{Server, config};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_many_changes_counts() {
    let master = Master::new(state(Vec::new()));
    let fake = Fake::start("127.0.0.1:0", master.clone()).await;
    let server = Server::start(config(&fake.url())).await;
    server.until("leader.mesos", A, NoError, &["127.0.0.1"]).await;
    for round in 0..500_u32 {
        let (id, ip) = (format!("web.{round}"), format!("9.0.{}.{}", round / 250, round % 250 + 1));
        master.tell(added(task(&id, "web", &ip))).await;
        if round > 0 {
            let before = format!("web.{}", round - 1);
            master.tell(updated(&before, TaskState::TaskFinished)).await;
        }
    }
    server.until("web.marathon.mesos", A, NoError, &["9.0.1.250"]).await;
    master.tell(updated("web.499", TaskState::TaskFailed)).await;
    server.until("web.marathon.mesos", A, NXDomain, &[]).await;
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains("\ndns_tasks 0\n"), "{metrics}");
    server.stop().await;
    fake.stop().await;
}
