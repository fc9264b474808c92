//! Measures what people wait for, beside a peer in the same run, and prints the ratio.
//!
//! `cargo run --release -p bcs-bench -- [restart|apply|readopt|memory|idle|status]...`; without names, all.
//! Nothing here asserts a time: figures depend on the host, so each is printed with the load.

mod figures;
mod ours;
mod peer;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// As many programs as a busy host has.
const PROGRAMS: usize = 200;
/// Kills measured one by one.
const RESTARTS: usize = 100;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let all = ["apply", "restart", "status", "memory", "idle", "readopt"]
        .map(str::to_owned)
        .to_vec();
    let names = if names.is_empty() { all } else { names };
    println!("load before: {}", figures::load());
    for name in &names {
        if let Err(error) = measure(name) {
            eprintln!("{name}: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    println!("load after: {}", figures::load());
    ExitCode::SUCCESS
}

fn measure(name: &str) -> Result<()> {
    match name {
        "apply" => {
            let peer = peer::Supervisor::start(PROGRAMS)?;
            let ours = ours::Fleet::start(PROGRAMS)?;
            figures::ratio(
                "200 programs from nothing to all running, s",
                peer.started_in,
                ours.applied_in,
            );
        }
        "restart" => {
            let peer = peer::Supervisor::start(PROGRAMS)?;
            let peer = figures::Series::new(peer.restarts(RESTARTS.min(20))?);
            let ours = figures::Series::new(ours::Fleet::start(PROGRAMS)?.restarts(RESTARTS)?);
            figures::ratio(
                "restart after SIGKILL among 200, p50, ms",
                peer.percentile(50),
                ours.percentile(50),
            );
            figures::ratio(
                "restart after SIGKILL among 200, p99, ms",
                peer.percentile(99),
                ours.percentile(99),
            );
        }
        "memory" => {
            let peer = peer::Supervisor::start(PROGRAMS)?.resident_mib()?;
            let (idle, busy) = ours::Fleet::memory(PROGRAMS)?;
            println!(
                "standalone idle {idle:.1} MiB, with 200 programs {busy:.1} MiB (keeper counted)"
            );
            figures::ratio(
                "resident memory for 200 programs above idle, MiB",
                peer,
                busy - idle,
            );
        }
        "idle" => {
            let peer = peer::Supervisor::start(PROGRAMS)?.cpu_percent()?;
            let ours = ours::Fleet::start(PROGRAMS)?.cpu_percent()?;
            figures::ratio("idle CPU with 200 programs, percent of a core", peer, ours);
        }
        "readopt" => {
            let (kept, milliseconds) = ours::Fleet::start(PROGRAMS)?.readopt()?;
            println!(
                "after SIGKILL of standalone: {kept} of {PROGRAMS} programs kept, start to all reported {milliseconds:.0} ms (the peer keeps none)"
            );
        }
        "status" => {
            let series =
                figures::Series::new(ours::Fleet::start(PROGRAMS)?.status_changes(RESTARTS)?);
            println!(
                "end of a program to its replacement visible through the gateway: p50 {:.1} ms, p99 {:.1} ms",
                series.percentile(50),
                series.percentile(99)
            );
        }
        other => bail!("unknown benchmark {other:?}"),
    }
    Ok(())
}
