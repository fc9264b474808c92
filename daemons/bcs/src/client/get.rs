//! `bcs get`: lists and objects in every format, once or as they change.

use std::time::Duration;

use bcs_api::{ChangeKind, Client, ClientError, Kind, Scope};
use clap::Args;
use serde_json::Value;

use super::failure::{Done, Failure};
use super::output::{Format, Out, list};
use super::resolve::{self, Namespace, Reference};
use super::views::{self, View};

/// Options of get.
#[derive(Clone, Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    reference: Reference,
    #[command(flatten)]
    namespace: Namespace,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Only objects with these labels, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// How to print
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,
    /// Go on and print changes as they happen
    #[arg(short = 'w', long)]
    watch: bool,
}

/// What is asked for, resolved.
struct Query<'a> {
    kind: Kind,
    name: Option<String>,
    scope: Scope<'a>,
    selector: Option<&'a str>,
    view: View,
    format: Format,
}

pub(super) async fn run(client: &Client, options: &Get, out: &mut Out) -> Done {
    let (kind, name) = options.reference.parse()?;
    let name = match name {
        Some(name) if kind == Kind::TaskGroup => {
            Some(resolve::taskgroup(client, &options.namespace, name).await?)
        }
        _ => None,
    }
    .map(|id| (id.namespace.clone(), id.to_string()))
    .or_else(|| name.map(|name| (options.namespace.or_default().to_owned(), name.to_owned())));
    let (own, name) = name.unzip();
    let namespace = own.as_deref().unwrap_or(options.namespace.or_default());
    let query = Query {
        kind,
        name,
        scope: if options.all_namespaces {
            Scope::All
        } else {
            Scope::Namespace(namespace)
        },
        selector: options.selector.as_deref(),
        view: View {
            kind,
            wide: options.output == Format::Wide,
            namespaces: options.all_namespaces,
        },
        format: options.output,
    };
    if options.watch {
        return query.watch(client, out).await;
    }
    if let (Some(name), Scope::Namespace(namespace)) = (&query.name, query.scope) {
        let object = client.get(kind, namespace, name).await.map_err(|error| {
            if error.is_not_found() {
                Failure::NotFound(format!(
                    "{kind}/{name} does not exist in namespace {namespace}; `bcs get {kind} -A` \
                     lists them"
                ))
            } else {
                Failure::Client(error)
            }
        })?;
        return query.print(vec![object], true, out);
    }
    let listing = client.listing(kind, query.scope, query.selector).await?;
    query.print(listing.items, false, out)
}

impl Query<'_> {
    fn print(&self, mut items: Vec<Value>, single: bool, out: &mut Out) -> Done {
        items.sort_by_key(views::order);
        match self.format {
            Format::Json | Format::Yaml => match items.pop() {
                Some(object) if single => out.value(&object, self.format),
                Some(last) => {
                    items.push(last);
                    out.value(&list(items), self.format)
                }
                None => out.value(&list(items), self.format),
            },
            Format::Name => items
                .iter()
                .try_for_each(|object| out.line(&views::title(self.kind, object))),
            Format::Table | Format::Wide if items.is_empty() => {
                let place = match self.scope {
                    Scope::Namespace(namespace) => format!(" in namespace {namespace}"),
                    Scope::All => String::new(),
                };
                super::note(&format!("no {}{place}", self.kind.plural()));
                Ok(())
            }
            Format::Table | Format::Wide => {
                let mut table = self.view.table();
                for object in &items {
                    table.row(self.view.row(object));
                }
                out.line(&table.render())
            }
        }
    }

    /// Lists, then follows; a connection that breaks is made again from where it was.
    async fn watch(&self, client: &Client, out: &mut Out) -> Done {
        let mut table = self.view.table();
        let mut pause = Duration::from_millis(100);
        let mut outage = false;
        'list: loop {
            let listing = client.listing(self.kind, self.scope, self.selector).await?;
            let mut items = listing.items;
            items.retain(|object| self.wants(object));
            items.sort_by_key(views::order);
            if matches!(self.format, Format::Table | Format::Wide) {
                for object in &items {
                    table.row(self.view.row(object));
                }
                out.line(&table.render())?;
                table = self.view.table_like(&table);
            } else {
                for object in &items {
                    self.change(ChangeKind::Added, object, &mut table, out)?;
                }
            }
            out.flush()?;
            let Some(mut revision) = listing.revision else {
                return Err(Failure::Failed(
                    "the storage gives no revision to watch from".to_owned(),
                ));
            };
            loop {
                let opened = client
                    .watch(self.kind, self.scope, self.selector, revision)
                    .await;
                let mut watch = match opened {
                    Ok(watch) => {
                        if std::mem::take(&mut outage) {
                            super::note("bcs: connected again");
                        }
                        watch
                    }
                    Err(ClientError::Expired) => continue 'list,
                    Err(error) if error.is_transient() => {
                        // Once for each outage.
                        if !std::mem::replace(&mut outage, true) {
                            super::note(&format!("bcs: {error}; trying again"));
                        }
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(10));
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                loop {
                    match watch.next().await {
                        Ok(Some(change)) => {
                            pause = Duration::from_millis(100);
                            if self.wants(&change.object) {
                                self.change(change.kind, &change.object, &mut table, out)?;
                                out.flush()?;
                            }
                        }
                        Ok(None) => break,
                        Err(ClientError::Expired) => continue 'list,
                        Err(error) if error.is_transient() => {
                            outage = true;
                            super::note(&format!("bcs: {error}; trying again"));
                            break;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                revision = watch.revision();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }

    fn wants(&self, object: &Value) -> bool {
        self.name
            .as_deref()
            .is_none_or(|name| views::name(object) == name)
    }

    fn change(
        &self,
        kind: ChangeKind,
        object: &Value,
        table: &mut super::table::Table,
        out: &mut Out,
    ) -> Done {
        let deleted = kind == ChangeKind::Deleted;
        match self.format {
            Format::Json | Format::Yaml => {
                let mut object = object.clone();
                if deleted
                    && let Some(metadata) =
                        object.get_mut("metadata").and_then(Value::as_object_mut)
                {
                    let now = jiff::Timestamp::now().to_string();
                    metadata.insert("deletionTimestamp".to_owned(), Value::String(now));
                }
                if self.format == Format::Yaml {
                    out.line("---")?;
                }
                out.value(&object, self.format)
            }
            Format::Name => {
                let suffix = if deleted { " deleted" } else { "" };
                out.line(&format!("{}{suffix}", views::title(self.kind, object)))
            }
            Format::Table | Format::Wide => {
                let mut row = self.view.row(object);
                if deleted && let Some(status) = row.get_mut(self.view.status_column()) {
                    "Deleted".clone_into(status);
                }
                let line = table.render_row(row);
                out.line(&line)
            }
        }
    }
}
