//! The hand: the command line. The only crate that prints, colours or exits.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What does polling, long polling, HTTP streaming, SSE or WebSocket cost? One chat, every transport, measured.
#[derive(Parser)]
#[command(version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(*args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where an error reaches the person")]
fn report(error: &anyhow::Error) {
    eprintln!("pushbench: {error:#}");
}
