//! (c) agents with their tasks come back to a restarted master; (d) large reads with those tasks; (f) memory an agent.
use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result};
use mesos_messages::v1;
use tokio::net::TcpStream;

use crate::{
    http::{self, Calls, Events},
    master_process::MasterProcess,
    simulated::{Agents, Plan, agent_resources},
    table::{Row, median},
};

const HOSTS: usize = 16;

/// Re-registers and then reads.
pub(crate) async fn run(agents: usize, tasks_each: usize) -> Result<Vec<Row>> {
    let state = tempfile::tempdir()?;
    let path = state.path().join("state");
    let first = MasterProcess::start(&path)?;
    let mut plan = Plan {
        master: first.address,
        hosts: HOSTS,
        agents,
        resources: agent_resources(24.0, 40_960.0),
    };
    let before = first.resident()?;
    let simulated = Agents::start(&plan).await?;
    let started = Instant::now();
    simulated.register(&plan).await?;
    let admitted = started.elapsed().as_secs_f64();
    let per_agent = first.resident()?.saturating_sub(before) as f64 / agents as f64;
    let ids: Vec<String> = simulated
        .seen
        .ids
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .values()
        .cloned()
        .collect();
    anyhow::ensure!(ids.len() == agents, "{} ids for {agents} agents", ids.len());
    drop(simulated);
    drop(first);

    let second = MasterProcess::start(&path)?;
    plan.master = second.address;
    let framework = v1::FrameworkInfo {
        id: Some(v1::FrameworkId { value: "bench-0000".into() }),
        user: "root".into(),
        name: "bench".into(),
        failover_timeout: Some(3600.0),
        checkpoint: Some(true),
        ..Default::default()
    };
    let simulated = Agents::start(&plan).await?;
    let started = Instant::now();
    simulated.reregister(&plan, &ids, &framework, tasks_each).await?;
    let seconds = started.elapsed().as_secs_f64();
    let mut rows = vec![
        Row::new(format!("{agents} new agents admitted over TCP"), format!("{admitted:.2} s")),
        Row::new("(f) master memory an agent", format!("{per_agent:.0} B"))
            .target("<= 3 KB", per_agent <= 3_072.0),
        Row::new(
            format!("{agents} agents with {} tasks re-registered over TCP", agents * tasks_each),
            format!("{seconds:.2} s"),
        )
        .target("<= 1 s", seconds <= 1.0),
    ];
    rows.extend(reads(second.address, framework).await?);
    Ok(rows)
}

async fn reads(address: SocketAddr, framework: v1::FrameworkInfo) -> Result<Vec<Row>> {
    let mut connection = TcpStream::connect(address).await?;
    let mut rows = Vec::new();
    let json = br#"{"type":"GET_STATE"}"#;
    let protobuf = prost::Message::encode_to_vec(&v1::master::Call {
        r#type: Some(v1::master::call::Type::GetState.into()),
        ..Default::default()
    });
    for kind in ["/state", "GET_STATE as JSON", "GET_STATE as protobuf"] {
        let mut times = Vec::new();
        let mut length = 0;
        for _ in 0..7 {
            let started = Instant::now();
            length = match kind {
                "/state" => http::get(&mut connection, address, "/state").await?,
                "GET_STATE as JSON" => {
                    http::post(&mut connection, address, "/api/v1", "application/json", json)
                        .await?
                }
                _ => {
                    let kind = "application/x-protobuf";
                    http::post(&mut connection, address, "/api/v1", kind, &protobuf).await?
                }
            };
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let time = median(times);
        rows.push(
            Row::new(format!("{kind}, {:.1} MB", length as f64 / 1e6), format!("{time:.0} ms"))
                .target("<= 75 ms", time <= 75.0),
        );
    }
    rows.push(offer_delay(address, framework).await?);
    Ok(rows)
}

/// Offers of one agent only: what is measured is how long an offer waits, not how long ten
/// thousand take to write.
fn one_agent() -> v1::scheduler::OfferConstraints {
    use v1::scheduler::{
        AttributeConstraint,
        attribute_constraint::{Predicate, Selector, predicate, selector},
        offer_constraints::{RoleConstraints, role_constraints::Group},
    };
    let constraint = AttributeConstraint {
        selector: Selector {
            selector: Some(selector::Selector::PseudoattributeType(
                selector::PseudoattributeType::Hostname.into(),
            )),
        },
        predicate: Predicate {
            predicate: Some(predicate::Predicate::TextEquals(predicate::TextEquals {
                value: "agent-0.bench".into(),
            })),
        },
    };
    let groups = vec![Group { attribute_constraints: vec![constraint] }];
    let roles = [("*".to_owned(), RoleConstraints { groups })];
    v1::scheduler::OfferConstraints { role_constraints: roles.into() }
}

/// How much longer REVIVE to OFFERS takes while another client reads /state without a pause.
async fn offer_delay(address: SocketAddr, framework: v1::FrameworkInfo) -> Result<Row> {
    let wanted = Some(one_agent());
    let mut events = Events::subscribe_constrained(address, framework.clone(), wanted).await?;
    let mut calls = Calls::connect(address).await?;
    let id = framework.id.context("id")?;
    let quiet = median(round_trips(&mut events, &mut calls, &id, 20).await?);
    let reader = tokio::spawn(async move {
        let mut connection = TcpStream::connect(address).await?;
        loop {
            http::get(&mut connection, address, "/state").await?;
        }
        #[allow(unreachable_code)] // names the error type of the endless loop
        anyhow::Ok(())
    });
    let busy = median(round_trips(&mut events, &mut calls, &id, 20).await?);
    reader.abort();
    let delay = busy - quiet;
    Ok(Row::new(
        format!("offer after REVIVE: {quiet:.1} ms, beside /state {busy:.1} ms"),
        format!("+{delay:.1} ms"),
    )
    .target("<= 5 ms", delay <= 5.0))
}

async fn round_trips(
    events: &mut Events,
    calls: &mut Calls,
    framework_id: &v1::FrameworkId,
    times: usize,
) -> Result<Vec<f64>> {
    let mut out = Vec::new();
    let mut measured = Vec::new();
    for _ in 0..times {
        let mut offers = drain_offers(events).await?;
        let decline = v1::scheduler::Call {
            framework_id: Some(framework_id.clone()),
            r#type: Some(v1::scheduler::call::Type::Decline.into()),
            decline: Some(v1::scheduler::call::Decline {
                offer_ids: std::mem::take(&mut offers),
                filters: Some(v1::Filters { refuse_seconds: Some(1000.0) }),
            }),
            ..Default::default()
        };
        calls.append(&mut out, &events.stream_id, &decline);
        calls.flush(&mut out).await?;
        let revive = v1::scheduler::Call {
            framework_id: Some(framework_id.clone()),
            r#type: Some(v1::scheduler::call::Type::Revive.into()),
            ..Default::default()
        };
        let started = Instant::now();
        calls.append(&mut out, &events.stream_id, &revive);
        calls.flush(&mut out).await?;
        events.peek_offers().await?;
        measured.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(measured)
}

async fn drain_offers(events: &mut Events) -> Result<Vec<v1::OfferId>> {
    let offers = events.take_offers().await?;
    Ok(offers.into_iter().map(|offer| offer.id).collect())
}
