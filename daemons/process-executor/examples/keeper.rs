//! The keeper, built beside the tests of this crate.

fn main() -> std::process::ExitCode {
    bcs_keeper::cli::main()
}
