//! Orders about configmaps, secrets, settings of hosts, and results of remote checks.

use bcs_httpd::Failure;
use bcs_model::ids::{check_label, check_namespace};
use bcs_model::v4::{AgentSetting, ConfigMap, Secret};
use http::StatusCode;
use serde_json::Value;

use super::command::{INVALID, NOT_FOUND, PARAMETER, exists, invalid, not_found};
use super::records::{Key, Name};
use super::state::Cluster;

impl Cluster {
    pub(super) fn put_configmap(
        &mut self,
        mut object: ConfigMap,
        create: bool,
    ) -> Result<Value, Failure> {
        let name = self.object_name("configmap", &object.kind, &object.metadata)?;
        "configmap".clone_into(&mut object.kind);
        let there = self.configmaps.contains_key(&name);
        object_exists("configmap", &name, create, there)?;
        self.configmaps.insert(name.clone(), object);
        self.out.mark(Key::ConfigMap(name));
        self.place = true;
        Ok(Value::Null)
    }

    pub(super) fn put_secret(
        &mut self,
        mut object: Secret,
        create: bool,
    ) -> Result<Value, Failure> {
        let name = self.object_name("secret", &object.kind, &object.metadata)?;
        "secret".clone_into(&mut object.kind);
        let there = self.secrets.contains_key(&name);
        object_exists("secret", &name, create, there)?;
        self.secrets.insert(name.clone(), object);
        self.out.mark(Key::Secret(name));
        self.place = true;
        Ok(Value::Null)
    }

    #[allow(
        clippy::unused_self,
        reason = "reads as the check of this cluster's objects"
    )]
    pub(super) fn object_name(
        &self,
        kind: &str,
        given: &str,
        meta: &bcs_model::meta::ObjectMeta,
    ) -> Result<Name, Failure> {
        let said = &meta.name;
        if !given.is_empty() && given != kind {
            return Err(invalid(
                said,
                format!("Kind {given} is invalid, expected {kind}"),
            ));
        }
        check_label("metadata.name", &meta.name).map_err(|error| invalid(said, error))?;
        check_namespace("metadata.namespace", &meta.namespace)
            .map_err(|error| invalid(said, error))?;
        Ok(Name::new(&meta.namespace, &meta.name))
    }

    /// The setting of a host, to be changed.
    pub(super) fn setting(&mut self, ip: &str) -> &mut AgentSetting {
        self.out.mark(Key::Setting(ip.to_owned()));
        self.place = true;
        let setting = self.settings.entry(ip.to_owned()).or_default();
        ip.clone_into(&mut setting.inner_ip);
        setting
    }

    pub(super) fn put_settings(&mut self, settings: Vec<AgentSetting>) -> Result<Value, Failure> {
        if let Some(bad) = settings.iter().find(|setting| !is_host(&setting.inner_ip)) {
            let text = format!("innerIP {:?} is not the address of a host", bad.inner_ip);
            return Err(Failure::new(StatusCode::BAD_REQUEST, INVALID, text));
        }
        for new in settings {
            let setting = self.setting(&new.inner_ip);
            setting.strings = new.strings;
            setting.scalars = new.scalars;
        }
        Ok(Value::Null)
    }

    pub(super) fn enable(&mut self, ips: &[String], enabled: bool) -> Result<Value, Failure> {
        if ips.is_empty() {
            let text = "ips is empty: name the hosts, ips=10.0.0.1,10.0.0.2";
            return Err(Failure::new(StatusCode::BAD_REQUEST, PARAMETER, text));
        }
        for ip in ips {
            if !self.settings.contains_key(ip) && self.hosts.agent_by_ip(ip).is_none() {
                let text = format!("no host has the address {ip:?}");
                return Err(Failure::new(StatusCode::NOT_FOUND, NOT_FOUND, text));
            }
        }
        for ip in ips {
            self.setting(ip).disabled = !enabled;
        }
        Ok(Value::Null)
    }

    pub(super) fn remote_health(
        &mut self,
        task_id: &str,
        check_type: &str,
        result: bool,
        message: &str,
    ) -> Result<Value, Failure> {
        let unknown = || {
            let text = format!("task {task_id:?} not found");
            Failure::new(StatusCode::NOT_FOUND, NOT_FOUND, text)
        };
        let id: bcs_model::ids::TaskId = task_id.parse().map_err(|_| unknown())?;
        let (name, index) = self.find(&id.group.to_string()).ok_or_else(unknown)?;
        let position = usize::try_from(id.task_index).unwrap_or(usize::MAX);
        self.change_group(&name, index, |group| {
            let task = group.group.taskgroup.get_mut(position)?;
            let check = task
                .health_check_status
                .iter_mut()
                .find(|check| check.check_type == check_type)?;
            check.result = result;
            message.clone_into(&mut check.message);
            Some(())
        });
        Ok(Value::Null)
    }
}

fn object_exists(kind: &str, name: &Name, create: bool, there: bool) -> Result<(), Failure> {
    match (create, there) {
        (true, true) => Err(exists(kind, name)),
        (false, false) => Err(not_found(kind, name)),
        _ => Ok(()),
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte))
}
