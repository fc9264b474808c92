//! Containers and their limits.
//!
//! Field numbers and names are those of the public v1 protocol. Members which nobody here reads are left
//! out: both codecs skip what they do not know.

use serde::{Deserialize, Serialize};

use super::{ContainerId, Image, NetworkInfo, Parameter, Volume};
use crate::json::{LongOption, Named, NamedList, NamedOption};

/// `mesos.v1.ContainerInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerInfo {
    #[prost(enumeration = "ContainerInfoType", required, tag = "1")]
    #[serde(with = "Named::<ContainerInfoType>")]
    pub r#type: i32,
    #[prost(message, repeated, tag = "2")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<ContainerInfoDockerInfo>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesos: Option<ContainerInfoMesosInfo>,
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_infos: Vec<NetworkInfo>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux_info: Option<LinuxInfo>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimit_info: Option<RlimitInfo>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty_info: Option<TtyInfo>,
}

/// `mesos.v1.ContainerInfo.DockerInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerInfoDockerInfo {
    #[prost(string, required, tag = "1")]
    pub image: String,
    #[prost(
        enumeration = "ContainerInfoDockerInfoNetwork",
        optional,
        tag = "2",
        default = "Host"
    )]
    #[serde(
        with = "NamedOption::<ContainerInfoDockerInfoNetwork>",
        skip_serializing_if = "Option::is_none"
    )]
    pub network: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<ContainerInfoDockerInfoPortMapping>,
    #[prost(bool, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    #[prost(message, repeated, tag = "5")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    #[prost(bool, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_pull_image: Option<bool>,
    #[prost(string, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_driver: Option<String>,
}

/// `mesos.v1.ContainerInfo.DockerInfo.PortMapping`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerInfoDockerInfoPortMapping {
    #[prost(uint32, required, tag = "1")]
    pub host_port: u32,
    #[prost(uint32, required, tag = "2")]
    pub container_port: u32,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// `mesos.v1.ContainerInfo.MesosInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerInfoMesosInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
}

/// `mesos.v1.LinuxInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct LinuxInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability_info: Option<CapabilityInfo>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounding_capabilities: Option<CapabilityInfo>,
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_capabilities: Option<CapabilityInfo>,
    #[prost(bool, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_pid_namespace: Option<bool>,
    #[prost(enumeration = "LinuxInfoIpcMode", optional, tag = "6")]
    #[serde(
        with = "NamedOption::<LinuxInfoIpcMode>",
        skip_serializing_if = "Option::is_none"
    )]
    pub ipc_mode: Option<i32>,
    #[prost(uint32, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u32>,
    #[prost(bool, optional, tag = "8", default = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_cgroups: Option<bool>,
}

/// `mesos.v1.CapabilityInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CapabilityInfo {
    #[prost(
        enumeration = "CapabilityInfoCapability",
        repeated,
        packed = "false",
        tag = "1"
    )]
    #[serde(
        with = "NamedList::<CapabilityInfoCapability>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub capabilities: Vec<i32>,
}

/// `mesos.v1.RLimitInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct RlimitInfo {
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
}

/// `mesos.v1.RLimitInfo.RLimit`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Rlimit {
    #[prost(enumeration = "RlimitType", optional, tag = "1")]
    #[serde(
        with = "NamedOption::<RlimitType>",
        skip_serializing_if = "Option::is_none"
    )]
    pub r#type: Option<i32>,
    #[prost(uint64, optional, tag = "2")]
    #[serde(with = "LongOption::<u64>", skip_serializing_if = "Option::is_none")]
    pub hard: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    #[serde(with = "LongOption::<u64>", skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
}

/// `mesos.v1.TTYInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct TtyInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_size: Option<WindowSize>,
}

/// `mesos.v1.TTYInfo.WindowSize`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowSize {
    #[prost(uint32, required, tag = "1")]
    pub rows: u32,
    #[prost(uint32, required, tag = "2")]
    pub columns: u32,
}

/// `mesos.v1.ContainerStatus`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<ContainerId>,
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_infos: Vec<NetworkInfo>,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_info: Option<CgroupInfo>,
    #[prost(uint32, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_pid: Option<u32>,
}

/// `mesos.v1.CgroupInfo`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CgroupInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_cls: Option<CgroupInfoNetCls>,
}

/// `mesos.v1.CgroupInfo.NetCls`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct CgroupInfoNetCls {
    #[prost(uint32, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classid: Option<u32>,
}

wire_enum! {
    /// `mesos.v1.ContainerInfo.Type`.
    pub enum ContainerInfoType {
        Docker = 1 => "DOCKER",
        Mesos = 2 => "MESOS",
    }
}

wire_enum! {
    /// `mesos.v1.ContainerInfo.DockerInfo.Network`.
    pub enum ContainerInfoDockerInfoNetwork {
        Host = 1 => "HOST",
        Bridge = 2 => "BRIDGE",
        None = 3 => "NONE",
        User = 4 => "USER",
    }
}

wire_enum! {
    /// `mesos.v1.CapabilityInfo.Capability`.
    pub enum CapabilityInfoCapability {
        Unknown = 0 => "UNKNOWN",
        Chown = 1000 => "CHOWN",
        DacOverride = 1001 => "DAC_OVERRIDE",
        DacReadSearch = 1002 => "DAC_READ_SEARCH",
        Fowner = 1003 => "FOWNER",
        Fsetid = 1004 => "FSETID",
        Kill = 1005 => "KILL",
        Setgid = 1006 => "SETGID",
        Setuid = 1007 => "SETUID",
        Setpcap = 1008 => "SETPCAP",
        LinuxImmutable = 1009 => "LINUX_IMMUTABLE",
        NetBindService = 1010 => "NET_BIND_SERVICE",
        NetBroadcast = 1011 => "NET_BROADCAST",
        NetAdmin = 1012 => "NET_ADMIN",
        NetRaw = 1013 => "NET_RAW",
        IpcLock = 1014 => "IPC_LOCK",
        IpcOwner = 1015 => "IPC_OWNER",
        SysModule = 1016 => "SYS_MODULE",
        SysRawio = 1017 => "SYS_RAWIO",
        SysChroot = 1018 => "SYS_CHROOT",
        SysPtrace = 1019 => "SYS_PTRACE",
        SysPacct = 1020 => "SYS_PACCT",
        SysAdmin = 1021 => "SYS_ADMIN",
        SysBoot = 1022 => "SYS_BOOT",
        SysNice = 1023 => "SYS_NICE",
        SysResource = 1024 => "SYS_RESOURCE",
        SysTime = 1025 => "SYS_TIME",
        SysTtyConfig = 1026 => "SYS_TTY_CONFIG",
        Mknod = 1027 => "MKNOD",
        Lease = 1028 => "LEASE",
        AuditWrite = 1029 => "AUDIT_WRITE",
        AuditControl = 1030 => "AUDIT_CONTROL",
        Setfcap = 1031 => "SETFCAP",
        MacOverride = 1032 => "MAC_OVERRIDE",
        MacAdmin = 1033 => "MAC_ADMIN",
        Syslog = 1034 => "SYSLOG",
        WakeAlarm = 1035 => "WAKE_ALARM",
        BlockSuspend = 1036 => "BLOCK_SUSPEND",
        AuditRead = 1037 => "AUDIT_READ",
        Perfmon = 1038 => "PERFMON",
        Bpf = 1039 => "BPF",
        CheckpointRestore = 1040 => "CHECKPOINT_RESTORE",
    }
}

wire_enum! {
    /// `mesos.v1.LinuxInfo.IpcMode`.
    pub enum LinuxInfoIpcMode {
        Unknown = 0 => "UNKNOWN",
        Private = 1 => "PRIVATE",
        ShareParent = 2 => "SHARE_PARENT",
    }
}

wire_enum! {
    /// `mesos.v1.RLimitInfo.RLimit.Type`.
    pub enum RlimitType {
        Unknown = 0 => "UNKNOWN",
        RlmtAs = 1 => "RLMT_AS",
        RlmtCore = 2 => "RLMT_CORE",
        RlmtCpu = 3 => "RLMT_CPU",
        RlmtData = 4 => "RLMT_DATA",
        RlmtFsize = 5 => "RLMT_FSIZE",
        RlmtLocks = 6 => "RLMT_LOCKS",
        RlmtMemlock = 7 => "RLMT_MEMLOCK",
        RlmtMsgqueue = 8 => "RLMT_MSGQUEUE",
        RlmtNice = 9 => "RLMT_NICE",
        RlmtNofile = 10 => "RLMT_NOFILE",
        RlmtNproc = 11 => "RLMT_NPROC",
        RlmtRss = 12 => "RLMT_RSS",
        RlmtRtprio = 13 => "RLMT_RTPRIO",
        RlmtRttime = 14 => "RLMT_RTTIME",
        RlmtSigpending = 15 => "RLMT_SIGPENDING",
        RlmtStack = 16 => "RLMT_STACK",
    }
}
