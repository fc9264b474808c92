//! `bcs describe`: one object with everything that explains its state.

use bcs_api::{Client, Kind, Scope};
use clap::Args;
use serde_json::Value;

use super::failure::{Done, Failure};
use super::output::Out;
use super::resolve::{self, Namespace, Reference};
use super::views::{self, View, text, time};

/// Options of describe.
#[derive(Clone, Debug, Args)]
pub(crate) struct Describe {
    #[command(flatten)]
    reference: Reference,
    #[command(flatten)]
    namespace: Namespace,
}

pub(super) async fn run(client: &Client, options: &Describe, out: &mut Out) -> Done {
    let (kind, name) = options.reference.one()?;
    let (namespace, name) = if kind == Kind::TaskGroup {
        let id = resolve::taskgroup(client, &options.namespace, name).await?;
        (id.namespace.clone(), id.to_string())
    } else {
        (options.namespace.or_default().to_owned(), name.to_owned())
    };
    let object = client.get(kind, &namespace, &name).await.map_err(|error| {
        if error.is_not_found() {
            Failure::NotFound(format!(
                "{kind}/{name} does not exist in namespace {namespace}; `bcs get {kind} -A` lists them"
            ))
        } else {
            Failure::Client(error)
        }
    })?;
    match kind {
        Kind::Application | Kind::Process => workload(client, kind, &namespace, &object, out).await,
        Kind::TaskGroup => taskgroup(&object, out),
        Kind::ConfigMap | Kind::Secret => data(kind, &object, out),
    }
}

/// Lines of `Name:  value`; empty values are left out.
pub(super) fn fields(pairs: &[(&str, String)], out: &mut Out) -> Done {
    // As wide as the longest name of any group, so that groups line up.
    let wide = pairs
        .iter()
        .map(|(name, _)| name.len() + 1)
        .max()
        .unwrap_or_default()
        .max(15);
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let name = format!("{name}:");
        out.line(&format!("{name:<wide$}  {value}"))?;
    }
    Ok(())
}

async fn workload(
    client: &Client,
    kind: Kind,
    namespace: &str,
    object: &Value,
    out: &mut Out,
) -> Done {
    let name = views::name(object);
    fields(
        &[
            ("Name", name.to_owned()),
            ("Kind", kind.to_string()),
            ("Namespace", namespace.to_owned()),
            ("Labels", views::labels(object)),
            ("Status", text(object, "/status")),
            ("Last status", text(object, "/lastStatus")),
            ("Message", text(object, "/message")),
            (
                "Instances",
                format!(
                    "{} wanted, {} built, {} running",
                    text(object, "/instance"),
                    text(object, "/buildedInstance"),
                    text(object, "/runningInstance")
                ),
            ),
            ("Created", time(object, "/createTime")),
            ("Updated", time(object, "/lastUpdateTime")),
        ],
        out,
    )?;
    if let Ok(definition) = client.definition(kind, namespace, name).await {
        template(&definition, out)?;
    }
    let scope = Scope::Namespace(namespace);
    let mut groups = client.listing(Kind::TaskGroup, scope, None).await?.items;
    groups.retain(|group| text(group, "/rcname") == name);
    groups.sort_by_key(views::order);
    out.line("")?;
    if groups.is_empty() {
        return out.line("Taskgroups: none");
    }
    out.line("Taskgroups:")?;
    let view = View {
        kind: Kind::TaskGroup,
        wide: false,
        namespaces: false,
    };
    let mut table = view.table();
    for group in &groups {
        table.row(view.row(group));
    }
    for line in table.render().lines() {
        out.line(&format!("  {line}"))?;
    }
    Ok(())
}

/// What each instance consists of, from the definition.
fn template(definition: &Value, out: &mut Out) -> Done {
    let policy = text(definition, "/restartPolicy/policy");
    let grace = text(definition, "/killPolicy/gracePeriod");
    fields(
        &[
            (
                "Restart",
                if policy.is_empty() {
                    "OnFailure".to_owned()
                } else {
                    policy
                },
            ),
            (
                "Stop grace",
                if grace.is_empty() {
                    grace
                } else {
                    format!("{grace} s")
                },
            ),
        ],
        out,
    )?;
    let items = [
        "/spec/template/spec/processes",
        "/spec/template/spec/containers",
    ];
    for item in items
        .iter()
        .filter_map(|pointer| definition.pointer(pointer).and_then(Value::as_array))
        .flatten()
    {
        let title = [text(item, "/procName"), text(item, "/name")].concat();
        out.line("")?;
        out.line(&format!("Task {title}:"))?;
        let uris = item
            .get("uris")
            .and_then(Value::as_array)
            .map(Vec::as_slice);
        let packages: Vec<String> = uris
            .unwrap_or_default()
            .iter()
            .map(|uri| text(uri, "/Value") + &text(uri, "/value"))
            .collect();
        fields(
            &[
                ("  Image", text(item, "/image")),
                (
                    "  Start",
                    [text(item, "/startCmd"), text(item, "/command")].concat(),
                ),
                ("  Directory", text(item, "/workPath")),
                ("  Packages", packages.join(", ")),
                ("  User", text(item, "/user")),
                (
                    "  Limits",
                    [
                        ("cpu", "/resources/limits/cpu"),
                        ("memory", "/resources/limits/memory"),
                        ("storage", "/resources/limits/storage"),
                    ]
                    .iter()
                    .map(|(name, pointer)| (name, text(item, pointer)))
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                ),
            ],
            out,
        )?;
    }
    Ok(())
}

fn taskgroup(object: &Value, out: &mut Out) -> Done {
    fields(
        &[
            ("Name", views::name(object).to_owned()),
            ("Namespace", text(object, "/metadata/namespace")),
            ("Of", text(object, "/rcname")),
            ("Labels", views::labels(object)),
            ("Status", text(object, "/status")),
            ("Last status", text(object, "/lastStatus")),
            ("Message", text(object, "/message")),
            (
                "Host",
                format!("{} {}", text(object, "/hostName"), text(object, "/hostIP")),
            ),
            ("Pod IP", text(object, "/podIP")),
            ("Started", time(object, "/startTime")),
            ("Updated", time(object, "/lastUpdateTime")),
            ("Reported", time(object, "/reportTime")),
        ],
        out,
    )?;
    for container in views::containers(object) {
        out.line("")?;
        out.line(&format!("Task {}:", text(container, "/name")))?;
        let arguments = container
            .get("args")
            .and_then(Value::as_array)
            .map(Vec::as_slice);
        let command = std::iter::once(text(container, "/command"))
            .chain(
                arguments
                    .unwrap_or_default()
                    .iter()
                    .map(|word| text(word, "")),
            )
            .collect::<Vec<_>>()
            .join(" ");
        let checks: Vec<String> = container
            .get("healCheckStatus")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|check| {
                let word = if check.get("result") == Some(&Value::Bool(true)) {
                    "ok"
                } else {
                    "failing"
                };
                format!(
                    "{} {word} {}",
                    text(check, "/type"),
                    text(check, "/message")
                )
            })
            .collect();
        let single = serde_json::json!({"containerStatuses": [container]});
        fields(
            &[
                ("  Status", text(container, "/status")),
                ("  Message", text(container, "/message")),
                ("  Pid", text(container, "/pid")),
                ("  Exit code", text(container, "/exitcode")),
                ("  Restarts", text(container, "/restartCount")),
                ("  Image", text(container, "/image")),
                ("  Command", command),
                ("  Ports", views::ports(&single)),
                ("  Checks", checks.join("; ")),
                ("  CPU limit", text(container, "/resources/limits/cpu")),
                (
                    "  Memory limit",
                    text(container, "/resources/limits/memory"),
                ),
                ("  Started", time(container, "/startTime")),
                ("  Finished", time(container, "/finishTime")),
            ],
            out,
        )?;
    }
    Ok(())
}

/// Sizes only: contents are for `-o yaml`, and those of secrets for nobody.
fn data(kind: Kind, object: &Value, out: &mut Out) -> Done {
    fields(
        &[
            ("Name", views::name(object).to_owned()),
            ("Kind", kind.to_string()),
            ("Namespace", text(object, "/metadata/namespace")),
            ("Labels", views::labels(object)),
        ],
        out,
    )?;
    out.line("")?;
    out.line("Data:")?;
    for (key, item) in object
        .get("datas")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let content = text(item, "/content");
        let shown = match text(item, "/type").as_str() {
            "http" | "https" => content,
            _ if kind == Kind::Secret => "***".to_owned(),
            _ => format!("{} bytes", content.len() / 4 * 3),
        };
        out.line(&format!("  {key}: {shown}"))?;
    }
    Ok(())
}
