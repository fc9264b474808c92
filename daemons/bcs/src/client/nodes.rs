//! Hosts: `bcs node …` and `bcs offers`.

use bcs_api::{Client, Kind, Scope};
use bcs_model::v4::{ClusterAgent, ClusterResources};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::describe::fields;
use super::failure::{Done, Failure};
use super::output::{Format, Out, list as as_list};
use super::table::Table;
use super::views::{self, View, text};

/// What can be done with hosts.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Node {
    /// Show the hosts and what is used of them
    List {
        /// How to print
        #[arg(short = 'o', long, value_enum, default_value_t)]
        output: Format,
    },
    /// Let hosts take new instances
    Enable(Hosts),
    /// Let hosts take no new instances; what runs there stays
    Disable(Hosts),
    /// Show one host with its settings and instances
    Describe {
        /// Name or address of the host
        #[arg(value_name = "NODE")]
        node: String,
    },
}

/// Some hosts.
#[derive(Clone, Debug, Args)]
pub(crate) struct Hosts {
    /// Names or addresses of hosts
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
}

/// Options of offers.
#[derive(Clone, Debug, Args)]
pub(crate) struct Offers {
    /// How to print
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,
}

pub(super) async fn run(client: &Client, node: &Node, out: &mut Out) -> Done {
    match node {
        Node::List { output } => list(client, *output, out).await,
        Node::Enable(hosts) => enable(client, hosts, true, out).await,
        Node::Disable(hosts) => enable(client, hosts, false, out).await,
        Node::Describe { node } => describe(client, node, out).await,
    }
}

async fn list(client: &Client, format: Format, out: &mut Out) -> Done {
    let resources = client.resources().await?;
    match format {
        Format::Json | Format::Yaml => {
            let items = resources
                .agents
                .iter()
                .filter_map(|agent| serde_json::to_value(agent).ok());
            out.value(&as_list(items.collect()), format)
        }
        Format::Name => resources
            .agents
            .iter()
            .try_for_each(|agent| out.line(&format!("node/{}", agent.ip))),
        Format::Table | Format::Wide => {
            if resources.agents.is_empty() {
                super::note("no nodes; start an agent, and see `bcs doctor`");
                return Ok(());
            }
            let wide = format == Format::Wide;
            let first = ["NAME", "ADDRESS", "STATUS", "CPUS", "MEMORY", "DISK", "AGE"];
            let more: &[&str] = if wide { &["ATTRIBUTES"] } else { &[] };
            let mut table = Table::new(first.iter().chain(more).copied());
            for agent in &resources.agents {
                let mut row = vec![
                    agent.hostname.clone(),
                    agent.ip.clone(),
                    status(agent).to_owned(),
                    share(agent.cpuused, agent.cputotal),
                    share(agent.memused, agent.memtotal),
                    share(agent.diskused, agent.disktotal),
                    age(agent.registered_time),
                ];
                if wide {
                    row.push(attributes(agent));
                }
                table.row(row);
            }
            out.line(&table.render())
        }
    }
}

fn status(agent: &ClusterAgent) -> &'static str {
    if agent.disabled {
        "Disabled"
    } else {
        "Enabled"
    }
}

/// `used/total` without needless digits.
fn share(used: f64, total: f64) -> String {
    format!("{}/{}", amount(used), amount(total))
}

pub(super) fn amount(number: f64) -> String {
    // Minus zero, which an empty sum is, becomes zero.
    let text = format!("{:.2}", number + 0.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn age(nanoseconds: i64) -> String {
    if nanoseconds <= 0 {
        return String::new();
    }
    views::ago(jiff::Timestamp::now().as_second() - nanoseconds / 1_000_000_000)
}

fn attributes(agent: &ClusterAgent) -> String {
    let shown = agent.attributes.iter().map(|attribute| {
        let value = attribute
            .text
            .as_ref()
            .map(|text| text.value.clone())
            .or_else(|| attribute.scalar.as_ref().map(|scalar| amount(scalar.value)))
            .or_else(|| attribute.set.as_ref().map(|set| set.item.join("|")))
            .unwrap_or_default();
        format!("{}={value}", attribute.name)
    });
    shown.collect::<Vec<_>>().join(",")
}

/// The host that is meant, by name or address.
fn find<'a>(resources: &'a ClusterResources, node: &str) -> Result<&'a ClusterAgent, Failure> {
    let node = node.strip_prefix("node/").unwrap_or(node);
    resources
        .agents
        .iter()
        .find(|agent| agent.ip == node || agent.hostname == node)
        .ok_or_else(|| {
            Failure::NotFound(format!(
                "no node {node:?} in this cluster; `bcs node list` shows them"
            ))
        })
}

async fn enable(client: &Client, hosts: &Hosts, enabled: bool, out: &mut Out) -> Done {
    let resources = client.resources().await?;
    let mut addresses = Vec::new();
    for node in &hosts.nodes {
        addresses.push(find(&resources, node)?.ip.clone());
    }
    client.enable_agents(&addresses, enabled).await?;
    for address in &addresses {
        out.line(&format!(
            "node/{address} {}",
            if enabled { "enabled" } else { "disabled" }
        ))?;
    }
    Ok(())
}

async fn describe(client: &Client, node: &str, out: &mut Out) -> Done {
    let resources = client.resources().await?;
    let agent = find(&resources, node)?;
    fields(
        &[
            ("Name", agent.hostname.clone()),
            ("Address", agent.ip.clone()),
            ("Status", status(agent).to_owned()),
            (
                "CPUs",
                format!(
                    "{} used of {}",
                    amount(agent.cpuused),
                    amount(agent.cputotal)
                ),
            ),
            (
                "Memory",
                format!(
                    "{} MB used of {}",
                    amount(agent.memused),
                    amount(agent.memtotal)
                ),
            ),
            (
                "Disk",
                format!(
                    "{} MB used of {}",
                    amount(agent.diskused),
                    amount(agent.disktotal)
                ),
            ),
            ("Attributes", attributes(agent)),
            ("Registered", age(agent.registered_time)),
        ],
        out,
    )?;
    let settings = client
        .agent_settings(std::slice::from_ref(&agent.ip))
        .await?;
    if let Some(setting) = settings.iter().find(|setting| setting.inner_ip == agent.ip) {
        let pairs = |map: Vec<String>| map.join(",");
        fields(
            &[
                (
                    "Taints",
                    pairs(
                        setting
                            .no_schedule
                            .iter()
                            .map(|(k, v)| format!("{k}={v}"))
                            .collect(),
                    ),
                ),
                (
                    "Texts",
                    pairs(
                        setting
                            .strings
                            .iter()
                            .map(|(k, v)| format!("{k}={}", v.value))
                            .collect(),
                    ),
                ),
                (
                    "Numbers",
                    pairs(
                        setting
                            .scalars
                            .iter()
                            .map(|(k, v)| format!("{k}={}", amount(v.value)))
                            .collect(),
                    ),
                ),
                (
                    "Devices",
                    pairs(
                        setting
                            .extended_resources
                            .values()
                            .map(|device| format!("{}={}", device.name, amount(device.capacity)))
                            .collect(),
                    ),
                ),
            ],
            out,
        )?;
    }
    let mut groups = client
        .listing(Kind::TaskGroup, Scope::All, None)
        .await?
        .items;
    groups.retain(|group| {
        text(group, "/hostIP") == agent.ip || text(group, "/hostName") == agent.hostname
    });
    groups.sort_by_key(views::order);
    out.line("")?;
    if groups.is_empty() {
        return out.line("Taskgroups: none");
    }
    out.line("Taskgroups:")?;
    let view = View {
        kind: Kind::TaskGroup,
        wide: false,
        namespaces: true,
    };
    let mut table = view.table();
    groups.iter().for_each(|group| table.row(view.row(group)));
    for line in table.render().lines() {
        out.line(&format!("  {line}"))?;
    }
    Ok(())
}

pub(super) async fn offers(client: &Client, options: &Offers, out: &mut Out) -> Done {
    let offers = client.offers().await?;
    match options.output {
        Format::Json | Format::Yaml => out.value(&as_list(offers), options.output),
        Format::Name => offers
            .iter()
            .try_for_each(|offer| out.line(&format!("offer/{}", text(offer, "/id/value")))),
        Format::Table | Format::Wide => {
            if offers.is_empty() {
                super::note("no offers; `bcs node list` shows what the hosts have");
                return Ok(());
            }
            let wide = options.output == Format::Wide;
            let first = ["HOST", "ADDRESS", "CPUS", "MEMORY", "DISK", "PORTS"];
            let more: &[&str] = if wide { &["OFFER", "AGENT"] } else { &[] };
            let mut table = Table::new(first.iter().chain(more).copied());
            for offer in &offers {
                table.row(offer_row(offer, wide));
            }
            out.line(&table.render())
        }
    }
}

/// A Mesos offer as a row.
pub(super) fn offer_row(offer: &Value, wide: bool) -> Vec<String> {
    let resources = offer
        .get("resources")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    let resources = resources.unwrap_or_default();
    let named = |name: &'static str| {
        resources
            .iter()
            .filter(move |resource| text(resource, "/name") == name)
    };
    let sum = |name: &'static str| {
        let sum: f64 = named(name)
            .filter_map(|resource| resource.pointer("/scalar/value")?.as_f64())
            .sum();
        amount(sum)
    };
    let ports: Vec<String> = named("ports")
        .filter_map(|resource| resource.pointer("/ranges/range")?.as_array())
        .flatten()
        .map(|range| format!("{}-{}", text(range, "/begin"), text(range, "/end")))
        .collect();
    let attributes = offer
        .get("attributes")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    let address = attributes
        .unwrap_or_default()
        .iter()
        .find(|attribute| text(attribute, "/name") == "InnerIP")
        .map(|attribute| text(attribute, "/text/value"));
    let mut row = vec![
        text(offer, "/hostname"),
        address.unwrap_or_default(),
        sum("cpus"),
        sum("mem"),
        sum("disk"),
        ports.join(","),
    ];
    if wide {
        row.push(text(offer, "/id/value"));
        row.push(text(offer, "/agent_id/value"));
    }
    row
}
