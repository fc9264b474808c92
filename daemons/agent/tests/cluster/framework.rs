//! A small scheduler that speaks the v1 scheduler API, in JSON or protobuf.

use std::collections::VecDeque;
use std::time::Duration;

use bcs_httpd::Client;
use bcs_mesos::recordio::Decoder;
use bcs_mesos::scheduler::{Call, Event, call, event};
use bcs_mesos::types::*;
use bcs_mesos::{ContentType, WireName as _};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{Method, StatusCode};

use crate::host::PATIENCE;

pub(crate) struct Framework {
    client: Client,
    pub(crate) encoding: ContentType,
    pub(crate) info: FrameworkInfo,
    pub(crate) stream_id: String,
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    decoder: Decoder,
    seen: VecDeque<Event>,
    /// Acknowledge statuses as they come.
    pub(crate) acknowledging: bool,
}

pub(crate) fn framework_info(partition_aware: bool) -> FrameworkInfo {
    let capability = |kind: FrameworkCapabilityType| FrameworkCapability {
        r#type: Some(kind.number()),
    };
    let mut capabilities = vec![capability(FrameworkCapabilityType::MultiRole)];
    if partition_aware {
        capabilities.push(capability(FrameworkCapabilityType::PartitionAware));
    }
    FrameworkInfo {
        user: "root".to_owned(),
        name: "test".to_owned(),
        failover_timeout: Some(3600.0),
        checkpoint: Some(true),
        roles: vec!["*".to_owned()],
        capabilities,
        ..FrameworkInfo::default()
    }
}

impl Framework {
    pub(crate) async fn subscribe(
        client: Client,
        info: FrameworkInfo,
        encoding: ContentType,
    ) -> Self {
        let call = Call {
            framework_id: info.id.clone(),
            r#type: Some(call::Type::Subscribe.number()),
            subscribe: Some(call::Subscribe {
                framework_info: info.clone(),
                suppressed_roles: Vec::new(),
            }),
            ..Call::default()
        };
        let body = bcs_mesos::encode(&call, encoding).unwrap();
        let deadline = std::time::Instant::now() + PATIENCE;
        let response = loop {
            let sent = client
                .stream_request(Method::POST, "/api/v1/scheduler")
                .header("content-type", encoding.media_type())
                .header("accept", encoding.media_type())
                .body(body.clone())
                .send()
                .await;
            match sent {
                Ok(response) => break response,
                // A connection of a master that has left.
                Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let status = response.status();
        if status != StatusCode::OK {
            panic!("{status}: {}", response.text().await.unwrap());
        }
        assert_eq!(response.headers()["content-type"], encoding.media_type());
        let stream_id = response.headers()["mesos-stream-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let mut framework = Self {
            client,
            encoding,
            info,
            stream_id,
            body: response.bytes_stream().boxed(),
            decoder: Decoder::default(),
            seen: VecDeque::new(),
            acknowledging: true,
        };
        let subscribed = framework
            .event(event::Type::Subscribed)
            .await
            .subscribed
            .unwrap();
        framework.info.id = Some(subscribed.framework_id);
        framework
    }

    pub(crate) fn id(&self) -> FrameworkId {
        self.info.id.clone().unwrap()
    }

    /// The next event of any kind but heartbeats; `None` at the end of the stream.
    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(record) = self.decoder.next_record().unwrap() {
                let event: Event = bcs_mesos::decode(&record, self.encoding).unwrap();
                if event.r#type() == event::Type::Heartbeat {
                    continue;
                }
                if self.acknowledging
                    && let Some(update) = &event.update
                    && update.status.wants_acknowledgement()
                {
                    self.acknowledge(&update.status).await;
                }
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .expect("the stream goes on");
            self.decoder.push(&chunk?.ok()?);
        }
    }

    /// The next event that fits; others are kept.
    pub(crate) async fn event_where(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        if let Some(position) = self.seen.iter().position(&fits) {
            return self.seen.remove(position).unwrap();
        }
        let search = async {
            loop {
                let event = self.read().await.expect("the stream goes on");
                if fits(&event) {
                    return event;
                }
                self.seen.push_back(event);
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(event) => event,
            Err(_) => panic!("no event {what}; seen: {:#?}", self.seen),
        }
    }

    pub(crate) async fn event(&mut self, kind: event::Type) -> Event {
        self.event_where(&kind.to_string(), |event| event.r#type() == kind)
            .await
    }

    pub(crate) async fn offer(&mut self) -> Offer {
        self.event(event::Type::Offers)
            .await
            .offers
            .unwrap()
            .offers
            .remove(0)
    }

    pub(crate) async fn status(&mut self, task: &str, state: TaskState) -> TaskStatus {
        self.event_where(&format!("{task} {state}"), |event| {
            event.update.as_ref().is_some_and(|update| {
                update.status.task_id.value == task && update.status.state() == state
            })
        })
        .await
        .update
        .unwrap()
        .status
    }

    /// Nothing of that kind comes for a while.
    pub(crate) async fn silence(&mut self, kind: event::Type, time: Duration) {
        assert!(
            !self.seen.iter().any(|event| event.r#type() == kind),
            "{:?}",
            self.seen
        );
        let come = tokio::time::timeout(time, async {
            loop {
                let event = self.read().await.expect("the stream goes on");
                if event.r#type() == kind {
                    return event;
                }
                self.seen.push_back(event);
            }
        });
        if let Ok(event) = come.await {
            panic!("unexpected: {event:?}");
        }
    }

    pub(crate) fn forget_seen(&mut self) {
        self.seen.clear();
    }

    /// Reads to the end of the stream.
    pub(crate) async fn end(mut self) -> Vec<Event> {
        while let Some(event) = self.read().await {
            self.seen.push_back(event);
        }
        self.seen.into()
    }

    pub(crate) async fn try_call(&self, mut call: Call) -> (StatusCode, String) {
        call.framework_id = self.info.id.clone();
        let response = self
            .client
            .request(Method::POST, "/api/v1/scheduler")
            .header("content-type", self.encoding.media_type())
            .header("mesos-stream-id", &self.stream_id)
            .body(bcs_mesos::encode(&call, self.encoding).unwrap())
            .send()
            .await
            .unwrap();
        (response.status(), response.text().await.unwrap())
    }

    pub(crate) async fn call(&self, call: Call) {
        assert_eq!(
            self.try_call(call).await,
            (StatusCode::ACCEPTED, String::new())
        );
    }

    pub(crate) async fn acknowledge(&self, status: &TaskStatus) {
        self.call(Call {
            r#type: Some(call::Type::Acknowledge.number()),
            acknowledge: Some(call::Acknowledge {
                agent_id: status.agent_id.clone().unwrap(),
                task_id: status.task_id.clone(),
                uuid: status.uuid.clone().unwrap(),
            }),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn accept(
        &self,
        offers: &[&Offer],
        operations: Vec<Operation>,
        refuse_seconds: f64,
    ) {
        self.call(Call {
            r#type: Some(call::Type::Accept.number()),
            accept: Some(call::Accept {
                offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
                operations,
                filters: Some(Filters {
                    refuse_seconds: Some(refuse_seconds),
                }),
            }),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn decline(&self, offer: &Offer, refuse_seconds: f64) {
        self.call(Call {
            r#type: Some(call::Type::Decline.number()),
            decline: Some(call::Decline {
                offer_ids: vec![offer.id.clone()],
                filters: Some(Filters {
                    refuse_seconds: Some(refuse_seconds),
                }),
            }),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn kill(&self, task: &str) {
        self.call(Call {
            r#type: Some(call::Type::Kill.number()),
            kill: Some(call::Kill {
                task_id: task.into(),
                agent_id: None,
                kill_policy: None,
            }),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn shutdown(&self, executor: &str, agent: &AgentId) {
        self.call(Call {
            r#type: Some(call::Type::Shutdown.number()),
            shutdown: Some(call::Shutdown {
                executor_id: executor.into(),
                agent_id: agent.clone(),
            }),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn simple(&self, kind: call::Type) {
        self.call(Call {
            r#type: Some(kind.number()),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn reconcile(&self, tasks: &[(&str, Option<&AgentId>)]) {
        let tasks = tasks
            .iter()
            .map(|(task, agent)| call::ReconcileTask {
                task_id: (*task).into(),
                agent_id: agent.cloned(),
            })
            .collect();
        self.call(Call {
            r#type: Some(call::Type::Reconcile.number()),
            reconcile: Some(call::Reconcile { tasks }),
            ..Call::default()
        })
        .await;
    }
}

pub(crate) fn scalars(cpus: f64, mem: f64) -> Vec<Resource> {
    vec![
        bcs_mesos::resources::scalar("cpus", cpus),
        bcs_mesos::resources::scalar("mem", mem),
    ]
}

pub(crate) fn executor_info(id: &str, command: &str) -> ExecutorInfo {
    let mut resources = scalars(0.01, 32.0);
    resources.push(bcs_mesos::resources::scalar("disk", 32.0));
    ExecutorInfo {
        r#type: Some(ExecutorInfoType::Custom.number()),
        executor_id: id.into(),
        command: Some(CommandInfo {
            value: Some(command.to_owned()),
            ..CommandInfo::default()
        }),
        resources,
        ..ExecutorInfo::default()
    }
}

pub(crate) fn task(id: &str, offer: &Offer) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: id.into(),
        agent_id: offer.agent_id.clone(),
        resources: scalars(0.1, 16.0),
        data: Some(Bytes::from_static(b"{}")),
        ..TaskInfo::default()
    }
}

pub(crate) fn group(executor: ExecutorInfo, tasks: Vec<TaskInfo>) -> Operation {
    Operation {
        r#type: Some(OperationType::LaunchGroup.number()),
        launch_group: Some(LaunchGroup {
            executor,
            task_group: TaskGroupInfo { tasks },
        }),
        ..Operation::default()
    }
}

pub(crate) fn launch(tasks: Vec<TaskInfo>) -> Operation {
    Operation {
        r#type: Some(OperationType::Launch.number()),
        launch: Some(Launch { task_infos: tasks }),
        ..Operation::default()
    }
}
