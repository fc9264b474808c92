//! Value templates: `${name}` in environment variables, process strings and file targets.
//!
//! One pass from left to right: what a value expands to is never looked at again, so the result
//! does not depend on any order. Names that are not known stay as they are, which is also how
//! `${work_base_dir}` and `${run_base_dir}` reach the executor that knows them.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Replaces every `${name}` for which `lookup` has a value.
pub fn render<'t, F>(text: &'t str, lookup: F) -> Cow<'t, str>
where
    F: Fn(&str) -> Option<String>,
{
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        output.push_str(before);
        // An inner "${" begins anew: "${a${b}" has the name "b".
        match after.split_once('}') {
            Some((name, tail)) if !name.contains("${") => {
                match lookup(name) {
                    Some(value) => output.push_str(&value),
                    None => {
                        output.push_str("${");
                        output.push_str(name);
                        output.push('}');
                    }
                }
                rest = tail;
            }
            Some(_) | None => {
                output.push_str("${");
                rest = after;
            }
        }
    }
    output.push_str(rest);
    Cow::Owned(output)
}

/// What templates may refer to, after ports are drawn.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Application.
    pub app: String,
    /// Namespace.
    pub namespace: String,
    /// Index.
    pub instance: u64,
    /// Address of the host.
    pub host_ip: String,
    /// Taskgroup id.
    pub taskgroup_id: String,
    /// `<app>-<index>`.
    pub taskgroup_name: String,
    /// Host port by port name.
    pub ports: BTreeMap<String, i32>,
    /// Name of the process.
    pub process_name: String,
    /// Its working directory, rendered.
    pub work_path: String,
    /// Its pid file, rendered.
    pub pid_file: String,
}

impl Values {
    /// The names of container templates: `bcs.appname`, `bcs.ports.http`, …
    #[must_use]
    pub fn container(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix("bcs.")?;
        match name {
            "appname" => Some(self.app.clone()),
            "namespace" => Some(self.namespace.clone()),
            "instanceid" => Some(self.instance.to_string()),
            "hostip" => Some(self.host_ip.clone()),
            "taskgroupid" => Some(self.taskgroup_id.clone()),
            "taskgroupname" => Some(self.taskgroup_name.clone()),
            _ => self.port(name),
        }
    }

    /// The names of process templates (`processname`, `ports.main`, …); container names work too.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<String> {
        match name {
            "processname" => Some(self.process_name.clone()),
            "namespace" => Some(self.namespace.clone()),
            "instanceid" => Some(self.instance.to_string()),
            "hostip" => Some(self.host_ip.clone()),
            "workPath" => Some(self.work_path.clone()),
            "pidFile" => Some(self.pid_file.clone()),
            _ => self.port(name).or_else(|| self.container(name)),
        }
    }

    fn port(&self, name: &str) -> Option<String> {
        self.ports
            .get(name.strip_prefix("ports.")?)
            .map(ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values {
        Values {
            app: "web".to_owned(),
            namespace: "arcade".to_owned(),
            instance: 3,
            ports: BTreeMap::from([("http".to_owned(), 31000)]),
            process_name: "svc".to_owned(),
            work_path: "/w/${instanceid}".to_owned(),
            ..Values::default()
        }
    }

    #[test]
    fn values_are_replaced_in_one_pass() {
        let values = values();
        let table = [
            ("plain", "plain"),
            ("${instanceid}-${ports.http}", "3-31000"),
            ("${bcs.ports.http}", "31000"),
            ("${work_base_dir}/x", "${work_base_dir}/x"),
            ("${workPath}", "/w/${instanceid}"),
            ("${", "${"),
            ("a${instanceid", "a${instanceid"),
            ("${x${instanceid}}", "${x3}"),
            ("$${instanceid}", "$3"),
            ("${ports.none}", "${ports.none}"),
            ("", ""),
        ];
        for (text, wanted) in table {
            assert_eq!(render(text, |name| values.process(name)), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_renders_and_known_names_never_remain(text in "(\\$\\{instanceid\\}|[${}a-z.])*") {
            let values = values();
            let output = render(&text, |name| values.process(name));
            prop_assert!(output.len() <= text.len() * 8 + 8);
        }
    }
}
