//! Health checks: probes that run by timer, with results that are reported, never acted on; the
//! scheduler decides what an unhealthy task deserves.

use std::sync::Arc;
use std::time::Duration;

use bcs_mesos::TaskState;
use tokio::time::Instant;

use crate::agent::chain;
use crate::commands;
use crate::group::{Group, Incoming};
use crate::host::{Host, boot_millis};
use crate::plan::Probe;
use crate::step::Phase;

impl Group {
    /// The program runs: the first probe comes after the delay.
    pub(crate) fn start_checks(&mut self, id: &str) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        if let Some(check) = &slot.plan.check {
            slot.probe_at = Some(Instant::now() + Duration::from_millis(check.delay));
        }
    }

    /// Starts a probe.
    pub(crate) fn probe(&mut self, id: &str) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let Some(check) = slot.plan.check.clone() else {
            return;
        };
        let run = slot.state.run;
        let address = slot.address.clone();
        let limit = Duration::from_millis(check.timeout);
        let command = match &check.probe {
            Probe::Command(argv) => self.command(id, argv.clone(), "check"),
            Probe::Http { .. } | Probe::Tcp { .. } => None,
        };
        let (host, sender, task) = (self.host.clone(), self.sender.clone(), id.to_owned());
        self.host.tasks.spawn("health check", async move {
            let result = match command {
                Some(mut command) => {
                    command.time = limit;
                    command.output = 4096;
                    commands::run(&host, command).await.success()
                }
                None => {
                    let work = network(&host, &check.probe, &address);
                    let late = |_| Err(format!("no answer within {} ms", limit.as_millis()));
                    tokio::time::timeout(limit, work).await.unwrap_or_else(late)
                }
            };
            drop(sender.send(Incoming::Probe { task, run, result }).await);
        });
    }

    /// A probe ended.
    pub(crate) fn probed(&mut self, id: &str, run: u32, result: Result<(), String>) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        if slot.state.run != run || slot.state.phase != Phase::Running {
            return;
        }
        let Some(check) = &slot.plan.check else {
            return;
        };
        slot.probe_at = Some(Instant::now() + Duration::from_millis(check.interval));
        let started = u64::try_from(slot.state.started_at / 1_000_000).unwrap_or_default();
        let now = u64::try_from(bcs_kit::clock::unix_millis()).unwrap_or_default();
        let young = now.saturating_sub(started) < check.grace && boot_millis() > 0;
        let before = (slot.health.checked, slot.health.healthy);
        let failed = match result {
            Ok(()) => {
                slot.health.checked = true;
                slot.health.healthy = true;
                slot.health.failures = 0;
                slot.health.message = String::new();
                false
            }
            // It may still be starting; until its grace is over only success counts.
            Err(_) if young && !slot.health.checked => false,
            Err(why) => {
                slot.health.checked = true;
                slot.health.healthy = false;
                slot.health.failures += 1;
                slot.health.message = format!("health check failed: {why}");
                true
            }
        };
        if before != (slot.health.checked, slot.health.healthy) {
            self.report(id, TaskState::Running);
        } else if failed {
            self.refresh(id);
        }
    }
}

/// Probes over the network. A program may listen on the loopback address, or only on the host's.
async fn network(host: &Arc<Host>, probe: &Probe, address: &str) -> Result<(), String> {
    let first = attempt(host, probe, "127.0.0.1").await;
    match first {
        Err(Attempt { refused: true, .. }) if !address.is_empty() && address != "127.0.0.1" => {
            attempt(host, probe, address)
                .await
                .map_err(|attempt| attempt.why)
        }
        other => other.map_err(|attempt| attempt.why),
    }
}

struct Attempt {
    why: String,
    refused: bool,
}

async fn attempt(host: &Arc<Host>, probe: &Probe, address: &str) -> Result<(), Attempt> {
    let bracketed = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    match probe {
        Probe::Tcp { port } => match tokio::net::TcpStream::connect((address, *port)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Attempt {
                why: format!("connect to {bracketed}:{port}: {error}"),
                refused: true,
            }),
        },
        Probe::Http { scheme, port, path } => {
            let url = format!("{scheme}://{bracketed}:{port}{path}");
            match host.prober.get(&url).send().await {
                Ok(answer) if (200..400).contains(&answer.status().as_u16()) => Ok(()),
                Ok(answer) => Err(Attempt {
                    why: format!("GET {url}: {}", answer.status()),
                    refused: false,
                }),
                Err(error) => Err(Attempt {
                    refused: error.is_connect(),
                    why: chain(&error),
                }),
            }
        }
        Probe::Command(_) => Ok(()),
    }
}
