//! Exit codes of daemons; units set `RestartPreventExitStatus=64 78`.

/// Ended as asked.
pub const CLEAN: u8 = 0;
/// Failed while running.
pub const FAILURE: u8 = 1;
/// Wrong command line (sysexits `EX_USAGE`).
pub const USAGE: u8 = 64;
/// Something needed is not there (sysexits `EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// Wrong configuration (sysexits `EX_CONFIG`).
pub const CONFIG: u8 = 78;
