//! `bcs-keeper`: see the crate's README.

fn main() -> std::process::ExitCode {
    bcs_keeper::main()
}
