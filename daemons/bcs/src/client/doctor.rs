//! `bcs doctor` and `bcs version`: what is there, what is not, and what to do about it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bcs_api::{Client, ClientError, ClientFile, Kind, Scope};

use super::GlobalOptions;
use super::failure::{Done, Failure, one_line};
use super::output::Out;

/// What one look found.
#[derive(Debug)]
enum Finding {
    Good(String),
    /// Works, but should not stay so.
    Odd(String),
    Bad(String),
}

pub(super) async fn version(options: &GlobalOptions, out: &mut Out) -> Done {
    out.line(&format!("client  bcs {}", env!("CARGO_PKG_VERSION")))?;
    let server = match options.client() {
        Err(_) => "not configured; see `bcs doctor`".to_owned(),
        Ok(client) => match client.resources().await {
            Ok(_) => format!(
                "{} (API v4, cluster {})",
                client.address(),
                client.cluster()
            ),
            Err(error) => format!("{} {}", client.address(), one_line(&error.to_string())),
        },
    };
    out.line(&format!("server  {server}"))
}

pub(super) async fn examine(options: &GlobalOptions, out: &mut Out) -> Done {
    let mut report = Report { out, bad: 0 };
    let path = options.path();
    let client = match ClientFile::read(&path).and_then(|file| Client::new(&file)) {
        Err(error) => {
            report.add("client file", Finding::Bad(error.to_string()))?;
            return report.end();
        }
        Ok(client) => client,
    };
    report.add("client file", file(&path))?;
    let storage = client.listing(Kind::Application, Scope::All, None).await;
    let reachable = !matches!(&storage, Err(error) if error.is_absent());
    report.add(
        "gateway",
        match &storage {
            // Not the error's own words: they send people here.
            Err(ClientError::Unreachable { address, cause }) => Finding::Bad(format!(
                "{address}: {cause}; start the system with `bcs standalone` or `bcs run gateway`, \
                 or correct the address in the client file"
            )),
            Err(error) if error.is_absent() => Finding::Bad(error.to_string()),
            Err(error @ ClientError::Odd { .. }) => Finding::Bad(error.to_string()),
            _ => Finding::Good(format!(
                "{} answers, its certificate is trusted",
                client.address()
            )),
        },
    )?;
    if !reachable {
        return report.end();
    }
    let token = match &storage {
        Err(ClientError::Refused(refusal)) if matches!(refusal.status.as_u16(), 401 | 403) => {
            Finding::Bad(format!(
                "the token is refused: {}; make a new one",
                refusal.message
            ))
        }
        _ => Finding::Good("the token is accepted".to_owned()),
    };
    report.add("token", token)?;
    report.add(
        "storage",
        match &storage {
            Ok(listing) => Finding::Good(format!(
                "{} applications and processes",
                listing.items.len()
            )),
            Err(error) => Finding::Bad(error.to_string()),
        },
    )?;
    let resources = client.resources().await;
    report.add(
        "scheduler",
        match &resources {
            Ok(_) => Finding::Good(format!("cluster {} answers", client.cluster())),
            Err(error) => Finding::Bad(error.to_string()),
        },
    )?;
    if let Ok(resources) = &resources {
        let open = resources
            .agents
            .iter()
            .filter(|agent| !agent.disabled)
            .count();
        report.add(
            "nodes",
            match (resources.agents.len(), open) {
                (0, _) => Finding::Bad(
                    "no node is registered, nothing can run; start an agent and look at its log"
                        .to_owned(),
                ),
                (all, 0) => Finding::Odd(format!("all {all} are disabled; `bcs node enable NODE`")),
                (all, open) => Finding::Good(format!("{open} of {all} take new instances")),
            },
        )?;
        report.add("offers", offers(&client).await)?;
    }
    if let Ok(listing) = &storage {
        let troubled: Vec<&str> = listing
            .items
            .iter()
            .filter(|object| {
                matches!(
                    super::views::text(object, "/status").as_str(),
                    "Error" | "Abnormal"
                )
            })
            .map(super::views::name)
            .collect();
        if !troubled.is_empty() {
            let words = format!("{} not as wanted: {}", troubled.len(), troubled.join(", "));
            report.add(
                "workloads",
                Finding::Odd(format!("{words}; `bcs describe` says why")),
            )?;
        }
    }
    report.end()
}

async fn offers(client: &Client) -> Finding {
    match client.offers().await {
        Ok(offers) if offers.is_empty() => Finding::Odd(
            "the scheduler holds none; either everything is in use, or the master is not reachable"
                .to_owned(),
        ),
        Ok(offers) => Finding::Good(format!("{} held", offers.len())),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// The token inside is as good as a password.
fn file(path: &Path) -> Finding {
    match std::fs::metadata(path) {
        Err(error) => Finding::Bad(format!("{}: {error}", path.display())),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => Finding::Odd(format!(
            "{} can be read by others and holds a token; `chmod 600` it",
            path.display()
        )),
        Ok(_) => Finding::Good(path.display().to_string()),
    }
}

struct Report<'a> {
    out: &'a mut Out,
    bad: usize,
}

impl Report<'_> {
    fn add(&mut self, what: &str, finding: Finding) -> Done {
        let (word, text) = match finding {
            Finding::Good(text) => ("ok", text),
            Finding::Odd(text) => ("warn", text),
            Finding::Bad(text) => {
                self.bad += 1;
                ("FAIL", text)
            }
        };
        self.out
            .line(&format!("{word:<4}  {what:<13}  {}", one_line(&text)))?;
        self.out.flush()
    }

    fn end(self) -> Done {
        if self.bad == 0 {
            Ok(())
        } else {
            Err(Failure::Reported(1))
        }
    }
}
