//! The link to the master: one stream of commands, and batches of messages beside it.
//!
//! It is made anew, with the whole state, whenever anything on it fails.

use std::time::Duration;

use bcs_httpd::Client;
use bcs_kit::{Backoff, Context};
use bcs_mesos::link::{Batch, Command, MESSAGES_PATH, Message, Registered, STREAM_PATH};
use bcs_mesos::recordio::{Decoder, RecordError};
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::{Input, Reply};
use crate::driver::{Attach, Handle};

/// Messages that go in one request.
const BATCH: usize = 256;
/// Silence of the master for this many of its heartbeats ends the link.
const MISSED: u32 = 4;

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the master refused the registration ({status}): {text}")]
    Refused { status: StatusCode, text: String },
    #[error("the master's stream is broken: {0}")]
    Record(#[from] RecordError),
    #[error("the master's stream has an unreadable command: {0}")]
    Command(#[from] prost::DecodeError),
    #[error("the master ended the stream")]
    Ended,
    #[error("the master was silent for {0:?}")]
    Silent(Duration),
    #[error("messages could not be sent")]
    Messages,
    #[error("the agent's core has left")]
    Core,
}

/// Keeps the link up until shutdown.
pub(crate) async fn run(client: Client, handle: Handle, heartbeat: Duration, context: Context) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let attempt = one_link(&client, &handle, heartbeat, &context, &mut backoff);
        let Some(Err(error)) = context.shutdown.run_until(attempt).await else {
            return;
        };
        context.ready.say(format!(
            "no link to the master at {}: {error}",
            client.endpoint()
        ));
        if backoff.worth_logging() {
            tracing::warn!(%error, master = %client.endpoint(), "no link to the master, trying again");
        }
        if !backoff.wait(&context.shutdown).await {
            return;
        }
    }
}

async fn one_link(
    client: &Client,
    handle: &Handle,
    heartbeat: Duration,
    context: &Context,
    backoff: &mut Backoff,
) -> Result<(), LinkError> {
    let (sender, receiver) = oneshot::channel();
    let Reply::State { link, register } = handle.ask(Input::Compose, Attach::Link(sender)).await
    else {
        return Err(LinkError::Core);
    };
    let outcome = async {
        let messages = receiver.await.map_err(|_| LinkError::Core)?;
        converse(
            client,
            handle,
            heartbeat,
            context,
            backoff,
            link,
            register.encode_to_vec(),
            messages,
        )
        .await
    }
    .await;
    handle.tell(Input::Unlinked { link }).await;
    outcome
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of one link, used once"
)]
async fn converse(
    client: &Client,
    handle: &Handle,
    heartbeat: Duration,
    context: &Context,
    backoff: &mut Backoff,
    link: u64,
    register: Vec<u8>,
    messages: mpsc::Receiver<Message>,
) -> Result<(), LinkError> {
    let request = client
        .stream_request(Method::POST, STREAM_PATH)
        .body(register)
        .send();
    let response = tokio::time::timeout(Duration::from_secs(30), request)
        .await
        .map_err(|_| LinkError::Silent(Duration::from_secs(30)))??;
    if !response.status().is_success() {
        let status = response.status();
        let text = response
            .text()
            .await
            .unwrap_or_default()
            .chars()
            .take(500)
            .collect();
        return Err(LinkError::Refused { status, text });
    }
    let mut body = response.bytes_stream();
    let mut decoder = Decoder::default();
    let (session, sender_session) = watch::channel(None::<String>);
    let sending = send_messages(client, messages, sender_session, heartbeat);
    tokio::pin!(sending);
    let mut patience = Duration::from_secs(60);
    loop {
        let chunk = tokio::select! {
            chunk = tokio::time::timeout(patience, body.next()) => chunk,
            error = &mut sending => return Err(error),
        };
        let chunk = match chunk {
            Err(_) => return Err(LinkError::Silent(patience)),
            Ok(None) => return Err(LinkError::Ended),
            Ok(Some(chunk)) => chunk?,
        };
        decoder.push(&chunk);
        while let Some(record) = decoder.next_record()? {
            let command = Command::decode(record)?;
            if let Some(Registered {
                agent_id,
                session: id,
                heartbeat_milliseconds,
            }) = &command.registered
            {
                patience = Duration::from_millis(*heartbeat_milliseconds)
                    .max(Duration::from_millis(50))
                    * MISSED;
                session.send_replace(Some(id.clone()));
                context
                    .ready
                    .say(format!("linked to {} as {agent_id}", client.endpoint()));
                tracing::info!(agent = %agent_id, master = %client.endpoint(), "linked to the master");
                backoff.reset();
            } else if is_heartbeat(&command) {
                continue;
            }
            // In order, and without waiting for each: the core makes durable what comes together.
            handle
                .tell(Input::Command {
                    link,
                    command: Box::new(command),
                })
                .await;
        }
    }
}

fn is_heartbeat(command: &Command) -> bool {
    *command == Command::default()
}

/// Sends messages in order until something fails; silence is filled with empty batches.
async fn send_messages(
    client: &Client,
    mut messages: mpsc::Receiver<Message>,
    mut session: watch::Receiver<Option<String>>,
    heartbeat: Duration,
) -> LinkError {
    let id = match session.wait_for(Option::is_some).await {
        Ok(id) => id.clone().unwrap_or_default(),
        Err(_) => return LinkError::Ended,
    };
    loop {
        let mut batch = Vec::new();
        let waited = tokio::time::timeout(heartbeat, messages.recv_many(&mut batch, BATCH)).await;
        if waited == Ok(0) {
            return LinkError::Messages;
        }
        let body = Batch {
            session: id.clone(),
            messages: batch,
        }
        .encode_to_vec();
        match client
            .request(Method::POST, MESSAGES_PATH)
            .body(body)
            .send()
            .await
        {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                let status = response.status();
                return LinkError::Refused {
                    status,
                    text: response.text().await.unwrap_or_default(),
                };
            }
            Err(error) => return LinkError::Http(error),
        }
    }
}
